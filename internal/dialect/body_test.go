package dialect_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// bodied is the base file with another body; more are keys of the file itself.
func bodied(body string, more ...string) string {
	from, to := strings.Index(base, "  body:"), strings.Index(base, "events:")
	head := base[:from]
	if strings.HasPrefix(body, "{form:") {
		head = strings.Replace(head, "application/json", "application/x-www-form-urlencoded", 1)
	}
	return head + "  body: " + body + "\n" + strings.Join(more, "\n") + "\n" + base[to:]
}

// rendered is the body of an event under the base file with another body.
func rendered(t testing.TB, body string, in dialect.Input, more ...string) (string, error) {
	t.Helper()
	out, err := load(t, bodied(body, more...)).Body(in)
	return string(out), err
}

const account = `{"id":"a","account":{"id":7,"name":"A\/\u00e9\"","none":null,"list":[1],"big":12345678901234567890.10},"a":1,"a":{"b":2},"esc\u0061ped":true}`

func wideInput() dialect.Input {
	return dialect.Input{
		Event: &hook.Event{
			ID: hook.EventIDFrom(7_000_000_000_000, 9), Type: "thing_deleted", Data: []byte(account),
			Metadata: []byte(`{"store_id": "5", "n": 3, "deep": {"er": "x"}}`),
			Time:     time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.FixedZone("", 3600)),
		},
		Endpoint: &hook.Endpoint{ID: "ep_1", Num: 12, VendorID: "5598", Settings: map[string]string{"store": `s"1`, "empty": ""}},
		Tenant:   &hook.Tenant{ID: "acme", Num: 3, Settings: map[string]string{"region": "eu"}},
		Number:   12723294,
	}
}

func TestBodyPlaceholders(t *testing.T) {
	t.Parallel()
	const number = "ids: number"
	for _, c := range []struct{ name, template, want, more string }{
		{"C1-D2 initiated", `"{event.time_offset}"`, `"2026-01-02T02:04:05+00:00"`, ""},
		{"SW-6 timestamp", `"{event.time}"`, `"2026-01-02T02:04:05.006Z"`, ""},
		{"C1-D2 logid", `["{delivery.number}", "n {delivery.number}"]`, `[12723294,"n 12723294"]`, ""},
		{"C1-D2 resthookid", `["{endpoint.vendor_id}", "h/{endpoint.vendor_id}"]`, `[5598,"h/5598"]`, number},
		{"SP-D1 webhook id", `["{endpoint.vendor_id}", "h/{endpoint.vendor_id}"]`, `["5598","h/5598"]`, "ids: uuid"},
		{"C1-D2 storeid", `["{tenant.vendor_id}", "t{tenant.vendor_id}"]`, `[3,"t3"]`, ""},
		{"C1-D3 metadata", `"{event.metadata|[]}"`, `{"store_id": "5", "n": 3, "deep": {"er": "x"}}`, ""},
		{"C1-D3 metadata without a default", `"{event.metadata}"`, `{"store_id": "5", "n": 3, "deep": {"er": "x"}}`, ""},
		{"SP-D1 a text of the data", `"{event.data.id}"`, `"a"`, ""},
		{"SP-D1 a number of the data", `["{event.data.account.id}", "#{event.data.account.id}"]`, `[7,"#7"]`, ""},
		{"a text within a text", `"<{event.data.account.name}>"`, `"<A/é\">"`, ""},
		{"a text alone, as published", `"{event.data.account.name}"`, `"A\/\u00e9\""`, ""},
		{"digits stay", `["{event.data.account.big}", "{event.data.account.big} EUR"]`, `[12345678901234567890.10,"12345678901234567890.10 EUR"]`, ""},
		{"an object", `"{event.data.account.list}"`, `[1]`, ""},
		{"null is a value", `"{event.data.account.none|1}"`, `null`, ""},
		{"null is no text", `"x{event.data.account.none|-}"`, `"x-"`, ""},
		{"of a name that stands twice the last counts", `"{event.data.a.b}"`, `2`, ""},
		{"a name that is written with escapes", `"{event.data.escaped}"`, `true`, ""},
		{"a default", `["{event.data.no.where|[]}", '{event.data.account.id.x|"none"}', "{event.data.x|{}}", "{event.metadata.x| {{}} }"]`, "", "refused"},
		{"a default that is JSON", `["{event.data.no.where|[]}", '{event.data.account.id.x|"none"}', "{event.data.x|{}}"]`, `[[],"none",{}]`, ""},
		{"a default that is a text", `"a{event.data.no|\"}{event.metadata.no|}b"`, `"a\"b"`, ""},
		{"metadata's members", `["{event.metadata.store_id}", "{event.metadata.deep.er}", "{event.metadata.deep}", "{event.metadata.n}"]`, `["5","x",{"er": "x"},3]`, ""},
		{"settings", `["{endpoint.setting.store}", "{endpoint.setting.empty|x}", "{endpoint.setting.no|d}", "{tenant.setting.region}", "{tenant.setting.no|}"]`, `["s\"1","","d","eu",""]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.more == "refused" {
				if _, err := dialect.Load("f", []byte(bodied("{json: "+c.template+"}"))); err == nil {
					t.Error("taken")
				}
				return
			}
			got, err := rendered(t, "{json: "+c.template+"}", wideInput(), c.more)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestTenantVendorID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ setting, want, err string }{
		{"3241", "3241", ""}, {"0", "0", ""},
		{"03", "", `the tenant's setting vendor_id is "03", but this contract's body needs a number`},
		{"x", "", "needs a number"}, {"", "", "needs a number"}, {"-1", "", "needs a number"},
	} {
		in := wideInput()
		in.Tenant.Settings["vendor_id"] = c.setting
		got, err := rendered(t, `{json: "{tenant.vendor_id}"}`, in)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q gives %s, %v", c.setting, got, err)
		}
	}
}

// The data is that of the API version, where there is one; the names in
// {event.changed} are those of the newest shape.
func TestBodyOfAnAPIVersion(t *testing.T) {
	t.Parallel()
	in := wideInput()
	in.Event.Previous, in.Event.Data, in.Data = []byte(`{"a":1,"b":1}`), []byte(`{"a":2,"b":1}`), []byte(`{"old":2}`)
	got, err := rendered(t, `{json: {d: "{event.data}", o: "{event.data.old}", c: "{event.changed}"}}`, in)
	if want := `{"d":{"old":2},"o":2,"c":["a"]}`; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestSPD1OnlyTexts(t *testing.T) {
	t.Parallel()
	got, err := rendered(t, `{json: ["{event.data.id}", "{event.data.account.big}", '{event.data.account.none|"none"}', "{event.metadata.n}", "#{event.data.account.id}"], only_texts: true}`, wideInput())
	if want := `["a",12345678901234567890.10,"none",3,"#7"]`; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestBodyErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, body string
		change     func(*dialect.Input)
		want, more string
	}{
		{"no member", `{json: {id: "{event.data.account.no}"}}`, nil, "the data has no member account.no, which this contract's body needs", ""},
		{"no member in a text", `{json: "x{event.data.account.id.no}"}`, nil, "the data has no member account.id.no, which this contract's body needs", ""},
		{"no data", `{json: "{event.data}"}`, func(in *dialect.Input) { in.Event.Data = nil }, "the event has no data to send", ""},
		{"data that is no object", `{json: "{event.data.id}"}`, func(in *dialect.Input) { in.Event.Data = []byte(`[{"id":1}]`) }, "the data has no member id, which this contract's body needs", ""},
		{"an object within a text", `{json: "x{event.data.account}"}`, nil, "the member account of the data is null, an object or a list; this contract's body needs a text or a number there", ""},
		{"an object within a text, with a default", `{json: "x{event.data.account|-}"}`, nil, "is null, an object or a list", ""},
		{"null within a text", `{json: "x{event.data.account.none}"}`, nil, "is null, an object or a list", ""},
		{"SP-D1 null where a text is needed", `{json: "{event.data.account.none}", only_texts: true}`, nil, "the member account.none of the data is no text and no number, which this contract's body needs there", ""},
		{"SP-D1 an object where a text is needed", `{json: "{event.data.account|1}", only_texts: true}`, nil, "is no text and no number", ""},
		{"SP-D1 true where a text is needed", `{json: "{event.data.escaped}", only_texts: true}`, nil, "is no text and no number", ""},
		{"SP-D1 an object of the metadata", `{json: "{event.metadata.deep}", only_texts: true}`, nil, "the member deep of the metadata is no text and no number", ""},
		{"no member of the metadata", `{json: "{event.metadata.no}"}`, nil, "the metadata has no member no, which this contract's body needs", ""},
		{"no metadata", `{json: "{event.metadata}"}`, func(in *dialect.Input) { in.Event.Metadata = nil }, "the event has no metadata, which this contract's body needs", ""},
		{"no setting of the endpoint", `{json: "{endpoint.setting.no}"}`, nil, "the endpoint has no setting no, which this contract's body needs", ""},
		{"no setting of the tenant", `{json: "{tenant.setting.no}"}`, nil, "the tenant has no setting no, which this contract's body needs", ""},
		{"no vendor id", `{json: "{endpoint.vendor_id}"}`, func(in *dialect.Input) { in.Endpoint.VendorID = "" }, "the endpoint has no id of this contract, which its body needs", "ids: uuid"},
		{"no number", `{json: "{endpoint.vendor_id}"}`, func(in *dialect.Input) { in.Endpoint.VendorID = "" }, "the endpoint has no id of this contract, which its body needs", "ids: number"},
		{"a vendor id that is no number", `{json: "{endpoint.vendor_id}"}`, func(in *dialect.Input) { in.Endpoint.VendorID = "1.0" }, `the endpoint's id of this contract is "1.0", but this contract's body needs a number`, "ids: number"},
		{"no endpoint", `{json: ["{endpoint.id}{endpoint.number}{public_url}", "{endpoint.setting.a|}", "{endpoint.vendor_id}"]}`, func(in *dialect.Input) { in.Endpoint = nil }, "the endpoint has no id of this contract", "ids: uuid"},
		{"no tenant", `{json: ["{tenant.id}{tenant.number}{tenant.vendor_id}", "{tenant.setting.a}"]}`, func(in *dialect.Input) { in.Tenant = nil }, "the tenant has no setting a", ""},
		{"the first of several", `{json: ["{event.data.no}", "{endpoint.setting.no}"]}`, nil, "the data has no member no,", ""},
		{"an addition to a list", `{json: "{event.data}", add: [{events: [thing_updated], name: x, value: 1}]}`, func(in *dialect.Input) { in.Event.Data = []byte("[1]") }, "the data is not an object, so that x cannot be added to it as this contract wants", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := wideInput()
			if c.change != nil {
				c.change(&in)
			}
			got, err := rendered(t, c.body, in, c.more)
			if err == nil || !strings.Contains(err.Error(), c.want) || got != "" {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

// C1-D2: metadata is [] when empty.
func TestC1D2EmptyMetadata(t *testing.T) {
	t.Parallel()
	for _, metadata := range []string{"", "{}", " { } "} {
		in := wideInput()
		in.Event.Metadata = []byte(metadata)
		got, err := rendered(t, `{json: {metadata: "{event.metadata|[]}"}}`, in)
		if err != nil || got != `{"metadata":[]}` {
			t.Errorf("%q: %s, %v", metadata, got, err)
		}
	}
}

// A2-LOST1: a notification has no body, whatever it is made of. It is a body
// all the same, not the lack of one.
func TestA2LOST1EmptyBody(t *testing.T) {
	t.Parallel()
	d := load(t, bodied(`{json: "{event.data}", empty_body_for: [grapnel.connection.lost]}`))
	in := wideInput()
	in.Event.Type, in.Event.Data = "grapnel.connection.lost", nil
	if got, err := d.Body(in); err != nil || got == nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
	if !d.EmptyBodyFor("grapnel.connection.lost") || d.EmptyBodyFor("thing_deleted") {
		t.Error("EmptyBodyFor")
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	const add = `add: [{events: [other, thing_updated], name: changed_attributes, value: "{event.changed}"}, {events: [thing_updated], name: "n/é", value: {number: "{delivery.number}"}}]`
	for _, c := range []struct{ name, json, data, previous, want string }{
		{"PS-D2 beside the object's members", `"{event.data}"`, `{"a": 1}`, `{"a": 2}`, `{"a": 1,"changed_attributes":["a"],"n/é":{"number":12723294}}`},
		{"PS-D2 nothing known", `"{event.data}"`, ` {} `, ``, `{"changed_attributes":[],"n/é":{"number":12723294}}`},
		{"PS-D2 untouched if the producer gave it", `"{event.data}"`, `{"changed_attributes": {"a": [1, 2]}, "a": 2}`, `{"a":1}`, `{"changed_attributes": {"a": [1, 2]}, "a": 2,"n/é":{"number":12723294}}`},
		{"given, written with an escape", `"{event.data}"`, `{"changed\u005fattributes":null,"n\/é":0}`, ``, `{"changed\u005fattributes":null,"n\/é":0}`},
		{"to an object of the contract", `{o: "{event.data}"}`, `[1]`, ``, `{"o":[1],"changed_attributes":[],"n/é":{"number":12723294}}`},
		{"to an empty object of the contract", `{}`, `[1]`, ``, `{"changed_attributes":[],"n/é":{"number":12723294}}`},
		{"within the contract's object the producer's counts", `{o: "{event.data}"}`, `{"changed_attributes":["z"]}`, ``, `{"o":{"changed_attributes":["z"]},"changed_attributes":["z"],"n/é":{"number":12723294}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := wideInput()
			in.Event.Data, in.Event.Previous = []byte(c.data), []byte(c.previous)
			got, err := rendered(t, "{json: "+c.json+", "+add+"}", in)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			in.Event.Type = "third" // for which nothing is added
			if got, err := rendered(t, "{json: "+c.json+", "+add+"}", in); err != nil || strings.Contains(got, "number") {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

// deep is an object within n objects.
func deep(n int, object string) string {
	return strings.Repeat(`{"a":`, n) + object + strings.Repeat("}", n)
}

func TestPSD2Changed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, data, previous, want string }{
		{"nothing", `{"a":1}`, `{"a":1}`, `[]`},
		{"in the data's order, then those that went", `{"c":1,"b":1,"a":1,"same":[]}`, `{"z":0,"a":0,"same":[],"y":0,"b":0}`, `["c","b","a","z","y"]`},
		{"no previous", `{"a":1}`, ``, `[]`},
		{"previous that is null", `{"a":1}`, `null`, `[]`},
		{"previous that is a list", `{"a":1}`, `[1]`, `[]`},
		{"data that is a list", `[1]`, `{"a":1}`, `[]`},
		{"white space and escapes are no change", `{"a": "\u0041\/", "b" : [ 1 , {} ]}`, `{"a":"A/","b":[1,{}]}`, `[]`},
		{"the order within a member is no change", `{"a":{"x":1,"y":[{"p":1,"q":2}]}}`, `{"a":{"y":[{"q":2,"p":1}],"x":1}}`, `[]`},
		{"the order of a list is", `{"a":[1,2]}`, `{"a":[2,1]}`, `["a"]`},
		{"shorter list", `{"a":[1]}`, `{"a":[1,1]}`, `["a"]`},
		{"longer list", `{"a":[1,1]}`, `{"a":[1]}`, `["a"]`},
		{"empty list", `{"a":[]}`, `{"a":[ 1]}`, `["a"]`},
		{"member added within", `{"a":{"x":1,"y":1}}`, `{"a":{"x":1}}`, `["a"]`},
		{"member renamed within", `{"a":{"x":1}}`, `{"a":{"y":1}}`, `["a"]`},
		{"the same numbers", `{"a":1.0,"b":1e2,"c":0,"d":-0.0,"e":10,"f":0.01,"g":1E+2}`, `{"a":1,"b":100,"c":0.0,"d":0,"e":1e1,"f":1e-2,"g":100.00}`, `[]`},
		{"numbers too large for a float", `{"a":9007199254740993,"b":1e400}`, `{"a":9007199254740992,"b":2e400}`, `["a","b"]`},
		{"exponents too large for anything", `{"a":1e99999999999999999999,"b":1e-99999999999999999999,"c":1e99999999999999999999}`, `{"a":1e9,"b":1e99999999999999999999,"c":1.0e99999999999999999999}`, `["a","b"]`},
		{"other numbers", `{"a":-1,"b":10,"c":0.1,"d":12}`, `{"a":1,"b":1,"c":0.01,"d":21}`, `["a","b","c","d"]`},
		{"other kinds", `{"a":"1","b":null,"c":false,"d":[],"e":true}`, `{"a":1,"b":0,"c":null,"d":{},"e":false}`, `["a","b","c","d","e"]`},
		{"null is not the lack of it", `{"a":null}`, `{"b":null}`, `["a","b"]`},
		{"names are compared by their text, and written as they stand", `{"\u0061":1,"b\/":1}`, `{"a":1,"b/":2}`, `["b\/"]`},
		{"a name that stands twice", `{"a":1,"b":1,"a":2}`, `{"a":2,"b":2,"b":1}`, `[]`},
		{"a name that stands twice is named once", `{"a":1,"a":2}`, `{"a":1,"b":1,"b":1}`, `["a","b"]`},
		{"deep, in another order", deep(99, `{"x":1,"y":2}`), deep(99, `{"y":2,"x":1}`), `[]`},
		{"very deep, in another order", deep(5000, `{"x":1,"y":2}`), deep(5000, `{"y":2,"x":1}`), `[]`},
		{"given", `{"changed_attributes": ["x" ]}`, `{"a":1}`, `["x" ]`},
		{"given before and not now", `{}`, `{"changed_attributes":["x"],"a":1}`, `["a"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := wideInput()
			in.Event.Data, in.Event.Previous = []byte(c.data), []byte(c.previous)
			got, err := rendered(t, `{json: "{event.changed}"}`, in)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestLoadRefusesBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, more, want string }{
		{`{json: 1, style: go}`, "", `style cannot be "go"; it is one of verbatim, compact, js, php`},
		{`{json: 1, style: 1}`, "", "style must be a text"},
		{`{json: 1, json_style: php}`, "", `unknown key "json_style" in body`},
		{`{style: php}`, "", "json and form"},
		{`{form: {a: b}, style: php}`, "", "style is about JSON"},
		{`{form: {a: b}, project: true}`, "", "project is about JSON"},
		{`{form: {a: b}, id_strings: true}`, "", "id_strings is about JSON"},
		{`{form: {a: b}, add: []}`, "", "add is about JSON"},
		{`{json: 1, project: true}`, "", "project is about {event.data}, which this body does not hold"},
		{`{json: "{event.data.id}", project: true}`, "", "project is about {event.data}"},
		{`{json: 1, id_strings: true}`, "", "id_strings is about {event.data}"},
		{`{form: {a: b}, only_texts: true}`, "", "only_texts is about JSON"},
		{`{json: "{event.data}", only_texts: true}`, "", "only_texts is about {event.data.PATH}"},
		{`{json: "{event.data.id}", only_texts: 1}`, "", "only_texts must be true or false"},
		{`{json: "{event.data}", project: yes please}`, "", "project must be true or false"},
		{`{json: "{event.data}", id_strings: 1}`, "", "id_strings must be true or false"},
		{`{json: 1, add: {}}`, "", "add adds members to an object"},
		{`{json: {}, add: {}}`, "", "add must be a list"},
		{`{json: {}, add: []}`, "", "one entry or more"},
		{`{json: [], add: [{events: [a], name: x, value: 1}]}`, "", "the body must be a mapping"},
		{`{json: "x{event.id}", add: [{events: [a], name: x, value: 1}]}`, "", "the body must be a mapping"},
		{`{json: {}, add: [{events: [a], name: x}]}`, "", `an entry of add lacks the key "value"`},
		{`{json: {}, add: [{events: [a], value: 1}]}`, "", `lacks the key "name"`},
		{`{json: {}, add: [{name: x, value: 1}]}`, "", `lacks the key "events"`},
		{`{json: {}, add: [{events: [], name: x, value: 1}]}`, "", "one event or more"},
		{`{json: {}, add: [{events: [""], name: x, value: 1}]}`, "", "the name of the event is empty"},
		{`{json: {}, add: [{events: [a], name: "", value: 1}]}`, "", "the name of the member is empty"},
		{`{json: {}, add: [{events: [a, a], name: x, value: 1}]}`, "", "x is added to a twice"},
		{`{json: {}, add: [{events: [a], name: x, value: 1}, {events: [b, a], name: x, value: 1}]}`, "", "x is added to a twice"},
		{`{json: {x: 1}, add: [{events: [a], name: x, value: 1}]}`, "", "the body has a member x already"},
		{`{json: {}, add: [{events: [a], name: x, value: "{attempt.number}"}]}`, "", "there is no placeholder {attempt.number} here"},
		{`{json: {}, add: [{events: [a], name: x, value: 1, more: 1}]}`, "", `unknown key "more"`},
		{`{json: {}, add: [{events: [a], name: x, value: 1}]}`, "catalogue: [b, thing_updated]", "the event a is not in the catalogue"},
		{`{json: {}, add: [{events: [thing_deleted], name: x, value: 1}]}`, "", "the contract calls thing_deleted thing_updated"},
		{`{json: 1, empty_body_for: a}`, "", "empty_body_for must be a list"},
		{`{json: 1, empty_body_for: []}`, "", "names no event type"},
		{`{json: 1, empty_body_for: [a, a]}`, "", "names a twice"},
		{`{json: 1, empty_body_for: ["a b"]}`, "", "the event type"},
		{`{json: "{endpoint.vendor_id}"}`, "", "with ids: own there is no {endpoint.vendor_id}; bodies have {endpoint.id}"},
		{`{json: "x{endpoint.vendor_id}"}`, "ids: own", "with ids: own"},
		{`{form: {a: "x{endpoint.vendor_id}"}}`, "", "with ids: own"},
		{`{json: "x{event.metadata}"}`, "", "must stand alone"},
		{`{json: "x{event.changed}"}`, "", "must stand alone"},
		{`{json: "{event.changed|[]}"}`, "", "always has a value"},
		{`{json: "{event.data|[]}"}`, "", "always has a value"},
		{`{json: "{event.metadata|}"}`, "", "must be JSON"},
		{`{json: "{event.metadata|none}"}`, "", "must be JSON"},
		{`{json: "{event.data.x|none}"}`, "", "must be JSON"},
		{`{json: "{event.data.x|1 2}"}`, "", "must be JSON"},
		{`{json: "{event.data.}"}`, "", "must say of what"},
		{`{json: "{event.data..x}"}`, "", "no path"},
		{`{json: "{event.data.x.}"}`, "", "no path"},
		{`{json: "{event.datax}"}`, "", "there is no placeholder {event.datax} here"},
		{`{json: "{tenant.setting.}"}`, "", "must say of what"},
		{`{json: "{event.data.x|{}"}`, "", "without its partner"},
	} {
		src := bodied(c.body, c.more)
		line := strings.Count(src[:strings.Index(src, "  body:")], "\n") + 1
		_, err := dialect.Load("acme.yaml", []byte(src))
		var e *dialect.LoadError
		if !errors.As(err, &e) || !strings.Contains(e.Reason, c.want) || e.Line != line || e.File != "acme.yaml" {
			t.Errorf("%s %s: %v, want line %d and %q", c.body, c.more, err, line, c.want)
		}
	}
}

// A body takes one allocation where its size can be told before.
func TestBodyAllocations(t *testing.T) {
	for _, body := range []string{
		`{json: "{event.data}"}`, `{json: "{event.data}", style: compact}`, `{json: "{event.data}", style: js}`,
		`{json: {d: "{event.data}", t: "{event.type}", n: "{delivery.number}", at: "{event.time_offset}", m: "{event.metadata|[]}", e: "{endpoint.vendor_id}", s: "{tenant.vendor_id}", u: "{public_url}/{endpoint.vendor_id}"}}`,
	} {
		d, in := load(t, bodied(body, "ids: number")), wideInput()
		if n := testing.AllocsPerRun(100, func() {
			if _, err := d.Body(in); err != nil {
				t.Fatal(err)
			}
		}); n != 1 {
			t.Errorf("%s takes %v allocations", body, n)
		}
	}
}

// Large data takes time in proportion, whatever it is made of: this test would
// last very long otherwise.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	const size = 1 << 18
	many := func(part, between string) string {
		return strings.Repeat(part+between, size/len(part+between)) + part
	}
	text := []string{`\\`, `\"`, `\u00e9`, `\ud83d\ude00`, `é`, `/`, `x`, `\\\"x`}
	var data []string
	for _, s := range text {
		data = append(data, `{"`+many(s, "")+`":"`+many(s, "")+`","a":{"b":"`+s+`"},"id":1}`)
		data = append(data, `{"l":[`+many(`{"`+s+`":"`+s+`","id":1}`, ",")+`],"a":{"b":1}}`)
	}
	data = append(data, `{"a":{"b":`+strings.Repeat("[", 9000)+strings.Repeat("]", 9000)+`}}`, `{`+many(`"id":1`, ",")+`,"a":{"b":1}}`, `{"a":{"b":[`+many(" 1", " , ")+` ]}}`)
	for _, rest := range []string{"", ", style: js", ", style: php, id_strings: true", ", style: compact, project: true"} {
		d := load(t, bodied(`{json: {d: "{event.data}", p: "{event.data.a.b}", t: "x{event.data.a.b|y}", c: "{event.changed}"}`+rest+`}`))
		for _, s := range data {
			in := wideInput()
			in.Event.Data, in.Event.Previous, in.Fields = []byte(s), []byte(strings.Replace(s, `{"`, `{ "`, 2)), []string{"l.id", "a", "l.x", "id"}
			body, err := d.Body(in)
			if err != nil && !strings.Contains(err.Error(), "is null, an object or a list") || err == nil && !valid(string(body)) {
				t.Errorf("%.40s…%s: %v, %.80s", s, rest, err, body)
			}
		}
	}
}

// FuzzBody: whatever the template and the event, rendering ends with JSON or
// with a sentence, never with a panic, and always in the same way.
func FuzzBody(f *testing.F) {
	for _, template := range []string{"{event.data}", "{event.metadata|[]}", "x{event.data.a.b|y}{event.metadata.a|}", "{event.data.a|{\"b\":1}}", "{event.changed}", "{endpoint.setting.a|\"}", "{{{event.id}}}", "{tenant.vendor_id}{endpoint.vendor_id}{delivery.number}"} {
		f.Add(template, account, `{"a":1}`, `{"a":{"b":"\ud83d\ude00/"}}`, "5")
	}
	f.Fuzz(func(t *testing.T, template, data, previous, metadata, id string) {
		text, err := jsontext.AppendQuote(nil, template)
		if err != nil {
			return
		}
		for _, rest := range []string{"style: verbatim", "style: php", "style: js, add: [{events: [thing_updated], name: x, value: " + string(text) + "}]"} {
			d, err := dialect.Load("f", []byte(bodied(`{json: {a: `+string(text)+`, "é/": `+string(text)+`}, `+rest+`}`, "ids: number")))
			if err != nil {
				return
			}
			in := wideInput()
			in.Event.Data, in.Event.Previous, in.Event.Metadata = []byte(data), []byte(previous), []byte(metadata)
			in.Endpoint.VendorID, in.Tenant.Settings["vendor_id"] = id, id
			in.Endpoint.Settings["a"] = id
			body, err := d.Body(in)
			if err == nil && valid(data) && (previous == "" || valid(previous)) && (metadata == "" || valid(metadata)) && !valid(string(body)) {
				t.Errorf("%q with %s made %q", template, rest, body)
			}
			if again, errAgain := d.Body(in); string(again) != string(body) || (err == nil) != (errAgain == nil) {
				t.Errorf("%q with %s made %q, then %q", template, rest, body, again)
			}
		}
	})
}

// Bodies alone count: headers are as they are now.
func TestBodySettings(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]dialect.BodySettings{
		`{json: "{event.data}"}`: {},
		`{json: {a: "x{endpoint.setting.a|}", b: ["{tenant.setting.b|1}"], c: "{tenant.vendor_id}"}}`: {Endpoint: []string{"a"}, Tenant: []string{"b", "vendor_id"}},
		`{form: {a: "{endpoint.setting.a}"}}`: {Endpoint: []string{"a"}},
		`{json: {d: "{event.data}"}, add: [{events: [thing_updated], name: n, value: ["{tenant.setting.a}"]}]}`: {Tenant: []string{"a"}},
	} {
		d := load(t, bodied(body))
		if diff := cmp.Diff(want, d.BodySettings()); diff != "" || d.ReadsSettings() != (len(want.Tenant)+len(want.Endpoint) > 0) {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

// A number without quotes is a number, however it is written and however long it
// is; with quotes it is a text.
func TestNumbersOfTheContract(t *testing.T) {
	t.Parallel()
	const list = `[1e5, 1E-2, -1.5e+300, 1e999, 12345678901234567890123, -12345678901234567890123.50, -0, "1e5", '12345678901234567890123', 1.2.3, 1e, v1e5]`
	const want = `[1e5,1E-2,-1.5e+300,1e999,12345678901234567890123,-12345678901234567890123.50,-0,"1e5","12345678901234567890123","1.2.3","1e","v1e5"]`
	if got, err := rendered(t, "{json: "+list+"}", wideInput()); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if got := string(load(t, base+"sample: {type: thing_deleted, data: "+list+"}\n").Sample().Data); got != want {
		t.Errorf("the sample has %s, want %s", got, want)
	}
}
