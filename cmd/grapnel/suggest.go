package main

import (
	"fmt"
	"strings"
)

// maxTypos is by how many characters a word may differ from the one that was
// meant.
const maxTypos = 2

// nearest is the known word that a wrong one was most likely meant to be, or
// "".
func nearest(wrong string, known []string) string {
	best, least := "", maxTypos+1
	for _, word := range known {
		if d := typos(strings.ToLower(wrong), strings.ToLower(word)); d < least && d < len(word) {
			best, least = word, d
		}
	}
	return best
}

// typos is the least number of characters to insert, remove or change.
func typos(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// oneOf refuses a flag's value that is none of the known ones, and says which
// it may have been meant to be.
func oneOf(flag, value string, known ...string) error {
	for _, word := range known {
		if value == word {
			return nil
		}
	}
	hint := "write one of " + strings.Join(known, ", ")
	if guess := nearest(value, known); guess != "" {
		hint = fmt.Sprintf("did you mean %q?", guess)
	}
	return fail(exitUsage, hint, "%s: there is no %q", flag, value)
}
