package vendortest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/vendortest"
)

// sendRecords sends records, one a line, and tells what became of each: its
// outcome, and of a refused one the field and the message.
func sendRecords(t *testing.T, s *vendortest.Server, query string, lines ...string) []string {
	t.Helper()
	a := s.Do("POST", "/v1/import"+query, []string{"Authorization: Bearer " + s.Admin, "Content-Type: application/x-ndjson"}, strings.Join(lines, "\n"))
	var report client.ImportReport
	if err := json.Unmarshal([]byte(a.Body), &report); err != nil || a.Status != http.StatusOK || len(report.Results) != len(lines) {
		t.Fatalf("%d: %s", a.Status, a.Body)
	}
	var out []string
	for _, r := range report.Results {
		text := r.Outcome
		if r.Outcome == client.ImportRefused {
			text += " " + r.Field + " " + r.Message
		}
		out = append(out, text)
	}
	return out
}

// Records are taken over as they are, found again by what they are called
// elsewhere, and those that cannot be are refused one by one.
func TestImport(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	first := []string{
		`{"tenant":"moved","vendor_id":7,"url":"https://example.com/a?b=%2f","event":"client_created","secret":" s3 cret ","headers":{"X-Token":"t"}}`,
		`{"kind":"key","tenant":"moved","key":"an old key 0123456789"}`,
		`{"kind":"tenant","tenant":"moved","dialect":"propstack","settings":{"a":"b"}}`,
		`{"tenant":"moved","vendor_id":"8","url":"https://example.com/b","event_types":["client_updated"],"state":"inactive","created_at":"2020-05-06 07:08:09"}`,
		`{"tenant":"moved","vendor_id":9,"url":"https://example.com/c","event":"client_updated","state":"disabled"}`,
	}
	steps := []struct {
		name  string
		query string
		lines []string
		want  []string // beginnings of the outcomes
	}{
		{"a dry run stores nothing", "?dry_run=true", first, []string{"created", "created", "created", "created", "created"}},
		{"the tenant may come behind", "", first, []string{"created", "created", "created", "created", "created"}},
		{"again", "", first, []string{"unchanged", "unchanged", "unchanged", "unchanged", "unchanged"}},
		{"changes", "", []string{
			`{"tenant":"moved","vendor_id":7,"secret":"s3 cret"}`, `{"tenant":"moved","vendor_id":7,"secret":"s3 cret"}`,
			`{"kind":"tenant","tenant":"moved","name":"Moved"}`, `{"kind":"key","tenants":["moved"],"key":"an old key 0123456789","scopes":["read"]}`,
			`{"tenant":"moved","vendor_id":9,"state":"active"}`, `{"tenant":"moved","vendor_id":8,"headers":{}}`,
		}, []string{"updated", "unchanged", "updated", "updated", "updated", "unchanged"}},
		{"order", "", []string{
			`{"tenant":"moved","vendor_id":9,"ordering":"key","skip_after":5}`,
			`{"tenant":"moved","vendor_id":9,"ordering":"key"}`,
			`{"kind":"tenant","tenant":"moved","quota":{"events_per_second":1000}}`,
			`{"kind":"tenant","tenant":"moved","ordering":"key"}`,
			`{"tenant":"moved","vendor_id":8,"ordering":"sideways"}`,
			`{"tenant":"moved","vendor_id":8,"skip_after":3}`,
			`{"tenant":"moved","vendor_id":8,"ordering":"strict","skip_after":-1}`,
			`{"tenant":"moved","vendor_id":8,"ordering":"none","skip_after":null}`,
			`{"tenant":"moved","vendor_id":8,"ordering":7}`,
		}, []string{
			"updated", "unchanged", "updated", "refused /ordering has no place", "refused /ordering is \"sideways\"", "refused /skip_after is for an endpoint",
			"refused /skip_after is -1", "unchanged", "refused /ordering",
		}},
		{"no order any more", "", []string{`{"tenant":"moved","vendor_id":9,"ordering":null}`, `{"tenant":"moved","vendor_id":9,"skip_after":null}`}, []string{"updated", "unchanged"}},
		{"twice in one request", "", []string{
			`{"tenant":"moved","vendor_id":20,"url":"https://example.com/d","event":"client_created"}`,
			`{"tenant":"moved","vendor_id":20,"event":"client_updated"}`,
			`{"kind":"tenant","tenant":"two"}`, `{"kind":"tenant","tenant":"two","name":"Two"}`,
			`{"tenant":"moved","vendor_id":20,"event":"client_created"}`,
			`{"kind":"key","tenant":"two","key":"of two tenants 01234"}`, `{"kind":"key","tenant":"moved","key":"of two tenants 01234"}`,
			`{"kind":"key","tenants":["two"],"key":"of two tenants 01234"}`, `{"kind":"key","tenant":"two","key":"of two tenants 01234","scopes":["read"]}`,
		}, []string{
			"created", "refused /vendor_id is that of record 1 of this request", "created", "updated", "unchanged",
			"created", "refused /key is that of record 6 of this request", "unchanged", "refused /key is that of record 6 of this request",
		}},
		{"a key of another tenant", "", []string{
			`{"kind":"key","tenant":"moved","key":"of two tenants 01234"}`,
		}, []string{"refused /key is bound to two here"}},
		{"a key of one tenant more", "", []string{
			`{"kind":"key","tenants":["two","moved"],"key":"of two tenants 01234"}`,
		}, []string{"updated"}},
		{"refusals", "", []string{
			`nonsense`,
			`{"tenant":"moved","vendor_id":21}`,
			`{"tenant":"moved","url":"https://example.com/"}`,
			`{"tenant":"moved","vendor_id":"x","url":"https://example.com/","event":"client_created"}`,
			`{"tenant":"nobody","vendor_id":22}`,
			`{"vendor_id":22}`,
			`{"tenant":"moved","vendor_id":22,"url":"https://example.com/","event":"nothing_created"}`,
			`{"tenant":"moved","vendor_id":22,"url":"https://example.com/","event":"client_created","state":"asleep"}`,
			`{"tenant":"moved","vendor_id":22,"url":"https://example.com/","event":"client_created","event_types":[]}`,
			`{"tenant":"moved","vendor_id":22,"url":"https://example.com/","event":"client_created","created_at":"yesterday"}`,
			`{"tenant":"moved","vendor_id":22,"nmae":"x"}`,
			`{"tenant":"two","dialect":"propstack","vendor_id":7}`,
			`{"tenant":"moved","dialect":"standard","vendor_id":"own","url":"https://example.com/"}`,
			`{"tenant":"moved","dialect":"customers1st","vendor_id":22,"url":"https://example.com/","event":"customer.created","secret":"x"}`,
			`{"kind":"tenant","tenant":"a b"}`,
			`{"kind":"tenant","tenant":"moved","url":"https://example.com/"}`,
			`{"kind":"key","key":"another key 0123456"}`,
			`{"kind":"key","tenant":"moved","key":"short"}`,
			`{"kind":"key","tenants":["*"],"key":"another key 0123456","scopes":["admin"]}`,
			`{"kind":"key","tenants":["*"],"key":"` + s.Admin + `"}`,
			`{"kind":"hok"}`,
			`[1]`,
		}, []string{
			"refused  not valid JSON", "refused /url is missing", "refused /vendor_id is missing", "refused /vendor_id \"x\" is no number", "refused /tenant there is no tenant",
			"refused /tenant is missing", "refused /event_types/0", "refused /state", "refused /event give either", "refused /created_at want", "refused /nmae is not known",
			"refused /vendor_id is that of a hook of another tenant", "refused /secret is missing", "refused /secret", "refused /tenant", "refused /url has no place",
			"refused /tenant is missing", "refused /key has 5 bytes", "refused /scopes", "refused /key is an admin key", "refused /kind", "refused  ",
		}},
	}
	for _, step := range steps {
		got := sendRecords(t, s, step.query, step.lines...)
		for i := range step.want {
			if !strings.HasPrefix(got[i], step.want[i]) {
				t.Errorf("%s: %s: %q, want %q", step.name, step.lines[i], got[i], step.want[i])
			}
		}
		if step.query != "" {
			if _, err := s.Tenant(t.Context(), "moved"); client.CodeOf(err) != client.CodeNotFound {
				t.Errorf("after a dry run: %v", err)
			}
		}
	}
	var states []string
	for e, err := range s.Endpoints(t.Context(), "moved") {
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, *e.VendorID+" "+e.URL+" "+e.State+" "+e.StateReason)
		if *e.VendorID == "8" && e.CreatedAt.Format("2006-01-02 15:04:05") != "2020-05-06 07:08:09" {
			t.Errorf("created %s", e.CreatedAt)
		}
	}
	if want := []string{"7 https://example.com/a?b=%2f active ", "8 https://example.com/b paused ", "9 https://example.com/c active ", "20 https://example.com/d active "}; !slices.Equal(states, want) {
		t.Errorf("%q, want %q", states, want)
	}
	// The key does what it is to do, from now on.
	if a := s.Do("GET", "/v1/tenants/moved/endpoints", []string{"Authorization: Bearer an old key 0123456789"}, ""); a.Status != http.StatusOK {
		t.Errorf("%d: %s", a.Status, a.Body)
	}
}

// An id of a hook that was deleted is not given again, unless its tenant went
// too: whoever begins anew may bring the same file.
func TestImportAfterDeletion(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	lines := []string{`{"kind":"tenant","tenant":"moved","dialect":"propstack"}`, `{"tenant":"moved","vendor_id":7,"url":"https://example.com/","event":"client_created"}`}
	sendRecords(t, s, "", lines...)
	for e, err := range s.Endpoints(t.Context(), "moved") {
		if err == nil {
			_, err = s.DeleteEndpoint(t.Context(), "moved", e.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := sendRecords(t, s, "", lines...); !strings.Contains(got[1], "was deleted here") {
		t.Errorf("%q", got)
	}
	if _, err := s.DeleteTenant(t.Context(), "moved"); err != nil {
		t.Fatal(err)
	}
	if got := sendRecords(t, s, "", lines...); got[0] != "created" || got[1] != "created" {
		t.Errorf("%q", got)
	}
	if got := sendRecords(t, s, "", lines...); got[0] != "unchanged" || got[1] != "unchanged" {
		t.Errorf("%q", got)
	}
}

// A record of an array that is no JSON of ours is refused by itself too.
func TestImportRefusesOneOfAnArray(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	body := `[{"kind":"tenant","tenant":"a","tenant":"b"},{"kind":"tenant","tenant":"c","name":"` + "\xe9" + `"},{"kind":"tenant","tenant":"d"}]`
	a := s.Do("POST", "/v1/import", []string{"Authorization: Bearer " + s.Admin}, body)
	var report client.ImportReport
	if err := json.Unmarshal([]byte(a.Body), &report); err != nil || report.Refused != 2 || report.Created != 1 || report.Results[0].Field != "/tenant" {
		t.Errorf("%d: %s", a.Status, a.Body)
	}
}

// The whole request is refused where it is no list of records.
func TestImportRefusesRequests(t *testing.T) {
	t.Parallel()
	s := vendortest.Start(t)
	for body, want := range map[string]int{"": 400, "[]": 400, `[{"kind":"tenant"`: 400, strings.Repeat("{}\n", 1001): 413} {
		if a := s.Do("POST", "/v1/import", []string{"Authorization: Bearer " + s.Admin}, body); a.Status != want {
			t.Errorf("%.20q: %d: %s", body, a.Status, a.Body)
		}
	}
	var problem *client.Error
	if _, err := s.Import(t.Context(), make([]client.ImportRecord, 1001)); !errors.As(err, &problem) || problem.Code() != client.CodeTooLarge {
		t.Error(err)
	}
}
