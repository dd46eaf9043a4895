package main

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// TestSurvive: a step that panics is an error like any other, and says nothing of the value it held.
func TestSurvive(t *testing.T) {
	t.Parallel()
	var nobody *struct{ name string }
	_, err := survive(t.Context(), func(context.Context) (bool, error) { return nobody.name != "", nil })
	if crash := runtime.Error(nil); !errors.As(err, &crash) || !strings.Contains(err.Error(), "work_test.go") {
		t.Errorf("nil dereference: %v", err)
	}
	_, err = survive(t.Context(), func(context.Context) (bool, error) { panic("360102198506120314") })
	if err == nil || strings.Contains(err.Error(), "360102198506120314") {
		t.Errorf("panic of a text: %v", err)
	}
	if worked, err := survive(t.Context(), func(context.Context) (bool, error) { return true, nil }); !worked || err != nil {
		t.Errorf("no panic: %v, %v", worked, err)
	}
}
