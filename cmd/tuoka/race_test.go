//go:build race

package main

// seedsInTest is how many seeds TestSimulate plays: under the race detector a seed takes ten times as long.
const seedsInTest = 60

// crashJourneys are those of the crash matrix that are played.
var crashJourneys = []string{"pay"}
