package api_test

import (
	"bytes"
	"context"
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
