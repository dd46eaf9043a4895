// Package internal holds one test: the arrows between the rooms of the house.
package internal

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
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
	flows    = []string{"internal/order", "internal/refund", "internal/recon", "internal/risk"}
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

	"internal/order":  slices.Concat(ground, tools, subjects, legs),
	"internal/refund": slices.Concat(ground, tools, subjects, legs, []string{"internal/order"}),
	"internal/recon":  slices.Concat(ground, tools, subjects, legs, []string{"internal/order", "internal/refund"}),
	"internal/risk":   slices.Concat(ground, tools, subjects, legs, []string{"internal/order", "internal/refund"}),
	"internal/staff":  slices.Concat(ground, []string{"internal/audit"}),

	"internal/store": slices.Concat(ground, domain, []string{"internal/job", "internal/audit", "internal/ledger", "internal/staff",
		"internal/vault", "migrations"}),
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

// adapterArrows: domain packages and what they stand on; a simulator knows the sandbox instead of the domain, and neither imports the other.
func adapterArrows(path string) []string {
	if strings.HasSuffix(path, "sim") {
		return slices.Concat(ground, []string{"internal/sandbox", "internal/gm"})
	}
	return arrows["adapters"]
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

// words are what may stand in few places: no float holds money (design.md §2), chance and secrets have their homes (design.md §1), and a
// route's name is known to the engine's table alone (design.md §3).
var words = map[string][]string{
	`(?m)^[^/\n]*\bfloat(32|64)\b`:          {"miniprogram-api/print.go"}, // millimetres of paper
	`"math/rand(/v2)?"`:                     {"internal/clock/clock.go"},
	`"crypto/rand"`:                         {"internal/gm/", "internal/vault/", "internal/staff/", "internal/web/", "cmd/tuoka/stage.go"},
	`(?:^|[^.\w])order\.(Core|Mixed|HIS)\b`: {},
}

func TestWordsStandWhereTheyMay(t *testing.T) {
	for pattern, places := range words {
		re := regexp.MustCompile(pattern)
		err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".gen.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			own := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
			if re.Match(text) && !slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(own, p) }) {
				t.Errorf("%s holds %s", own, re.FindString(string(text)))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
