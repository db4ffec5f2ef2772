package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
)

// step follows a cursor of a page and holds it against the Link header.
func (a *answer) step(name string) string {
	a.t.Helper()
	cursor, _ := a.json()[name+"_cursor"].(string)
	linked := ""
	for link := range strings.SplitSeq(a.header.Get("Link"), ", ") {
		if target, ok := strings.CutSuffix(link, `>; rel="`+name+`"`); ok {
			u, err := url.Parse(strings.TrimPrefix(target, "<"))
			must(a.t, err)
			linked = u.Query().Get("cursor")
		}
	}
	if linked != cursor {
		a.t.Errorf("%s_cursor is %q, and Link says %q", name, cursor, a.header.Get("Link"))
	}
	return cursor
}

func (a *answer) ids() (ids []string) {
	a.t.Helper()
	for _, item := range a.list("data") {
		id, ok := item["id"].(string)
		if !ok {
			id, _ = item["name"].(string)
		}
		ids = append(ids, id)
	}
	return ids
}

// there and back: every page that the way back shows is one that the way
// there has shown.
func (b *bundle) thereAndBack(path string, limit int) (pages [][]string) {
	b.t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	at := func(cursor string) *answer {
		return b.want(http.StatusOK, "GET", fmt.Sprintf("%s%slimit=%d&cursor=%s", path, sep, limit, cursor), "")
	}
	a := at("")
	if a.step("prev") != "" {
		b.t.Errorf("%s: the first page has a prev_cursor", path)
	}
	for {
		pages = append(pages, a.ids())
		next := a.step("next")
		if next == "" {
			break
		}
		if a = at(next); len(pages) > 100 {
			b.t.Fatalf("%s: no end of pages: %v", path, pages[:5])
		}
	}
	for i := len(pages) - 2; i >= 0; i-- {
		prev := a.step("prev")
		if prev == "" {
			b.t.Fatalf("%s: no prev_cursor on page %d", path, i+1)
		}
		a = at(prev)
		if diff := cmp.Diff(pages[i], a.ids()); diff != "" {
			b.t.Errorf("%s: page %d on the way back: %s", path, i, diff)
		}
	}
	if prev := a.step("prev"); prev != "" {
		b.t.Errorf("%s: there is a page before the first", path)
	}
	return pages
}

func TestPagesBothWays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.endpoint("acme", `{"url":"https://example.com/1"}`)
	b.endpoint("acme", `{"url":"https://example.com/2"}`)
	b.endpoint("acme", `{"url":"https://example.com/3","event_types":["b"]}`)
	for i := range 11 {
		b.publish("acme", fmt.Sprintf(`{"type":"%c","data":1}`, 'a'+i%2))
		b.want(http.StatusCreated, "PUT", fmt.Sprintf("/v1/event-types/t%d", i), "")
		b.want(http.StatusCreated, "PUT", fmt.Sprintf("/v1/tenants/t%d", i), "")
		b.key(`{"scopes":["read"]}`)
	}
	b.want(http.StatusOK, "PATCH", "/v1/tenants/acme/endpoints/"+first, `{"state":"paused"}`)
	for path, want := range map[string]int{
		acmeEvents: 11, acmeEvents + "?type=b": 5, acmeDeliveries: 27, acmeDeliveries + "?type=b": 15, acmeDeliveries + "?state=held": 11, acmeDeliveries + "?state=pending": 16,
		acmeDeliveries + "?endpoint=" + first: 11, "/v1/event-types": 11, "/v1/tenants": 13, "/v1/keys": 12, "/v1/tenants/acme/endpoints": 3,
	} {
		for _, limit := range []int{1, 2, 4, 250} {
			n := 0
			for _, page := range b.thereAndBack(path, limit) {
				n += len(page)
			}
			if n != want {
				t.Errorf("%s in pages of %d: %d items, want %d", path, limit, n, want)
			}
		}
	}
}

// What comes in while somebody pages changes no page that was seen, and is found
// on the way back.
func TestPagesAreStable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 4 {
		b.publish("acme", `{"type":"a","data":1}`)
		b.want(http.StatusCreated, "PUT", fmt.Sprintf("/v1/event-types/m%d", 2*i), "")
	}
	one := b.want(http.StatusOK, "GET", acmeEvents+"?limit=2", "")
	two := b.want(http.StatusOK, "GET", acmeEvents+"?limit=2&cursor="+one.step("next"), "")
	newer := []string{b.publish("acme", `{"type":"a","data":1}`), b.publish("acme", `{"type":"a","data":1}`)}
	again := b.want(http.StatusOK, "GET", acmeEvents+"?limit=2&cursor="+two.step("prev"), "")
	if diff := cmp.Diff(one.ids(), again.ids()); diff != "" {
		t.Error(diff)
	}
	zero := b.want(http.StatusOK, "GET", acmeEvents+"?limit=2&cursor="+again.step("prev"), "")
	if diff := cmp.Diff([]string{newer[1], newer[0]}, zero.ids()); diff != "" {
		t.Error(diff)
	}
	// Of a list in memory, what is put before, between and behind.
	one = b.want(http.StatusOK, "GET", "/v1/event-types?limit=2", "")
	two = b.want(http.StatusOK, "GET", "/v1/event-types?limit=2&cursor="+one.step("next"), "")
	for _, name := range []string{"a", "m1", "m5", "z"} {
		b.want(http.StatusCreated, "PUT", "/v1/event-types/"+name, "")
	}
	b.want(http.StatusNoContent, "DELETE", "/v1/event-types/m2", "")
	again = b.want(http.StatusOK, "GET", "/v1/event-types?limit=2&cursor="+two.step("prev"), "")
	if diff := cmp.Diff([]string{"m0", "m1"}, again.ids()); diff != "" {
		t.Error(diff)
	}
	zero = b.want(http.StatusOK, "GET", "/v1/event-types?limit=2&cursor="+again.step("prev"), "")
	if diff := cmp.Diff([]string{"a"}, zero.ids()); diff != "" || zero.step("prev") != "" {
		t.Error(diff)
	}
	// Nothing is left of what a cursor leads to.
	for _, name := range []string{"m4", "m5", "m6", "z"} {
		b.want(http.StatusNoContent, "DELETE", "/v1/event-types/"+name, "")
	}
	end := b.want(http.StatusOK, "GET", "/v1/event-types?limit=2&cursor="+one.step("next"), "")
	if len(end.ids()) != 0 || end.step("next") != "" {
		t.Error(end.body)
	}
	if before := b.want(http.StatusOK, "GET", "/v1/event-types?limit=2&cursor="+end.step("prev"), ""); before.ids()[1] != "m1" {
		t.Error(before.body)
	}
}

// A cursor back is no cursor forth.
func TestCursorsAreBoundToTheirDirection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	endpoint := b.endpoint("acme", `{"url":"https://example.com/"}`)
	for range 3 {
		b.attempt(b.publish("acme", `{"type":"a","data":1}`), endpoint, hook.Attempt{N: 1, At: time.Now(), Status: 200, State: hook.Delivered})
	}
	next := b.want(http.StatusOK, "GET", acmeDeliveries+"?limit=1", "").step("next")
	second := b.want(http.StatusOK, "GET", acmeDeliveries+"?limit=1&cursor="+next, "")
	if prev := second.step("prev"); prev == next || prev == second.step("next") {
		t.Error("cursors of both directions are the same")
	}
	b.want(http.StatusBadRequest, "GET", acmeDeliveries+"?limit=1&state=failed&cursor="+second.step("prev"), "")
}
