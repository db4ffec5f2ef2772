package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"grapnel/internal/api"
	"grapnel/internal/testaid"
)

// imported is what an import tells of a record.
type imported struct {
	Outcome, Kind, Tenant, Field, Message string
}

// Whatever is imported, a dry run tells beforehand what becomes of each record, and what
// was taken is unchanged when it is sent again.
func FuzzImport(f *testing.F) {
	for _, seed := range []string{
		`[]`, `[{"kind":"tenant","tenant":"t1","name":"T","settings":{"vendor_id":"7"},"quota":{"events":5}},{"kind":"key","tenant":"t1","key":"a-key-that-is-long-enough"},{"tenant":"t1","vendor_id":17,"url":"https://example.com/","event":"a.b","state":"inactive","fields":"id, name","label":"l"}]`,
		`[{"tenant":"acme","vendor_id":"x","url":"https://example.com/","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},{"tenant":"acme","vendor_id":"x","url":"https://example.com/2","headers":{"A":"b"},"ordering":"key","skip_after":5,"created_at":"2026-01-31 08:00:00"}]`,
		"{\"kind\":\"key\",\"tenants\":[\"*\"],\"scopes\":[\"read\"],\"key\":\"another-key-of-some-length\"}\n{\n7\nnull\n{\"kind\":\"x\"}\n",
		`[{"tenant":"acme","url":"https://example.com/"}]`, `[{"kind":"tenant","tenant":"a/b"},{"kind":"tenant","tenant":"t2","dialect":"canceller","secret":"s3cret-of-the-tenant"},{"kind":"tenant","tenant":"t2","url":"x"}]`,
		`[{"tenant":"acme","vendor_id":"f","url":"https://example.com/","filter":{"a":[1]},"event_types":["a.*","a.*"]}]`, `[{"a":1,"a":2},{"tenant":"\ud800"},[[]]]`,
	} {
		f.Add([]byte(seed))
	}
	faults := &testaid.Buffer{}
	b := setup(f, func(c *api.Config) {
		c.Logger = slog.New(slog.NewTextHandler(faults, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		send := func(query string) []imported {
			a := b.unheld("POST", "/v1/import"+query, string(body))
			if a.Code >= http.StatusInternalServerError || faults.String() != "" {
				t.Fatalf("%d: %s\n%s", a.Code, a.Body, faults)
			}
			if a.Code != http.StatusOK {
				return nil
			}
			var out struct{ Results []imported }
			if err := json.Unmarshal(a.Body.Bytes(), &out); err != nil {
				t.Fatal(err)
			}
			return out.Results
		}
		before := send("?dry_run=true")
		now := send("")
		if !slices.Equal(before, now) {
			t.Fatalf("a dry run told %+v, and it became %+v", before, now)
		}
		for i, r := range send("") {
			if (r.Outcome == "refused") != (now[i].Outcome == "refused") || r.Outcome == "created" {
				t.Errorf("record %d was %+v, and sent again is %+v", i, now[i], r)
			}
		}
		twice := send("")
		for i, r := range twice { // what is there twice in one request changes each time
			if r.Outcome == "updated" && len(twice) == 1 {
				t.Errorf("record %d is changed by the same again: %+v", i, r)
			}
		}
	})
}
