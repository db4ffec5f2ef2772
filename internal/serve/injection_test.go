package serve_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/serve"
)

// injections are what tools try first, for both engines, and what breaks out of JSON,
// patterns and cursors.
var injections = []string{
	`'`, `''`, `"`, "`", `\`, `;`, `--`, `/*`, `%00`, "\x00", "a\x00b", "\xff", "\xed\xa0\x80", `' OR '1'='1`, `' OR 1=1--`, `" OR ""="`, `1 OR 1=1`, `') OR ('1'='1`, `')) OR 1=1--`,
	`'; DROP TABLE tenants; --`, `1; DELETE FROM events`, `'||pg_sleep(20)||'`, `1; SELECT pg_sleep(20)--`, `1 AND (SELECT 1 FROM pg_sleep(20))`,
	`' UNION SELECT NULL,NULL,NULL--`, `' UNION ALL SELECT sql FROM sqlite_master--`, `1 UNION SELECT usename FROM pg_user`, `'; ATTACH DATABASE 'x.db' AS x;--`,
	`' AND randomblob(500000000)--`, `' AND 1=CAST((SELECT version()) AS int)--`, `$1`, `?`, `:id`, `@p`, `%s`, `{{7*7}}`, `${7*7}`, `%' AND '%'='`, `_`, `%`,
	`{"$ne":null}`, `[$ne]`, `*`, `1e309`, `-1`, `9223372036854775808`, `0x31`, "\u02bc OR 1=1", "\uff07 OR 1=1", `\'; SELECT 1--`, `E'\\x27'`, `$$;SELECT 1;$$`, `COPY x FROM PROGRAM 'id'`,
}

// case 111: nothing that stands in a path, a parameter, a cursor or a body is read as SQL,
// on either engine: no answer is our fault, none shows another tenant's records, and all
// is there afterwards.
func TestNothingIsInjected(t *testing.T) {
	t.Parallel()
	cfg := settings(t, t.TempDir())
	cfg.AdminKey = adminKey
	s, c := start(t, serve.Config{Settings: cfg})
	for _, tenant := range []string{"mine", "theirs"} {
		if _, err := c.PutTenant(t.Context(), tenant, client.TenantInput{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateEndpoint(t.Context(), tenant, client.EndpointInput{URL: client.Set("https://" + tenant + "-canary.example.com/"), State: client.Set(client.Paused)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Publish(t.Context(), tenant, client.Event{Type: "a.b", ID: tenant + "-canary", Data: json.RawMessage(`1`)}); err != nil {
			t.Fatal(err)
		}
	}
	key, err := c.CreateKey(t.Context(), client.KeyInput{Tenants: []string{"mine"}, Scopes: []string{client.ScopeManage, client.ScopePublish}})
	if err != nil {
		t.Fatal(err)
	}
	plain := &http.Transport{}
	t.Cleanup(plain.CloseIdleConnections)
	asked, taken := 0, 0
	ask := func(method, path, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
		if err != nil {
			return // no request can be made of it
		}
		req.Header.Set("Authorization", "Bearer "+key.Key)
		res, err := plain.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode >= 500 || strings.Contains(string(text), "theirs-canary") || strings.Contains(strings.ToLower(string(text)), "syntax error") {
			t.Errorf("%s %s %s: %d %.300s, %v", method, path, body, res.StatusCode, text, err)
		}
		if asked++; res.StatusCode < 300 {
			taken++
		}
	}
	lists := map[string][]string{
		"endpoints":       {"url", "state", "cursor", "limit"},
		"events":          {"type", "id", "since", "until", "cursor", "limit", "order"},
		"deliveries":      {"state", "endpoint", "event", "since", "until", "cursor", "limit", "order"},
		"rejected-events": {"since", "cursor", "limit"},
		"replays":         {"cursor", "limit"},
	}
	for _, text := range injections {
		for list, parameters := range lists {
			for _, p := range parameters {
				ask("GET", "/v1/tenants/mine/"+list+"?"+p+"="+url.QueryEscape(text), "")
			}
			ask("GET", "/v1/tenants/mine/"+list+"/"+url.PathEscape(text), "")
		}
		ask("GET", "/v1/tenants/"+url.PathEscape(text)+"/events", "")
		quoted := jsonText(text)
		ask("POST", "/v1/tenants/mine/events", `{"type":"a.b","id":`+quoted+`,"data":`+quoted+`,"metadata":{"x":`+quoted+`}}`)
		ask("POST", "/v1/tenants/mine/events", `{"type":`+quoted+`,"data":1}`)
		ask("POST", "/v1/tenants/mine/endpoints", `{"url":"https://example.com/?`+url.QueryEscape(text)+`","state":"paused","description":`+quoted+`,"event_types":[`+quoted+`],"filter":{"data.x":`+quoted+`}}`)
		ask("PUT", "/v1/tenants/mine/endpoints/"+url.PathEscape(text), `{"url":"https://example.com/","state":"paused"}`)
		ask("POST", "/v1/tenants/mine/replays", `{"endpoint":`+quoted+`}`)
	}
	t.Logf("%d requests with %d texts, %d taken", asked, len(injections), taken)
	if asked < 1000 || taken < len(injections) {
		t.Errorf("%d requests, %d of them taken: this shows little", asked, taken)
	}
	for _, tenant := range []string{"mine", "theirs"} {
		found := false
		for e, err := range c.Events(t.Context(), tenant, client.EventFilter{}) {
			if err != nil {
				t.Fatal(err)
			}
			found = found || e.Key == tenant+"-canary"
		}
		if !found {
			t.Errorf("the event of %s is gone", tenant)
		}
	}
}
