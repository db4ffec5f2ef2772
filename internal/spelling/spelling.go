package spelling

import "strings"

// maxWord is the length in bytes from which on a word is like no other: what is
// that long is no slip of the finger, and may come from anybody.
const maxWord = 64

// Nearest is the one of known that a mistyped word most likely stands for, or
// "" if it is like none of them. Case does not count.
func Nearest(word string, known []string) string {
	if len(word) > maxWord {
		return ""
	}
	word = strings.ToLower(word)
	best, least := "", min(len(word)/4+2, 4) // the longer the word, the more slips of the finger
	for _, k := range known {
		if d := distance(word, strings.ToLower(k)); d < least && d < len(k) {
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
