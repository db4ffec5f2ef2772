package spelling_test

import (
	"strings"
	"testing"

	"grapnel/internal/spelling"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"list", "get", "delete", "max-connections", "a"}
	for wrong, want := range map[string]string{
		"lst": "list", "LIST": "list", "gte": "get", "delet": "delete", "max-conections": "max-connections",
		"mxa-conectoins": "max-connections",
		"b":              "", // every letter is near to a short word
		"":               "",
		"restore":        "",
		"lsttt":          "",
		strings.Repeat("x", 10) + "max-connections": "",
		strings.Repeat("l", 10_000):                 "",
	} {
		if got := spelling.Nearest(wrong, known); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", wrong, got, want)
		}
	}
}
