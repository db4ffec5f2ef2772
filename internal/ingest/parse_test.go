package ingest_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/ingest"
)

const maxData = 1 << 20

func TestParseEventKeepsTheBytes(t *testing.T) {
	t.Parallel()
	body := []byte(` { "type" : "invoice.paid", "data": {"n": 12345678901234567890, "e": 1e999, "s":"\u00e4\ud83d\ude00\/" } ,
		"id":"inv-7","time":"2026-03-01T10:00:00.1239+02:00","previous":[ 1 ],"metadata":{"store_id":"2"},"suppress":true,"tenant":"acme","ordering_key":"customer \u00e4"} `)
	got, err := ingest.ParseEvent(body, maxData)
	if err != nil {
		t.Fatal(err)
	}
	for i := range body {
		body[i] = 'x' // the item must own what it keeps
	}
	want := ingest.Item{
		Tenant: "acme", Key: "inv-7", OrderingKey: "customer ä", Type: "invoice.paid",
		Data:     []byte(`{"n": 12345678901234567890, "e": 1e999, "s":"\u00e4\ud83d\ude00\/" }`),
		Previous: []byte(`[ 1 ]`), Metadata: []byte(`{"store_id":"2"}`),
		Time: time.Date(2026, 3, 1, 8, 0, 0, 123e6, time.UTC), Suppress: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// case 63: what is not strict JSON, or not an event, is refused with the place.
func TestParseEventRefuses(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		code    hook.Code
		pointer string
		text    string
	}{
		``:                                      {hook.CodeInvalid, "", "too early"},
		`{"type":"a","data":{}`:                 {hook.CodeInvalid, "", "too early"},
		`{"type":"a","data":{}}x`:               {hook.CodeInvalid, "", "byte 22"},
		`{"type":"a","data":{}}{}`:              {hook.CodeInvalid, "", "follows"},
		"\xef\xbb\xbf{}":                        {hook.CodeInvalid, "", "byte 0"},
		`[]`:                                    {hook.CodeInvalid, "", "object"},
		`null`:                                  {hook.CodeInvalid, "", "object"},
		`{}`:                                    {hook.CodeInvalid, "/type", "missing"},
		`{"type":"a"}`:                          {hook.CodeInvalid, "/data", "missing"},
		`{"type":"a","type":"b","data":1}`:      {hook.CodeInvalid, "/type", "duplicate"},
		`{"type":"a","ty\u0070e":"b","data":1}`: {hook.CodeInvalid, "/type", "duplicate"},
		`{"type":"a","data":{"x":{"k":1,"k":2}}}`: {hook.CodeInvalid, "/data/x/k", "duplicate"},
		`{"type":"a","data":"` + "\xff" + `"}`:    {hook.CodeInvalid, "/data", "byte 20"},
		`{"type":"a","data":"\ud800"}`:            {hook.CodeInvalid, "/data", "byte"},
		`{"type":"a","data":NaN}`:                 {hook.CodeInvalid, "/data", "byte 19"},
		`{"type":"a","data":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + `}`: {hook.CodeInvalid, "", "depth"},
		`{"Type":"a","data":1}`:                                      {hook.CodeInvalid, "/Type", "not known"},
		`{"type":"a b","data":1}`:                                    {hook.CodeInvalid, "/type", "place 1"},
		`{"type":7,"data":1}`:                                        {hook.CodeInvalid, "/type", "text"},
		`{"type":"a","data":1,"id":""}`:                              {hook.CodeInvalid, "/id", "1 to 256"},
		`{"type":"a","data":1,"id":"ü"}`:                             {hook.CodeInvalid, "/id", "ASCII"},
		`{"type":"a","data":1,"time":"yesterday"}`:                   {hook.CodeInvalid, "/time", "RFC 3339"},
		`{"type":"a","data":1,"metadata":[]}`:                        {hook.CodeInvalid, "/metadata", "object"},
		`{"type":"grapnel.endpoint.disabled","data":1}`:              {hook.CodeInvalid, "/type", "only events of the server"},
		`{"type":"a","data":1,"ordering_key":""}`:                    {hook.CodeInvalid, "/ordering_key", "1 to 255"},
		`{"type":"a","data":1,"ordering_key":"a\u0007"}`:             {hook.CodeInvalid, "/ordering_key", "control"},
		`{"type":"a","data":1,"suppress":1}`:                         {hook.CodeInvalid, "/suppress", "true or false"},
		`{"type":"a","data":"` + strings.Repeat("x", maxData) + `"}`: {hook.CodeTooLarge, "/data", "limit is 1048576"},
	} {
		_, err := ingest.ParseEvent([]byte(body), maxData)
		var e *hook.Error
		if !errors.As(err, &e) {
			t.Errorf("%.60s: got %v, want an error", body, err)
			continue
		}
		if e.Code != want.code || !strings.HasPrefix(e.Field, want.pointer) || !strings.Contains(e.Message, want.text) {
			t.Errorf("%.60s: got %s at %.40q: %s; want %s at %q with %q", body, e.Code, e.Field, e.Message, want.code, want.pointer, want.text)
		}
	}
}

// case 64: the limit is exact.
func TestParseEventLimit(t *testing.T) {
	t.Parallel()
	for size, ok := range map[int]bool{maxData - 1: true, maxData: true, maxData + 1: false} {
		_, err := ingest.ParseEvent([]byte(`{"type":"a","data":"`+strings.Repeat("x", size-2)+`"}`), maxData)
		if (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// case 72: one bad event does not harm the others.
func TestParseBatch(t *testing.T) {
	t.Parallel()
	bodies := map[bool]string{
		false: `[{"type":"a","data":1}, {"type":"a b","data":{"x":[]}}, 7, {"type":"c","data":null}]`,
		true:  "{\"type\":\"a\",\"data\":1}\r\n\n{\"type\":\"a b\",\"data\":{\"x\":[]}}\n7\n{\"type\":\"c\",\"data\":null}",
	}
	for ndjson, body := range bodies {
		items, errs, err := ingest.ParseBatch([]byte(body), ndjson, maxData)
		if err != nil {
			t.Fatal(err)
		}
		if len(items) != 4 || items[0].Type != "a" || items[3].Type != "c" || string(items[3].Data) != "null" {
			t.Errorf("ndjson %v: got %v", ndjson, items)
		}
		var places []string
		for _, err := range errs {
			var e *hook.Error
			if errors.As(err, &e) {
				places = append(places, e.Field)
			} else {
				places = append(places, "ok")
			}
		}
		if diff := cmp.Diff([]string{"ok", "/1/type", "/2", "ok"}, places); diff != "" {
			t.Errorf("ndjson %v: %s", ndjson, diff)
		}
	}
	// In NDJSON a line that is no JSON is that line's trouble alone; in an array
	// nobody knows where it ends.
	_, errs, err := ingest.ParseBatch([]byte("{\n{\"type\":\"a\",\"data\":1}"), true, maxData)
	if err != nil || errs[0] == nil || errs[1] != nil {
		t.Errorf("got %v, %v", errs, err)
	}
	if _, _, err := ingest.ParseBatch([]byte(`[{"type":"a","data":1},{]`), false, maxData); hook.CodeOf(err) != hook.CodeInvalid {
		t.Errorf("got %v", err)
	}
	one := `{"type":"a","data":1}`
	for n, ok := range map[int]bool{ingest.MaxBatch: true, ingest.MaxBatch + 1: false} {
		_, _, err := ingest.ParseBatch([]byte("["+strings.Repeat(one+",", n-1)+one+"]"), false, maxData)
		_, _, err2 := ingest.ParseBatch([]byte(strings.Repeat(one+"\n", n)), true, maxData)
		if (err == nil) != ok || (err2 == nil) != ok {
			t.Errorf("%d events: %v, %v", n, err, err2)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"type":"a.b","data":{"x":[1,2.5e3,"\u00e4"]},"id":"k","time":"2026-03-01T10:00:00Z","metadata":{},"suppress":false}`))
	f.Add([]byte(`{"ty\u0070e":"a","data":"\ud83d\ude00","previous":null}`))
	f.Add([]byte(`{"type":"a","data":1}{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		item, err := ingest.ParseEvent(body, maxData)
		if err != nil {
			if hook.CodeOf(err) == hook.CodeInternal {
				t.Errorf("bad input is not our fault: %v", err)
			}
			return
		}
		if !bytes.Contains(body, item.Data) {
			t.Errorf("data %q is not as it was sent", item.Data)
		}
	})
}

func FuzzParseBatch(f *testing.F) {
	f.Add([]byte(`[{"type":"a","data":1},{"type":"b"}]`), false)
	f.Add([]byte("{\"type\":\"a\",\"data\":1}\n{}\n"), true)
	f.Fuzz(func(t *testing.T, body []byte, ndjson bool) {
		items, errs, err := ingest.ParseBatch(body, ndjson, maxData)
		if err == nil && len(items) != len(errs) {
			t.Errorf("%d items, %d errors", len(items), len(errs))
		}
	})
}

func BenchmarkParseEvent(b *testing.B) {
	body := []byte(`{"type":"invoice.paid","data":{"payload":"` + strings.Repeat("0123456789abcdef", 60) + `","n":[1,2,3]}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ingest.ParseEvent(body, maxData); err != nil {
			b.Fatal(err)
		}
	}
}
