package config

import (
	"slices"
	"strings"
)

// Nearest is the one of known that a mistyped word most likely stands for, or
// "" if it is like none of them.
func Nearest(word string, known []string) string {
	word = strings.ToLower(word)
	best, least := "", min(len(word)/4+2, 4) // the longer the word, the more slips of the finger
	for _, k := range known {
		if d := distance(word, strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the least number of characters to insert, remove, change or swap
// with their neighbour.
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// MistypedEnv finds the variables of an environment ("NAME=value" each) that
// are meant for the server and misspelt: those that begin with GRAPNEL_, are
// none of known, and are like one of them. Others with that beginning are left
// alone: Kubernetes makes some for a service of the name grapnel.
func MistypedEnv(environ, known []string) []*Error {
	var out []*Error
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "GRAPNEL_") || slices.Contains(known, name) {
			continue
		}
		bare := make([]string, len(known))
		for i, k := range known {
			bare[i] = strings.TrimPrefix(k, "GRAPNEL_")
		}
		if near := Nearest(strings.TrimPrefix(name, "GRAPNEL_"), bare); near != "" {
			out = append(out, &Error{Setting: name, Source: name, Reason: "is no setting, and changes nothing", Remedy: "did you mean GRAPNEL_" + near + "?"})
		}
	}
	return out
}
