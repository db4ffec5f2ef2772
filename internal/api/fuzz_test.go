package api

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"grapnel/internal/hook"
	"grapnel/internal/telemetry"
)

// FuzzDecode reads bodies of management: each is taken, or refused as the
// caller's fault without being quoted.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"url":"https://example.com/"}`, `{"url":1}`, `{"ulr":"canary-canary"}`, `{"url":"canary-canary","url":"x"}`,
		`{"headers":{"A":"b","A":"c"},"schedule":[1,"1s",-1e308],"timeout":"5s","rate_limit":1e400,"max_in_flight":1.5,"filter":{"a":[{}]},"secret":{}}`,
		"\xef\xbb\xbf{}", "{\"url\":\"\xff\"}", `{"url":"\ud800"}`, `{"headers":{"canary-canary`, `{"timeout":"canary-canary"}`, `{} {}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		c := &call{Answer: telemetry.Answer{ResponseWriter: httptest.NewRecorder()}, r: httptest.NewRequest("POST", "/", strings.NewReader(body))}
		var in endpointInput
		err := c.decode(&in)
		if err == nil {
			in.manage()
			return
		}
		var e *hook.Error
		if !errors.As(err, &e) || e.Code != hook.CodeInvalid && e.Code != hook.CodeTooLarge {
			t.Errorf("%q: %v", body, err)
		}
		if problemOf(err, "").Status >= 500 {
			t.Errorf("%q is told as our fault: %v", body, err)
		}
	})
}

// FuzzCursor opens cursors: none but those that were made opens.
func FuzzCursor(f *testing.F) {
	a := &API{Config: Config{CursorKeys: [][]byte{[]byte("0123456789abcdef")}}}
	c := &call{r: httptest.NewRequest("GET", "/v1/tenants?limit=1", nil)}
	good := a.cursor(c, query{}, forth, []byte("acme"))
	for _, seed := range []string{good, "", "A", good[1:], good + "A", strings.Repeat("A", 1000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		position, backward, err := a.openCursor(c, query{}, text)
		if err == nil && (text != good || backward || string(position) != "acme") {
			t.Errorf("%q opens as %q", text, position)
		}
	})
}

// FuzzParseHeaders takes header lines apart as they were put together.
func FuzzParseHeaders(f *testing.F) {
	for _, seed := range []string{"", "A: b\r\n", "A:b\r\nA: c: d\r\n", "no colon\r\n", "A: b", ":\r\n", "\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, lines []byte) {
		for _, h := range parseHeaders(lines) {
			if strings.Contains(h.Name, ":") || strings.Contains(h.Name, "\r\n") || strings.Contains(h.Value, "\r\n") {
				t.Errorf("%q became %q", lines, h)
			}
		}
		if _, err := marshal(parseHeaders(lines)); err != nil {
			t.Errorf("%q: %v", lines, err)
		}
	})
}
