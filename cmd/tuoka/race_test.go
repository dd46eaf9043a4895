//go:build race

package main

// seedsInTest is how many seeds TestSimulate plays: under the race detector a seed takes ten times as long.
const seedsInTest = 60
