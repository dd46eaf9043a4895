// Package internal holds one test: the arrows between the rooms of the house.
package internal

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	gopath "path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tuoka/tuoka/"

// The rows of design.md §1. A package may import what stands in its own line, and nothing else of this repository.
var (
	ground   = []string{"internal/money", "internal/fault", "internal/sensitive", "internal/clock"}
	tools    = []string{"internal/gm", "internal/job", "internal/audit", "internal/ledger"}
	subjects = []string{"internal/split", "internal/bill", "internal/patient"}
	legs     = []string{"internal/settlement", "internal/payment"}
	flows    = []string{"internal/refund", "internal/order", "internal/recon", "internal/risk"}
	domain   = slices.Concat(subjects, legs, flows)
)

// arrows is the table. Where a package has no line, its folder's line counts; a package without either is an error.
var arrows = map[string][]string{
	"internal/money":     nil,
	"internal/fault":     nil,
	"internal/sensitive": nil,
	"internal/clock":     nil,
	"internal/sandbox":   ground,

	"internal/gm":     {"internal/money", "internal/fault", "internal/sensitive"},
	"internal/job":    ground,
	"internal/audit":  ground,
	"internal/ledger": ground,
	"internal/vault":  slices.Concat(ground, []string{"internal/gm", "internal/audit"}),

	"internal/split":   slices.Concat(ground, []string{"internal/audit", "internal/job"}),
	"internal/bill":    slices.Concat(ground, []string{"internal/audit", "internal/job"}),
	"internal/patient": slices.Concat(ground, []string{"internal/audit", "internal/job"}),

	"internal/settlement": slices.Concat(ground, subjects, []string{"internal/job", "internal/audit", "internal/ledger"}),
	"internal/payment":    slices.Concat(ground, subjects, []string{"internal/job", "internal/audit", "internal/ledger"}),

	"internal/refund":      slices.Concat(ground, tools, subjects, legs),
	"internal/order":       slices.Concat(ground, tools, subjects, legs, []string{"internal/refund"}),
	"internal/recon":       slices.Concat(ground, tools, subjects, legs, []string{"internal/order", "internal/refund"}),
	"internal/recon/plant": slices.Concat(ground, []string{"internal/split", "internal/recon"}), // differences put in, so that a run can show what it finds
	"internal/risk":        slices.Concat(ground, tools, subjects, legs, []string{"internal/order", "internal/refund"}),
	"internal/staff":       slices.Concat(ground, []string{"internal/audit"}),

	"internal/store": slices.Concat(ground, domain, []string{"internal/job", "internal/audit", "internal/ledger", "internal/staff",
		"internal/vault", "migrations"}),
	"internal/store/storetest": nil,

	"migrations": nil,
	"configs":    nil,

	"adapters": slices.Concat(ground, domain, []string{"internal/gm", "internal/job", "internal/audit", "internal/ledger"}),

	"miniprogram-api": slices.Concat(ground, domain, []string{"internal/job", "internal/staff", "internal/audit", "internal/ledger", "internal/web"}),
	"internal/callback": slices.Concat(ground, domain, []string{"internal/job", "internal/staff", "internal/audit", "internal/ledger",
		"internal/web"}),
	"internal/console": slices.Concat(ground, domain, []string{"internal/job", "internal/staff", "internal/audit", "internal/ledger",
		"internal/web"}),

	"internal/config":    ground,
	"internal/web":       ground,
	"internal/cache":     ground,
	"internal/telemetry": ground,
}

// homes are the libraries that have one home.
var homes = map[string]string{
	"github.com/tjfoc/gmsm":                   "internal/gm",
	"gorm.io/":                                "internal/store",
	"github.com/jackc/pgx":                    "internal/store",
	"github.com/go-sql-driver/mysql":          "internal/store",
	"github.com/redis/go-redis":               "internal/cache",
	"github.com/wechatpay-apiv3/wechatpay-go": "adapters/wechatpay",
}

// domainFree are what the domain must not know.
var domainFree = []string{"github.com/gin-gonic/", "gorm.io/", "github.com/redis/", "github.com/wechatpay-apiv3/", "net/http"}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if path == "internal" || strings.HasPrefix(path, "cmd/") {
			continue // cmd may import everything
		}
		allowed, ok := arrows[path]
		if strings.HasPrefix(path, "adapters/") {
			allowed, ok = adapterArrows(path), true
		}
		if !ok {
			t.Errorf("%s stands in no line of the table", path)
			continue
		}
		for _, in := range p.Imports {
			if own, isOurs := strings.CutPrefix(in, module); isOurs && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s", path, own)
			}
			for lib, home := range homes {
				if strings.HasPrefix(in, lib) && path != home && !strings.HasPrefix(path, home+"/") {
					t.Errorf("%s imports %s, whose home is %s", path, in, home)
				}
			}
			for _, lib := range domainFree {
				if strings.HasPrefix(in, lib) && slices.Contains(domain, path) {
					t.Errorf("%s is domain and imports %s", path, in)
				}
			}
		}
	}
}

// adapterArrows: domain packages and what they stand on, and what the folder above has for all that speak to the same counterpart; a simulator knows the
// sandbox instead of the domain, and neither imports the other.
func adapterArrows(path string) []string {
	if strings.HasSuffix(path, "sim") {
		return slices.Concat(ground, []string{"internal/sandbox", "internal/gm"})
	}
	return append(slices.Clone(arrows["adapters"]), gopath.Dir(path))
}

func TestNobodyImportsCmd(t *testing.T) {
	for _, p := range packages(t) {
		for _, in := range p.Imports {
			if strings.HasPrefix(in, module+"cmd") {
				t.Errorf("%s imports %s", p.ImportPath, in)
			}
		}
	}
}

// words are what may stand in few places: no float holds money (design.md §2), and chance and secrets have
// their homes (design.md §1).
var words = map[string][]string{
	`(?m)^[^/\n]*\bfloat(32|64)\b`: {"miniprogram-api/print.go"}, // millimetres of paper
	`"math/rand(/v2)?"`:            {"internal/clock/", "internal/recon/plant/", ".ci/mutate/"},
	`"crypto/rand"`:                {"internal/gm/", "internal/vault/", "internal/staff/", "internal/web/", "cmd/tuoka/stage.go"},
}

func TestWordsStandWhereTheyMay(t *testing.T) {
	files := goFiles(t)
	for pattern, places := range words {
		re := regexp.MustCompile(pattern)
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			own := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
			if re.Match(text) && !slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(own, p) }) {
				t.Errorf("%s holds %s", own, re.FindString(string(text)))
			}
		}
	}
}

// TestRoutesNames: the order's table and the configuration alone know a route's name (design.md §3); whoever compares with one has forked.
func TestRoutesNames(t *testing.T) {
	const engine = "github.com/tuoka/tuoka/internal/order"
	constants := []string{"Core", "Mixed", "HIS"}
	literals := []string{`"core"`, `"mixed"`, `"his"`}
	isName := func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.BasicLit:
			return slices.Contains(literals, e.Value)
		case *ast.Ident: // inside the engine
			return slices.Contains(constants, e.Name)
		}
		return false
	}
	found := func(f *ast.File) (names []string) {
		alias := ""
		for _, i := range f.Imports {
			if i.Path.Value == `"`+engine+`"` {
				if alias = "order"; i.Name != nil {
					alias = i.Name.Name
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				if alias == "." && n.Path.Value == `"`+engine+`"` {
					names = append(names, "everything of "+engine)
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == alias && slices.Contains(constants, n.Sel.Name) {
					names = append(names, alias+"."+n.Sel.Name)
				}
			case *ast.BinaryExpr:
				if (n.Op == token.EQL || n.Op == token.NEQ) && (isName(n.X) || isName(n.Y)) {
					names = append(names, "a comparison with a route's name")
				}
			case *ast.CaseClause:
				if slices.ContainsFunc(n.List, isName) {
					names = append(names, "a case of a route's name")
				}
			}
			return true
		})
		return names
	}
	parse := func(path string, text any) *ast.File {
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	may := []string{"internal/config/", "internal/order/order.go", "internal/order/route.go"}
	for _, path := range goFiles(t) {
		own := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		if slices.ContainsFunc(may, func(p string) bool { return strings.HasPrefix(own, p) }) {
			continue
		}
		if names := found(parse(path, nil)); len(names) > 0 {
			t.Errorf("%s knows %s", own, strings.Join(names, ", "))
		}
	}
	for _, text := range []string{ // the rule itself bites
		"package a\nimport domain \"" + engine + "\"\nvar x = domain.Mixed",
		"package a\nimport \"" + engine + "\"\nvar x = order.Core",
		"package a\nimport . \"" + engine + "\"",
		"package a\nfunc f(r string) bool { return r == \"mixed\" }",
		"package order\nfunc f(r Route) bool { return r == HIS }",
		"package a\nfunc f(r string) { switch r { case \"core\": } }",
	} {
		if len(found(parse("a.go", text))) == 0 {
			t.Errorf("nothing was found in %q", text)
		}
	}
}

// goFiles lists the Go files that somebody wrote, tests aside.
func goFiles(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".gen.go") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
