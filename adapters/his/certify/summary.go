package certify

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Summary writes the report as text: what failed first, with what to mend; then what was not run, the times, and the count.
func (r *Report) Summary(out io.Writer) error {
	w := &writer{out: out}
	w.f("医院系统接口认证  %s（%s）\n%s\n", r.About.Hospital, r.About.Transport, r.About.Address)
	w.f("开始 %s（北京时间），用时 %s\n", china(r.Began), rounded(r.Took))
	for _, group := range Groups() {
		w.f("\n%s\n", group)
		for i := range r.Results {
			c := &r.Results[i]
			if c.Group != group {
				continue
			}
			w.f("  %s  %s  [%s]\n", c.Verdict.mark(), c.Title, c.ID)
			if c.Verdict != Passed {
				w.f("       %s\n", c.Text)
			}
			if c.Warning != "" {
				w.f("       注意：%s\n", c.Warning)
			}
			if c.Advice != "" {
				w.f("       整改：%s（%s）\n", c.Advice, c.Clause)
			}
		}
	}
	if len(r.Timings) > 0 {
		w.f("\n应答用时\n")
	}
	for _, t := range r.Timings {
		w.f("  %-16s %3d 次  中位 %-8s 最长 %-8s 时限 %s\n", t.Operation, t.Count, rounded(t.Median), rounded(t.Max), t.Deadline)
	}
	w.f("\n未覆盖\n")
	for _, line := range uncovered() {
		w.f("  %s\n", line)
	}
	w.f("\n结论：%s  通过 %d，不通过 %d，未执行 %d\n", r.Conclusion(), r.Count(Passed), r.Count(Failed), r.Count(NotRun))
	return w.err
}

// Conclusion is the verdict on the whole.
func (r *Report) Conclusion() string {
	switch {
	case !r.OK():
		return "不通过"
	case r.Count(NotRun) > 0:
		return "已执行的全部通过"
	}
	return "通过"
}

func (v Verdict) mark() string {
	switch v {
	case Passed:
		return "通过  "
	case Failed:
		return "不通过"
	}
	return "未执行"
}

// Name is the verdict in Chinese.
func (v Verdict) Name() string { return strings.TrimSpace(v.mark()) }

func rounded(d time.Duration) string {
	if d < time.Millisecond {
		return "<1ms"
	}
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// writer remembers the first error.
type writer struct {
	out io.Writer
	err error
}

func (w *writer) f(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, format, args...)
	}
}
