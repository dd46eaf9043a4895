package main

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

// TestSurvive: a step that panics is an error like any other, and says nothing of the value it held.
func TestSurvive(t *testing.T) {
	t.Parallel()
	var nobody *struct{ name string }
	err := survive(func() error { return errors.New(nobody.name) })
	if crash := runtime.Error(nil); !errors.As(err, &crash) || !strings.Contains(err.Error(), "work_test.go") {
		t.Errorf("nil dereference: %v", err)
	}
	err = survive(func() error { panic("360102198506120314") })
	if err == nil || strings.Contains(err.Error(), "360102198506120314") {
		t.Errorf("panic of a text: %v", err)
	}
	if err := survive(func() error { return nil }); err != nil {
		t.Errorf("no panic: %v", err)
	}
}
