//go:build !race

package main

// raced reports whether the race detector watches, under which everything takes ten times as long.
const raced = false

// seedsInTest is how many seeds TestSimulate plays.
const seedsInTest = 1000

// crashJourneys are those of the crash matrix that are played.
var crashJourneys = []string{"pay", "cancel", "unwind", "refund whole", "refund part", "refund uninsured", byTheWindow}
