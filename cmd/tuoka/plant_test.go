//go:build plant

package main

import (
	"bytes"
	"errors"
	"testing"
)

// TestPlants: every planted bug is found within 500 seeds.
func TestPlants(t *testing.T) {
	for name := range plants {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := simulate(t.Context(), &out, simulateFlags{seeds: "1..500", route: "all", workers: 2, keyBits: 1024, json: true, plant: name})
			if !errors.Is(err, errSaid) {
				t.Errorf("not found: %v, printed %s", err, out.String())
			}
			t.Log(out.String())
		})
	}
}
