package certify

import (
	_ "embed" // the report's page
	"fmt"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var page string

// HTML writes the report as one page that needs nothing else, made to be printed on A4.
func (r *Report) HTML(out io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{"china": china, "rounded": rounded, "share": share}).Parse(page)
	if err != nil {
		return err
	}
	return t.Execute(out, struct {
		*Report
		Passed, Failed, NotRun int
		Failures               []Result
		Groups                 []group
		Uncovered              []string
		End                    time.Time
	}{r, r.Count(Passed), r.Count(Failed), r.Count(NotRun), r.of(func(c Result) bool { return c.Verdict == Failed }), r.groups(), uncovered(), r.Began.Add(r.Took)})
}

// group is one heading of the report.
type group struct {
	Name    string
	Results []Result
	Passed  int
}

func (r *Report) groups() (list []group) {
	for _, name := range Groups() {
		g := group{Name: name, Results: r.of(func(c Result) bool { return c.Group == name })}
		for _, c := range g.Results {
			if c.Verdict == Passed {
				g.Passed++
			}
		}
		list = append(list, g)
	}
	return list
}

func (r *Report) of(which func(Result) bool) (list []Result) {
	for _, c := range r.Results {
		if which(c) {
			list = append(list, c)
		}
	}
	return list
}

// share is how much of the deadline the slowest answer took, in percent.
func share(t Timing) string {
	return fmt.Sprintf("%d%%", min(100, t.Max*100/t.Deadline))
}
