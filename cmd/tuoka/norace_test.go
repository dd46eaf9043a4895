//go:build !race

package main

// seedsInTest is how many seeds TestSimulate plays.
const seedsInTest = 1000
