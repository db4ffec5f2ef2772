//go:build unix

package serve_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Every canary begins with a mark, by which it is found whatever became of the rest:
// those of secrets with one, and those of what is the customers' own and only not to be
// told in logs, metrics and traces, with another.
const (
	secretMark  = "zq7Kanari"
	privateMark = "wV3Rossig"
)

// canaries counts what was planted and what was searched.
type canaries struct {
	t       *testing.T
	mu      sync.Mutex
	planted []string // where
	marks   []string // by which those of secrets are found
	bytes   map[string]int
	seen    int
}

func newCanaries(t *testing.T) *canaries {
	return &canaries{t: t, marks: []string{secretMark}, bytes: map[string]int{}}
}

// secret is a new canary of at least n characters, planted in a place.
func (c *canaries) secret(place string, n int) string { return c.plant(secretMark, place, n) }

// private is one that may be stored and sent to its receiver, and told to nobody else.
func (c *canaries) private(place string) string { return c.plant(privateMark, place, 0) }

func (c *canaries) plant(mark, place string, n int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.planted = append(c.planted, place)
	text := fmt.Sprintf("%sN%02d", mark, len(c.planted))
	return text + strings.Repeat("x", max(0, n-len(text)))
}

// mark has a secret searched for that cannot begin as the others do.
func (c *canaries) mark(place, secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.planted, c.marks = append(c.planted, place), append(c.marks, secret)
}

// forms are the ways in which a mark may be written: as it is and in lower case, in hex,
// in base64 at each of three offsets, percent-encoded, as JSON's escapes, and as a list of
// numbers.
func forms(mark string) map[string][]byte {
	out := map[string][]byte{"raw": []byte(mark), "lower case": []byte(strings.ToLower(mark)), "upper case": []byte(strings.ToUpper(mark))}
	out["hex"] = []byte(hex.EncodeToString([]byte(mark)))
	out["HEX"] = bytes.ToUpper(out["hex"])
	for i := range 3 {
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", i) + mark))
		begin, end := (i*8+5)/6, (i+len(mark))*8/6
		out[fmt.Sprintf("base64 at %d", i)] = []byte(text[begin:end]) // what no neighbour changes
	}
	var percent, escapes, numbers strings.Builder
	for _, b := range []byte(mark) {
		fmt.Fprintf(&percent, "%%%02X", b)
		fmt.Fprintf(&escapes, `\u%04x`, b)
		fmt.Fprintf(&numbers, "%d ", b)
	}
	out["percent"], out["escapes"], out["numbers"] = []byte(percent.String()), []byte(escapes.String()), []byte(numbers.String())
	return out
}

// found is where a mark shows in a text, in any form; "" if nowhere.
func found(text []byte, mark string) string {
	for form, needle := range forms(mark) {
		if i := bytes.Index(text, needle); i >= 0 {
			return fmt.Sprintf("%s at %d: %q", form, i, text[max(0, i-60):min(len(text), i+60)])
		}
	}
	return ""
}

// search looks for secrets in what was emitted; for what is private too, where that may
// not be either.
func (c *canaries) search(what string, text []byte, private bool) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	kind, _, _ := strings.Cut(what, " ")
	c.bytes[kind] += len(text)
	marks := slices.Clone(c.marks)
	if private {
		marks = append(marks, privateMark)
	}
	for _, mark := range marks {
		if at := found(text, mark); at != "" {
			c.seen++
			c.t.Errorf("%s shows a canary: %s", what, at)
		}
	}
}

// searchFolder looks into every file below a folder but those that are to hold a key.
func (c *canaries) searchFolder(kind, dir string) {
	c.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, ".key") {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil {
			c.search(kind+" "+d.Name(), text, false)
		}
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}

// report prints the figures, and fails if too little was looked at.
func (c *canaries) report(want ...string) {
	c.t.Helper()
	total := 0
	for _, n := range c.bytes {
		total += n
	}
	c.t.Logf("canaries: %d planted, %d bytes searched (%v), %d seen", len(c.planted), total, c.bytes, c.seen)
	if len(c.planted) < 30 {
		c.t.Errorf("%d canaries were planted: %q", len(c.planted), c.planted)
	}
	for _, kind := range want {
		if c.bytes[kind] == 0 {
			c.t.Errorf("nothing of the %s was searched", kind)
		}
	}
}

// case 105: the search finds a leak in each of its forms; a canary that only stands in a
// text that was looked through proves nothing.
func TestCanarySearchFindsLeaks(t *testing.T) {
	t.Parallel()
	c := newCanaries(t)
	canary := c.secret("here", 32)
	var percent strings.Builder
	for _, b := range []byte(canary) {
		fmt.Fprintf(&percent, "%%%02X", b)
	}
	for what, leak := range map[string]string{
		"raw": canary, "hex": hex.EncodeToString([]byte(canary)), "percent": percent.String(), "query": url.QueryEscape("a&" + canary),
		"base64":      base64.StdEncoding.EncodeToString([]byte(canary)),
		"base64 at 1": base64.URLEncoding.EncodeToString([]byte("a" + canary)),
		"base64 at 2": base64.RawStdEncoding.EncodeToString([]byte("ab" + canary + "c")),
		"base64 at 3": base64.StdEncoding.EncodeToString([]byte("user:password=" + canary)),
		"quoted":      fmt.Sprintf("%q", "\n"+canary), "bytes": fmt.Sprint([]byte(canary)), "lower": strings.ToLower(canary),
	} {
		if found([]byte("before "+leak+" after"), secretMark) == "" {
			t.Errorf("a leak is not found: %s", what)
		}
	}
	if at := found(bytes.Repeat([]byte("nothing of the kind, wV3R"), 1000), secretMark); at != "" {
		t.Error(at)
	}
}
