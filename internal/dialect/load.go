package dialect

import (
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"grapnel/internal/hook"
)

// maxTimeout is the longest that an attempt may take.
const maxTimeout = 5 * time.Minute

// maxSuccessBody bounds the text that an acknowledging answer holds: only the
// beginning of a body is kept.
const maxSuccessBody = 256

// minTimeout is the shortest: less is over before anybody can have answered.
const minTimeout = 100 * time.Millisecond

// Load reads a dialect file. It is strict: what it does not know, cannot do or
// could never use is refused. The error is a *LoadError with the line.
func Load(file string, src []byte) (*Dialect, error) {
	r := &reader{file: file}
	d := r.dialect(r.open(src))
	if r.err != nil {
		return nil, r.err
	}
	d.source = string(src)
	return d, nil
}

func (r *reader) dialect(n ast.Node) *Dialect {
	o := r.object(n, "the dialect", "name!", "title!", "request!", "events", "catalogue", "subscription!", "ids", "limits", "match", "suppress",
		"secret!", "sign", "success!", "success_body", "retry!", "answers", "on_inactive!", "sample")
	if r.err != nil {
		return nil
	}
	d := &Dialect{name: r.text(o, "name", ""), title: r.text(o, "title", "")}
	d.scratch.New = func() any { return new(scratch) }
	if r.err == nil && (d.name == "" || len(d.name) > 64 || strings.Trim(d.name, "abcdefghijklmnopqrstuvwxyz0123456789_-.@") != "") {
		r.fail(o.node("name"), "the name %q must have 1 to 64 characters of a-z 0-9 _ - . @", d.name)
	}
	if family, variant, is := strings.Cut(d.name, "@"); r.err == nil && (!startsName(family) || is && !startsName(variant)) {
		r.fail(o.node("name"), "the name %q must begin with a letter or a digit, and so must what is behind its @", d.name)
	}
	if r.err == nil && d.title == "" {
		r.fail(o.node("title"), "the title is empty")
	}
	r.endpoints(o, d)
	d.events = r.events(o, d)
	r.request(o.node("request"), d)
	switch r.choice(o, "subscription", "any", "one", "all") {
	case "any":
		d.subscription = AnyTypes
	case "one":
		d.subscription = OneType
	default:
		d.subscription = AllTypes
	}
	if r.err == nil && d.subscription == AllTypes && o.has("limits") {
		r.fail(o.node("limits"), "with subscription: all no endpoint chooses an event type, so a limit for each type does nothing") // a catalogue still says what there is
	}
	d.secret = r.secretRule(o.node("secret"))
	r.signSection(o, d)
	d.success = r.statuses(r.list(o.node("success"), "success"), "success", 200, 299)
	if r.err == nil && d.success.empty() {
		r.fail(o.node("success"), "success must name one status or more")
	}
	if o.has("success_body") {
		if d.successBody = r.text(o, "success_body", ""); r.err == nil && (d.successBody == "" || len(d.successBody) > maxSuccessBody) {
			r.fail(o.node("success_body"), "success_body must have 1 to %d bytes; leave it out where any body acknowledges", maxSuccessBody)
		}
	}
	d.retry, d.schedule = r.retry(o.node("retry"))
	r.retryDoesNotAcknowledge(o.node("retry"), d)
	d.answers = r.answers(o)
	r.statusesCount(o, d)
	d.onInactive = Hold
	if r.choice(o, "on_inactive", "hold", "cancel") == "cancel" {
		d.onInactive = Cancel
	}
	if r.err == nil && o.has("sample") {
		d.sample = r.sampleOf(o.node("sample"), d)
	}
	return d
}

// startsName reports whether a name begins with a letter or a digit: the names
// of folders that mean something do not.
func startsName(s string) bool {
	return s != "" && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= '0' && s[0] <= '9')
}

// retryDoesNotAcknowledge refuses a list of retried statuses that holds an
// acknowledging one. "any" means any failure.
func (r *reader) retryDoesNotAcknowledge(n ast.Node, d *Dialect) {
	if d.retry.any {
		return
	}
	for i := range d.success {
		if d.success[i]&d.retry.statuses[i] != 0 {
			r.fail(n, "a status that acknowledges cannot be retried")
		}
	}
}

// signSection reads sign and checks that it is there when there is a secret,
// and only then.
func (r *reader) signSection(o object, d *Dialect) {
	if r.err != nil {
		return
	}
	switch {
	case d.secret.owner == SecretNone && o.has("sign"):
		r.fail(o.node("sign"), "with secret.made: never there is nothing to sign with")
	case d.secret.owner != SecretNone && !o.has("sign"):
		r.fail(o.at, "there is a secret but no sign, so it does nothing")
	case o.has("sign"):
		if d.sign = r.signings(o.node("sign"), d); r.err == nil && len(d.sign) == 0 {
			r.fail(o.node("sign"), "sign must hold one entry or more")
		}
		d.carriers = d.findCarriers()
	}
}

func (r *reader) request(n ast.Node, d *Dialect) {
	o := r.object(n, "request", "method", "http", "timeout!", "query", "headers!", "body!")
	d.method = r.choice(o, "method", methods...)
	d.http1 = r.choice(o, "http", "any", "1.1") == "1.1"
	d.timeout = r.duration(o.node("timeout"), "timeout", maxTimeout)
	if r.err == nil && d.timeout < minTimeout {
		r.fail(o.node("timeout"), "timeout is %s; it must be at least %s", d.timeout, minTimeout)
	}
	r.headers(o.node("headers"), d)
	if o.has("query") {
		d.query = r.query(o.node("query"))
	}
	for _, must := range []string{"Content-Type", "User-Agent"} {
		if r.err == nil && !d.Sends(must) {
			r.fail(o.node("headers"), "headers lacks %s", must)
		}
	}
	r.body(o.node("body"), d)
	d.members = r.outermost(o.node("body"))
	r.contentType(o.node("headers"), d)
}

// formType is the media type of a form.
const formType = "application/x-www-form-urlencoded"

// contentType checks that a body is called what it is.
func (r *reader) contentType(n ast.Node, d *Dialect) {
	for i := range d.headers {
		h := &d.headers[i]
		if r.err != nil || !h.fixed || !strings.EqualFold(h.name, "Content-Type") {
			continue
		}
		media, _, _ := strings.Cut(h.value[0].text, ";")
		isForm := strings.EqualFold(strings.TrimSpace(media), formType)
		if isForm != (d.form != nil) {
			r.fail(r.member(n, h.name), "the Content-Type %s does not fit the body: a form is %s, and JSON is not", h.value[0].text, formType)
		}
	}
}

// endpoints reads what the contract says of its endpoints: the events that
// there are, their ids, how many there may be, and what they get.
func (r *reader) endpoints(o object, d *Dialect) {
	if o.has("catalogue") {
		d.catalogue = r.catalogue(o.node("catalogue"))
	}
	d.ids = map[string]IDs{"own": OwnIDs, "number": NumberIDs, "uuid": UUIDs}[r.choice(o, "ids", "own", "number", "uuid")]
	if o.has("limits") {
		in := r.object(o.node("limits"), "limits", "endpoints_per_type!")
		d.perType = r.count(in.node("endpoints_per_type"), "endpoints_per_type", 1, 100_000)
	}
	if o.has("match") {
		in := r.object(o.node("match"), "match", "metadata!", "setting!", "default!")
		d.scope = &Scope{Metadata: r.text(in, "metadata", ""), Setting: r.text(in, "setting", ""), Default: r.text(in, "default", "")}
		if r.err == nil && (d.scope.Metadata == "" || d.scope.Setting == "") {
			r.fail(o.node("match"), "match must name a member of the metadata and a setting")
		}
	}
	if o.has("suppress") {
		d.suppressible = r.flag(o.node("suppress"), "suppress")
	}
}

func (r *reader) catalogue(n ast.Node) []string {
	var out []string
	for _, e := range r.list(n, "catalogue") {
		name := r.textOf(e, "an event of the catalogue")
		if r.err != nil {
			return nil
		}
		if err := hook.ValidType(name); err != nil {
			r.fail(e, "%v", err)
		}
		if slices.Contains(out, name) {
			r.fail(e, "the catalogue names %s twice", name)
		}
		out = append(out, name)
	}
	if r.err == nil && len(out) == 0 {
		r.fail(n, "the catalogue is empty; leave it out where any event may be subscribed to")
	}
	return out
}

func (r *reader) events(o object, d *Dialect) map[string]string {
	if !o.has("events") {
		return nil
	}
	out := map[string]string{}
	known := func(name string) bool {
		return slices.ContainsFunc(d.catalogue, func(pattern string) bool { return hook.MatchesType([]string{pattern}, name) })
	}
	for _, p := range r.pairs(o.node("events"), "events") {
		name := r.textOf(p.value, p.key)
		if r.err != nil {
			return nil
		}
		if err := hook.ValidType(p.key); err != nil {
			r.fail(p.at, "%v", err)
		}
		if name == "" || strings.TrimSpace(name) != name || !plain([]byte(name)) {
			r.fail(p.value, "the name %q of an event must be printable ASCII without quotes or backslashes", name)
		}
		switch {
		case r.err != nil:
		case name == p.key:
			r.fail(p.at, "%s is called the same in the contract, so this does nothing", name)
		case d.catalogue != nil && !known(name):
			r.fail(p.value, "the event %s is not in the catalogue", name)
		}
		out[p.key] = name
	}
	if r.err == nil && len(out) == 0 {
		r.fail(o.node("events"), "events is empty; leave it out")
	}
	return out
}
