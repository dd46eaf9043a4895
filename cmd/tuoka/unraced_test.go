//go:build !race

package main

// raced reports whether the race detector watches, under which everything takes ten times as long.
const raced = false
