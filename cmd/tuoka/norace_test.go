//go:build !race

package main

// seedsInTest is how many seeds TestSimulate plays.
const seedsInTest = 1000

// crashJourneys are those of the crash matrix that are played.
var crashJourneys = []string{"pay", "cancel", "unwind", "refund whole", "refund part", "refund uninsured"}
