package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

// nowhere is a response that nobody reads.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}

// BenchmarkPublish is the cost of one publish in this package and in the
// parser, without the network and the store.
func BenchmarkPublish(b *testing.B) {
	results := []ingest.Result{{ID: hook.EventIDFrom(1, 1), Matched: 1}}
	s := setup(b, func(c *api.Config) {
		c.Logger = slog.New(slog.DiscardHandler)
		c.Publisher = publisher(func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) { return results, false, nil })
	})
	body := []byte(`{"type":"invoice.paid","data":{"text":"` + strings.Repeat("x", 1000) + `"}}`)
	reader := bytes.NewReader(body)
	r := httptest.NewRequestWithContext(b.Context(), "POST", acmeEvents, reader)
	r.Header.Set("Authorization", "Bearer "+adminKey)
	r.Body = io.NopCloser(reader)
	w := &nowhere{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		s.api.ServeHTTP(w, r)
	}
}

// BenchmarkCostly is what a publish of a mebibyte costs here that is made to cost much,
// beside one of the same size that is not (case 115): whoever may publish can send many
// of either.
func BenchmarkCostly(b *testing.B) {
	const size = 1 << 20
	fill := func(before, part, after string) string {
		return before + strings.Repeat(part, (size-len(before)-len(after))/len(part)) + after
	}
	var names strings.Builder
	for i := 0; names.Len() < size-20; i++ {
		fmt.Fprintf(&names, `"%x":1,`, i)
	}
	for _, c := range []struct{ name, data string }{
		{"plain text", fill(`"`, "x", `"`)},
		{"escapes", fill(`"`, `\u00e9`, `"`)},
		{"pairs of escapes", fill(`"`, `\ud83d\ude00`, `"`)},
		{"one long number", fill("1", "0", "")},
		{"short numbers", fill("[", "1,", "1]")},
		{"empty objects", fill("[", "{},", "{}]")},
		{"names", "{" + names.String() + `"x":1}`},
		{"the same name", fill("{", `"a":1,`, `"b":1}`)},
		{"nesting beyond the limit", strings.Repeat("[", size/2) + strings.Repeat("]", size/2)},
		{"nesting within it", fill("[", strings.Repeat("[", 100)+strings.Repeat("]", 100)+",", "1]")},
		{"white space", fill("[", " ", "1]")},
	} {
		b.Run(c.name, func(b *testing.B) {
			results := []ingest.Result{{ID: hook.EventIDFrom(1, 1), Matched: 1}}
			s := setup(b, func(cfg *api.Config) {
				cfg.Logger, cfg.MaxEventBytes = slog.New(slog.DiscardHandler), 2*size
				cfg.Publisher = publisher(func(context.Context, *ingest.Submission) ([]ingest.Result, bool, error) { return results, false, nil })
			})
			body := []byte(`{"type":"a","data":` + c.data + `}`)
			reader := bytes.NewReader(body)
			r := httptest.NewRequestWithContext(b.Context(), "POST", acmeEvents, reader)
			r.Header.Set("Authorization", "Bearer "+adminKey)
			r.Body = io.NopCloser(reader)
			w := &nowhere{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				s.api.ServeHTTP(w, r)
			}
		})
	}
}
