package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/ingest"
)

// taker is a server that takes one event as a real one would.
type taker struct {
	item *ingest.Item // the last one that was taken
	key  string       // its Idempotency-Key
}

func (s *taker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"id":"evt_1","deliveries":[{"id":"dlv_1","state":"delivered"}]}`)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		s.item, err = nil, nil
		var item ingest.Item
		if item, err = ingest.ParseEvent(bytes.Clone(body), 1<<20); err == nil {
			s.item, s.key = &item, r.Header.Get("Idempotency-Key")
		}
	}
	if err != nil {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"type":"/v1/problems/invalid","title":"Invalid","status":400,"detail":%q}`, "refused")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"id":"evt_1","matched":1}`)
}

// case 65, case 73: whatever grapnel send is told to publish, what the server takes is
// what was written, byte by byte, or the program says what is wrong with it.
func FuzzSend(f *testing.F) {
	s := &taker{}
	server := httptest.NewServer(s)
	f.Cleanup(server.Close)
	f.Setenv("GRAPNEL_URL", server.URL)
	f.Setenv("GRAPNEL_KEY", "key")
	f.Setenv("XDG_CONFIG_HOME", f.TempDir())
	f.Setenv("HOME", f.TempDir())
	f.Add("user.created", `{"id":1}`, "mine", "once", "a key", "--json")
	f.Add("invoice.paid", `{ "n": 12345678901234567890, "u":"\u0000é" }`, "", "", "", "--wait=1m")
	f.Add("a", "{}", "id\xff", "", "", "")
	f.Add("a", "{}", "", "two\nlines", "", "")
	f.Add("a", "{}", "", "\xff", "", "")
	f.Add("a", "{}", "", "", "\xff\xfe", "")
	f.Add("a", "{}", "", " blank ", "x\u2028y\x00", "--wait=-1s")
	f.Add("", `{"a":1,"a":2}`, "", "", "", "--tenant=../../v1/keys?")
	f.Add("--json", "-", "", "", "", "--quiet")
	f.Fuzz(func(t *testing.T, kind, data, id, key, ordering, more string) {
		switch {
		case strings.HasPrefix(data, "@"), strings.Contains(more, "@"), strings.ContainsRune(more, 'h'): // files of the machine, --help
			return
		case strings.HasPrefix(more, "--u"), strings.HasPrefix(more, "--k"), strings.HasPrefix(more, "--c"), !strings.HasPrefix(more, "--"): // other servers and files
			more = "--json"
		}
		*s = taker{}
		var out, errs bytes.Buffer
		code := run([]string{"send", "--data=" + data, "--id=" + id, "--idempotency-key=" + key, "--ordering-key=" + ordering, more, "--", kind}, strings.NewReader(data), &out, &errs)
		switch code {
		case exitOK:
			if s.item == nil {
				t.Fatalf("nothing was published, and it says %s", &out)
			}
			if s.item.Type != kind || s.item.Key != id || s.item.OrderingKey != ordering || s.key != strings.Trim(key, " \t") || string(s.item.Data) != strings.Trim(data, " \t\r\n") {
				t.Errorf("published as %+v, Idempotency-Key %q", s.item, s.key)
			}
		case exitUsage, exitInvalid, exitNotFound, exitConflict:
			if s.item != nil {
				t.Errorf("exit code %d, and it was published: %s", code, &errs)
			}
			if !strings.HasPrefix(errs.String(), "error: ") || out.Len() > 0 {
				t.Errorf("%s%s", &out, &errs)
			}
		default:
			t.Errorf("exit code %d: %s", code, &errs)
		}
		if strings.ContainsFunc(strings.ReplaceAll(out.String()+errs.String(), "\n", ""), hostile) || !utf8.ValidString(out.String()+errs.String()) {
			t.Errorf("%q", out.String()+errs.String())
		}
	})
}

// Whatever a file for an import holds, its records come in order and with their places,
// each as one value of JSON or with what is wrong with it, and what is kept of a refused
// one can be read again.
func FuzzImportFile(f *testing.F) {
	for _, seed := range []string{
		"", "{}\n{}", "[{},{\"a\":1}]", "[{}", "[{}]x", "[1,]", " \r\n[ ]\n", "\ufeff{\"kind\":\"tenant\"}\n\n{\"kind\":\"key\"}", "{\"a\":1,\"a\":2}\n{\"a\":\"\xff\"}\n{}{}\n", "null\n\"\\ud800\"\n", "[[[[", "nul",
	} {
		f.Add([]byte(seed), false)
	}
	for _, seed := range []string{
		"", "tenant,url\na,https://a.example/\n", "tenant,url\na,\"b\nc\"\n\"open\n", "tenant;url\na;b\n", "settings.a,settings.b,headers.X-A\n1,2,3\n", "tenant\n\xff\n", "\ufefftenant\r\na\r\n\r\nb", "tenant,tenant\n", "filter,skip_after,fields\n{},1,a b|c\n{,x,\n", "tenant\n\"a\"b\n", "tenant\n\"\"\n", "settings.\n",
	} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, table bool) {
		all, head := readRecords(t, text, table)
		for _, r := range all {
			if r.wrong == "" {
				v := jsontext.Value(bytes.Clone(r.json))
				if !v.IsValid() || bytes.Contains(v, []byte("\n")) && table {
					t.Errorf("record %d is no JSON: %s", r.number, r.json)
				}
			}
			if table && r.wrong != "" || len(r.text) == 0 || !table && bytes.HasPrefix(bytes.TrimSpace(r.text), []byte("[")) {
				continue // may be cut anywhere, or begins an array when it comes first
			}
			again, _ := readRecords(t, append(bytes.Clone(head), r.text...), table)
			if len(again) != 1 || again[0].wrong != r.wrong || table && string(again[0].json) != string(r.json) {
				t.Errorf("record %d, %q, is read again as %+v", r.number, r.text, again)
			}
		}
	})
}

// readRecords reads all records of a file, up to what stops it.
func readRecords(t *testing.T, text []byte, table bool) (all []*record, head []byte) {
	t.Helper()
	open := newJSONRecords
	if table {
		open = newCSVRecords
	}
	in, err := open(bytes.NewReader(text))
	if err != nil {
		return nil, nil
	}
	lines, end := bytes.Count(text, []byte("\n"))+1, int64(0)
	for {
		r, err := in.next()
		if err != nil {
			var f *failure
			if !errors.Is(err, io.EOF) && !errors.As(err, &f) {
				t.Errorf("%v", err)
			}
			return all, in.head()
		}
		if r.number != len(all)+1 || r.line < 1 || r.line > lines || r.end <= end || r.end > int64(len(text)) {
			t.Fatalf("record %d of line %d ends at %d, after %d records and %d", r.number, r.line, r.end, len(all), end)
		}
		end = r.end
		all = append(all, &record{number: r.number, line: r.line, field: r.field, wrong: r.wrong, json: bytes.Clone(r.json), text: bytes.Clone(r.text), end: r.end})
	}
}
