package client

import "net/http"

// Option changes one call.
type Option func(*request)

// IfMatch lets a change happen only if the thing still has this ETag, as Meta
// tells it. Else the call fails with CodePrecondition.
func IfMatch(etag string) Option { return condition("If-Match", etag) }

// IfExists lets a change happen only if the thing exists. Else the call fails
// with CodePrecondition.
func IfExists() Option { return condition("If-Match", "*") }

// IfAbsent lets a PUT happen only if it creates the thing. Else the call fails
// with CodePrecondition.
func IfAbsent() Option { return condition("If-None-Match", "*") }

// IfNoneMatch makes a read fail with ErrNotModified if what is read still has
// this ETag.
func IfNoneMatch(etag string) Option {
	return func(r *request) { r.header.Set("If-None-Match", etag) }
}

func condition(name, value string) Option {
	return func(r *request) {
		r.header.Set(name, value)
		r.denied = true
	}
}

// IdempotencyKey makes a POST safe to repeat: the same call under the same key
// has the same answer and happens once. The key has 1 to 255 characters of
// printable ASCII; "" is none.
func IdempotencyKey(key string) Option {
	return func(r *request) {
		if key != "" {
			r.header.Set("Idempotency-Key", key)
			r.safe = true
		}
	}
}

// DryRun checks a change and answers as if it had been made, and makes none.
func DryRun() Option {
	return func(r *request) {
		r.query.Set("dry_run", "true")
		r.safe = true
	}
}

// safe marks what may be sent twice by what is in it.
func safe(yes bool) Option {
	return func(r *request) { r.safe = r.safe || yes }
}

// once marks what must not be sent twice unless it is known that the first one
// did nothing.
func once() Option {
	return func(r *request) { r.safe = false }
}

// Meta is what an answer tells of itself beside its body.
type Meta struct {
	ETag     string // of the thing as it is now; "" if the answer has none
	DryRun   bool   // nothing was changed
	Replayed bool   // an earlier answer to the same Idempotency-Key
}

func (m *Meta) noteMeta(h http.Header) {
	m.ETag = h.Get("ETag")
	m.DryRun = h.Get("Dry-Run") == "true"
	m.Replayed = h.Get("Idempotency-Replayed") == "true"
}
