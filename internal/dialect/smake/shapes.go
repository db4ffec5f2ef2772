package smake

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
)

// The versions of the API.
const (
	first  = "2021-02-23"
	second = "2022-02-01"
)

// The words of a webhook's state, and the setting that keeps the version that a
// client gave it.
const (
	active, inactive = "active", "inactive"
	versionSetting   = "version"
)

// version is the version that a request is answered in; see the package's
// comment.
func version(r *http.Request, t *hook.Tenant) string {
	if v := r.Header.Get("X-Api-Version"); isVersion(v) {
		return v
	}
	return appVersion(t)
}

// appVersion is the version that an app has.
func appVersion(t *hook.Tenant) string {
	_, variant, _ := strings.Cut(t.Dialect, "@")
	for _, v := range []string{t.APIVersion, variant} {
		if isVersion(v) {
			return v
		}
	}
	return first
}

func isVersion(v string) bool {
	_, err := time.Parse(time.DateOnly, v)
	return err == nil
}

// later reports whether the answer has the shapes of 2022-02-01.
func (c *call) later() bool { return c.version >= second }

// event is an event that a webhook listens to.
type event struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// webhook is one of 2021-02-23 (SM-M2). The token is never shown.
type webhook struct {
	ID         jsontext.Value `json:"id"` // a number
	IsTest     bool           `json:"is_test"`
	URL        string         `json:"url"`
	EventTypes []event        `json:"event_types"`
}

// laterWebhook is one of 2022-02-01 (SM-M3).
type laterWebhook struct {
	ID          jsontext.Value `json:"id"`
	Description struct {
		EN string `json:"en"`
	} `json:"description"`
	Version   string  `json:"version"`
	State     string  `json:"state"`
	URL       string  `json:"url"`
	Events    []event `json:"events"`
	CreatedAt string  `json:"created_at"`
	UpdatedAt string  `json:"updated_at"`
}

// shape is a webhook as the answer shows it.
func (c *call) shape(e *hook.Endpoint) any {
	if !c.later() {
		// A test app has the setting is_test.
		return webhook{number(e), c.Tenant().Settings["is_test"] == "true", e.URL, c.events(e)}
	}
	w := laterWebhook{
		ID: number(e), Version: e.Settings[versionSetting], State: active, URL: e.URL, Events: c.events(e),
		CreatedAt: moment(e.CreatedAt), UpdatedAt: moment(e.UpdatedAt),
	}
	w.Description.EN = e.Description
	if w.Version == "" {
		w.Version = appVersion(c.Tenant())
	}
	if !e.Active() {
		w.State = inactive
	}
	return w
}

// number is a webhook's id. An operator's variant of the dialect may have none.
func number(e *hook.Endpoint) jsontext.Value {
	if e.VendorID == "" {
		return jsontext.Value("null")
	}
	return jsontext.Value(e.VendorID)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05-07:00") }

// events are those of a webhook, by name. One that was made elsewhere may have
// chosen many at once.
func (c *call) events(e *hook.Endpoint) []event {
	out := []event{}
	add := func(name string) {
		if one := (event{c.place(name), name}); !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	for _, name := range e.EventTypes {
		if !strings.HasSuffix(name, ".*") {
			add(name)
		}
	}
	for _, name := range c.control.Types() {
		if hook.MatchesType(e.EventTypes, name) {
			add(name)
		}
	}
	return out
}

// place is the id of an event: its place in the catalogue, else one made of the
// name, so that it stays when other events come and go.
func (a *api) place(name string) int64 {
	if i := slices.Index(a.catalogue, name); i >= 0 {
		return int64(i + 1)
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return 1000 + int64(h.Sum32())
}

// page is a page of a list, as Laravel shapes it.
type page struct {
	Data  []any `json:"data"`
	Links struct {
		First string  `json:"first"`
		Last  string  `json:"last"`
		Prev  *string `json:"prev"`
		Next  *string `json:"next"`
	} `json:"links"`
	Meta struct {
		CurrentPage int    `json:"current_page"`
		From        *int   `json:"from"` // null on an empty page
		Path        string `json:"path"`
		PerPage     int    `json:"per_page"`
		To          *int   `json:"to"`
	} `json:"meta"`
}

// Pages have 25 webhooks unless per_page says otherwise, and at most 100.
const usualPage, maxPage = 25, 100

// page shows the page of hooks that the query asks for.
func (c *call) page(hooks []*hook.Endpoint) page {
	q := c.r.URL.Query()
	number, size, extra := positive(q.Get("page"), 1), min(positive(q.Get("per_page"), usualPage), maxPage), ""
	if q.Has("per_page") {
		extra = fmt.Sprintf("per_page=%d&", size)
	}
	path := c.control.PublicURL() + "/v2/apps/" + c.app + "/webhooks"
	at := func(n int) string { return fmt.Sprintf("%s?%spage=%d", path, extra, n) }
	pages := max(1, (len(hooks)+size-1)/size)

	p := page{Data: []any{}}
	p.Links.First, p.Links.Last = at(1), at(pages)
	if number > 1 {
		prev := at(min(number, pages+1) - 1)
		p.Links.Prev = &prev
	}
	if number < pages {
		next := at(number + 1)
		p.Links.Next = &next
	}
	p.Meta.CurrentPage, p.Meta.Path, p.Meta.PerPage = number, path, size
	if number <= pages && len(hooks) > 0 {
		from, to := (number-1)*size+1, min(number*size, len(hooks))
		p.Meta.From, p.Meta.To = &from, &to
		for _, e := range hooks[from-1 : to] {
			p.Data = append(p.Data, c.shape(e))
		}
	}
	return p
}

// positive reads a number of a query; what is none is as if it was not there.
func positive(s string, otherwise int) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// answer writes a value as JSON; nil is no body.
func answer(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, body, json.Deterministic(true)) // the caller is gone, if anything
}
