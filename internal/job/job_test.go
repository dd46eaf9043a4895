package job

import (
	"testing"
	"time"
)

// TestClaims: a job is free when nobody's lease runs, at its last moment too; a claim that is only wanted is not held.
func TestClaims(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	j := Job{ID: 7, Kind: "order", Ref: "1", HeldUntil: at}
	for _, tt := range []struct {
		now  time.Time
		want bool
	}{{at.Add(-1), false}, {at, true}, {at.Add(1), true}} {
		if got := j.Free(tt.now); got != tt.want {
			t.Errorf("Free(%v) = %v", tt.now, got)
		}
	}
	c := Want(j, "me", at, at.Add(time.Minute))
	if c.Held() || c.ID != 7 || c.Owner != "me" || !c.LeaseUntil.Equal(at.Add(time.Minute)) {
		t.Errorf("Want() = %+v", c)
	}
	if c.Wanted = (time.Time{}); !c.Held() {
		t.Error("a claim that was taken is not held")
	}
}
