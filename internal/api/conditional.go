package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// An entity tag is a hash of the answer's bytes (RFC 9110 section 8.8.3), so
// it is strong, and the same again when a thing is as it was. That of an event
// or a delivery changes with what becomes of it, which makes asking again
// cheap. The answer to a change carries the tag of the GET that would follow:
// a secret that is shown once is no part of it, nor is when a key was last used,
// which reading the key changes.

// tagOf is the entity tag of an answer's bytes.
func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// shapeTag is the entity tag of an answer.
func shapeTag(shape any) (string, error) {
	body, err := marshal(shape)
	if err != nil {
		return "", err
	}
	return tagOf(body), nil
}

// tags are the entity tags that a header lists.
type tags struct {
	given bool
	any   bool // "*"
	list  []string
}

func readTags(h http.Header, name string) (tags, error) {
	values, given := h[name]
	t := tags{given: given}
	for rest := strings.TrimLeft(strings.Join(values, ","), " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		if rest == "*" && t.list == nil {
			t.any = true
			return t, nil
		}
		weak := strings.HasPrefix(rest, "W/")
		text := strings.TrimPrefix(rest, "W/")
		end := -1
		if strings.HasPrefix(text, `"`) {
			end = strings.IndexByte(text[1:], '"')
		}
		if end < 0 {
			return t, hook.Invalid("", `%s is * or a list of entity tags in quotes, such as "x1y2", as an ETag header gives them`, name)
		}
		tag := text[:end+2]
		if weak {
			tag = "W/" + tag
		}
		t.list, rest = append(t.list, tag), text[end+2:]
	}
	if given && t.list == nil {
		return t, hook.Invalid("", "%s is empty: want * or entity tags, or leave it out", name)
	}
	return t, nil
}

// hold reports whether one of the tags is that of a thing. Weak ones are
// never, unless the comparison is (RFC 9110 section 8.8.3.2).
func (t *tags) hold(tag string, weakly bool) bool {
	if t.any {
		return true
	}
	for _, one := range t.list {
		if one == tag || weakly && strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

func failed(format string, args ...any) error {
	return hook.Errorf(manage.CodePrecondition, format, args...)
}

// conditions are those of a request (RFC 9110 section 13.1). Dates are not
// among them: an answer has no Last-Modified.
type conditions struct{ match, noneMatch tags }

func readConditions(h http.Header) (c conditions, err error) {
	if c.match, err = readTags(h, "If-Match"); err == nil {
		c.noneMatch, err = readTags(h, "If-None-Match")
	}
	return c, err
}

// allow decides whether a change may be made. tag is that of the thing to
// change, and is asked for only if there is one.
func (c *conditions) allow(exists bool, tag func() (string, error)) error {
	if !exists {
		if c.match.given {
			return failed("there is no such thing any more, or not yet, so If-Match cannot hold")
		}
		return nil
	}
	has, err := tag()
	switch {
	case err != nil:
		return err
	case c.match.given && !c.match.hold(has, false):
		return failed("it has changed since the answer that If-Match names: read it again, make the change from that, and send the new ETag")
	case c.noneMatch.any:
		return failed("it exists already, and If-None-Match: * wants it not to")
	case c.noneMatch.given && c.noneMatch.hold(has, true):
		return failed("it is still as If-None-Match does not want it to be")
	}
	return nil
}

// unconditional refuses conditions on calls that have no state to hold them
// against: to do the work all the same would be worse.
func unconditional(r *http.Request) error {
	if r.Method != http.MethodPost {
		return nil
	}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if _, given := r.Header[name]; given {
			return hook.Invalid("", "this call takes no %s: leave the header out", name)
		}
	}
	return nil
}

// read answers a GET, or says that what the caller has is what there is.
func (c *call) read(body []byte, tag string) error {
	asked, err := readConditions(c.r.Header)
	if err != nil {
		return err
	}
	if asked.match.given && !asked.match.hold(tag, false) {
		return failed("it is not any more what If-Match names")
	}
	h := c.Header()
	h.Set("ETag", tag)
	if asked.noneMatch.given && asked.noneMatch.hold(tag, true) {
		c.WriteHeader(http.StatusNotModified)
		return nil
	}
	if c.link != "" {
		h.Set("Link", c.link)
	}
	h.Set("Content-Type", "application/json")
	c.Write(body)
	return nil
}

// reads reports whether a request only reads.
func (c *call) reads() bool {
	return c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
}

// dryParam is the parameter of a change that is only to be checked.
var dryParam = param{"dry_run", "true: check everything, store nothing, and answer as it would be", formBool}

// dry reports whether a change is only to be checked.
func (c *call) dry() (bool, error) { return c.flag(dryParam.name) }

// terms are what a request attaches to the change of a record: its conditions,
// held against the record as GET would show it, and whether it is meant.
func terms[T, S any](c *call, shape func(*T) S) (manage.Terms[T], error) {
	dry, err := c.dry()
	if err != nil {
		return manage.Terms[T]{}, err
	}
	asked, err := readConditions(c.r.Header)
	if err != nil {
		return manage.Terms[T]{}, err
	}
	out := manage.Terms[T]{DryRun: dry}
	if asked.match.given || asked.noneMatch.given {
		out.Allow = func(current *T) error {
			return asked.allow(current != nil, func() (string, error) { return shapeTag(shape(current)) })
		}
	}
	return out, nil
}

// changed answers a change with what is now, or would be. shown is what GET
// shows of it from now on.
func (c *call) changed(status int, dry bool, answer, shown any) error {
	if dry {
		c.Header().Set("Dry-Run", "true")
		return c.answer(http.StatusOK, answer)
	}
	tag, err := shapeTag(shown)
	if err != nil {
		return err
	}
	c.Header().Set("ETag", tag)
	return c.answer(status, answer)
}

// wouldGo says how many records a deletion would take.
type wouldGo struct {
	Tenants    int `json:"tenants,omitzero" doc:"how many tenants"`
	Endpoints  int `json:"endpoints,omitzero" doc:"how many endpoints" example:"1"`
	EventTypes int `json:"event_types,omitzero" doc:"how many event types"`
	Keys       int `json:"keys,omitzero" doc:"how many keys"`
}

// deleted answers a deletion.
func (c *call) deleted(dry bool, gone wouldGo) error {
	if dry {
		return c.changed(http.StatusOK, true, gone, nil)
	}
	c.WriteHeader(http.StatusNoContent)
	return nil
}
