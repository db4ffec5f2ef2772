package hook

import (
	"cmp"
	"strings"
)

// Pinned is something besides the records that shapes bodies, as the server had
// it at its last start: its public URL, and the text of each dialect file of
// the operator's. It is kept so that the events from before a change keep
// their bodies.
type Pinned struct {
	Name  string // PinnedURL, PinnedKey, or PinnedDialect and the dialect's name
	Value []byte
	Past  []Past[[]byte] // earlier values, oldest first
}

// The names of what is pinned.
const (
	PinnedURL     = "public_url"
	PinnedKey     = "secret_key" // shapes nothing: it is sealed with the key of the servers that share the store
	PinnedDialect = "dialect/"
)

// VersionsFor are the steps from the newest shape of an event type's data to
// the one that a tenant's API version asks for, in order: each step's Convert
// is to be run. It is the newest version that is not newer than the tenant's,
// and the oldest there is where all are newer. "" asks for the newest shape,
// and so does what is newer than every version, for the newest shape need not
// have a name (SM-V1).
func VersionsFor(versions []TypeVersion, apiVersion string) []TypeVersion {
	if apiVersion == "" || len(versions) == 0 {
		return nil
	}
	last := len(versions) - 1
	for i := range versions {
		order := CompareVersions(versions[i].Version, apiVersion)
		if i == 0 && order < 0 {
			return nil
		}
		if order <= 0 {
			last = i
			break
		}
	}
	steps := versions[:last+1]
	if steps[0].Convert == "" {
		return steps[1:]
	}
	return steps
}

// CompareVersions compares two names of versions as texts in which a run of
// digits is a number: 2021-02-23 is before 2022-02-01, and v9 before v10.
func CompareVersions(a, b string) int {
	for a != "" && b != "" {
		x, restA := token(a)
		y, restB := token(b)
		order := strings.Compare(x, y)
		if digit(x[0]) && digit(y[0]) {
			m, n := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			order = cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n))
		}
		if order != 0 {
			return order
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// token cuts a run of digits, or one other byte, from the front of a text.
func token(s string) (string, string) {
	n := 1
	for digit(s[0]) && n < len(s) && digit(s[n]) {
		n++
	}
	return s[:n], s[n:]
}
