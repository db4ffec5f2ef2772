package ingest

import (
	"grapnel/internal/hook"
	"grapnel/internal/store/directory"
)

// Matcher is the matcher that the committer uses.
type Matcher struct{ *matcher }

// NewMatcher makes a matcher.
func NewMatcher(d *directory.Directory, policy func(string) Policy) Matcher {
	return Matcher{newMatcher(d, policy)}
}

// Match finds whom an event goes to.
func (m Matcher) Match(tenant string, e *hook.Event, suppress bool) ([]hook.Target, error) {
	return m.match(tenant, e, suppress, nil)
}
