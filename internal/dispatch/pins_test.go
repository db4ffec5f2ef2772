package dispatch_test

import (
	"errors"
	"strings"
	"testing"

	"grapnel/internal/dialect"
	"grapnel/internal/dispatch"
	"grapnel/internal/hook"
)

// types are event types by name.
type types map[string]*hook.EventType

func (t types) TypeRecord(name string) (*hook.EventType, bool) {
	r, ok := t[name]
	return r, ok
}

// shaped is a dialect whose body shows what shapes bodies.
func shaped(t *testing.T, text string) *dialect.Dialect {
	t.Helper()
	d, err := dialect.Load("shaped", []byte(`
name: shaped
title: Test
request:
  timeout: 10s
  headers: {content-type: application/json, User-Agent: Test}
  body:
    json: ["`+text+`", "{delivery.number}", "{public_url}", "{event.data}", "{event.changed}"]
    project: true
subscription: any
secret: {made: never}
success: [2xx]
retry: {on: none}
on_inactive: hold
`))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Each part of a body is as it was in the revision that the event was matched
// under, and as it is now for an event that was never stored.
func TestPins(t *testing.T) {
	t.Parallel()
	now := shaped(t, "now")
	registry, err := dialect.NewRegistry(now)
	if err != nil {
		t.Fatal(err)
	}
	c := dispatch.Composer{Dialects: registry, PublicURL: "https://now", Pins: &dispatch.Pins{
		URLs: []hook.Past[string]{{Before: 5, Value: "https://oldest"}, {Before: 6, Value: "https://old"}},
		Dialects: map[string][]hook.Past[dispatch.PastDialect]{"shaped": {
			{Before: 4, Value: dispatch.PastDialect{Err: errors.New("shaped:3: no such key")}},
			{Before: 5, Value: dispatch.PastDialect{Dialect: shaped(t, "before")}},
		}},
		Types: types{
			"a.b": {
				Versions:     []hook.TypeVersion{{Version: "2"}, {Version: "1", Convert: ".fields.now = 1"}},
				PastVersions: []hook.Past[[]hook.TypeVersion]{{Before: 5}, {Before: 7, Value: []hook.TypeVersion{{Version: "1", Convert: "{fields: {then: .fields.a}}"}}}},
			},
			"gone": {
				Deleted:      true,
				PastVersions: []hook.Past[[]hook.TypeVersion]{{Before: 7, Value: []hook.TypeVersion{{Version: "1", Convert: "{gone: .fields.a}"}}}},
			},
			"broken":       {Versions: []hook.TypeVersion{{Version: "1", Convert: `error("why")`}}},
			"mended":       {Versions: []hook.TypeVersion{{Version: "1", Convert: "{fields}"}}, PastVersions: []hook.Past[[]hook.TypeVersion]{{Before: 9, Value: []hook.TypeVersion{{Version: "1", Convert: ".[], 1"}}}}},
			"grapnel.note": {Versions: []hook.TypeVersion{{Version: "1", Convert: `error("why")`}}},
		},
	}}
	endpoint := &hook.Endpoint{Num: 7, Dialect: "shaped", Fields: []string{"fields.now", "fields.then", "gone"}, PastFields: []hook.Past[[]string]{{Before: 6}}}
	tenant := &hook.Tenant{APIVersion: "1", PastAPIVersions: []hook.Past[string]{{Before: 5}}}
	for _, x := range []struct {
		name, eventType string
		revision        int64
		want, fails     string
	}{
		{"a text that cannot be read any more", "a.b", 3, "", "the dialect shaped as it was"},
		{"before everything", "a.b", 4, `["before",31,"https://oldest",{"fields":{"a":1.0}},["fields"]]`, ""},
		{"another URL, text and version", "a.b", 5, `["now",31,"https://old",{"fields":{"then":1.0}},["fields"]]`, ""},
		{"other fields", "a.b", 6, `["now",31,"https://now",{"fields":{"then":1.0}},["fields"]]`, ""},
		{"other converters", "a.b", 7, `["now",31,"https://now",{"fields":{"now":1}},["fields"]]`, ""},
		{"never stored", "a.b", 0, `["now",31,"https://now",{"fields":{"now":1}},["fields"]]`, ""},
		{"a type that was deleted since", "gone", 6, `["now",31,"https://now",{"gone":1.0},["gone"]]`, ""},
		{"a type that was deleted before", "gone", 7, `["now",31,"https://now",{"fields":{}},["fields"]]`, ""},
		{"a type that nobody registered", "x.y", 7, `["now",31,"https://now",{"fields":{}},["fields"]]`, ""},
		{"a converter that fails", "broken", 7, "", "cannot be converted to version 1: the program failed"},
		{"one that was mended", "mended", 5, `["now",31,"https://old",{"fields":{"a":1.0}},["fields"]]`, ""},
		{"an event of the server's own", "grapnel.note", 7, `["now",31,"https://now",{"fields":{}},["fields"]]`, ""},
	} {
		e := &hook.Event{
			Type: x.eventType, Revision: x.revision, Data: []byte(`{"fields":{"a":1.0}}`), Previous: []byte(`{"fields":{"a":2}}`), Number: 30,
			Targets: []hook.Target{{Endpoint: 2}, {Endpoint: 7}, {Endpoint: 9}},
		}
		body, err := c.Render(e, endpoint, tenant)
		switch {
		case x.fails != "":
			if err == nil || !strings.Contains(err.Error(), x.fails) {
				t.Errorf("%s: got %s, %v, want an error with %q", x.name, body, err, x.fails)
			}
		case err != nil || string(body) != x.want:
			t.Errorf("%s: got %s, %v, want %s", x.name, body, err, x.want)
		}
	}
	// An endpoint that the event did not match has no delivery, and no number.
	body, err := c.Render(&hook.Event{Type: "x.y", Data: []byte(`{}`), Number: 30, Targets: []hook.Target{{Endpoint: 2}}}, endpoint, tenant)
	if want := `["now",0,"https://now",{},[]]`; err != nil || string(body) != want {
		t.Errorf("got %s, %v, want %s", body, err, want)
	}
}

// C1-D2: settings that a body holds are those of the event's time, and the
// records that everybody reads stay as they are.
func TestSettingsAreAsOfTheEvent(t *testing.T) {
	t.Parallel()
	d := shaped(t, "{tenant.vendor_id} {endpoint.setting.lang|none}")
	registry, err := dialect.NewRegistry(d)
	if err != nil {
		t.Fatal(err)
	}
	endpoint := &hook.Endpoint{Dialect: "shaped", Settings: map[string]string{"lang": "sv"}, PastSettings: []hook.Past[map[string]string]{{Before: 5}}}
	tenant := &hook.Tenant{Num: 3, Settings: map[string]string{"vendor_id": "18"}, PastSettings: []hook.Past[map[string]string]{
		{Before: 4}, {Before: 6, Value: map[string]string{"vendor_id": "17"}},
	}}
	for _, pins := range []*dispatch.Pins{nil, {}} {
		c := dispatch.Composer{Dialects: registry, Pins: pins}
		for revision, want := range map[int64]string{3: "3 none", 4: "17 none", 5: "17 sv", 6: "18 sv", 0: "18 sv"} {
			body, err := c.Render(&hook.Event{Type: "a.b", Data: []byte(`{}`), Revision: revision}, endpoint, tenant)
			if err != nil || !strings.HasPrefix(string(body), `["`+want+`",`) {
				t.Errorf("in revision %d: %s, %v, want %s", revision, body, err, want)
			}
		}
	}
	if endpoint.Settings["lang"] != "sv" || tenant.Settings["vendor_id"] != "18" {
		t.Errorf("%v %v", endpoint.Settings, tenant.Settings)
	}
}
