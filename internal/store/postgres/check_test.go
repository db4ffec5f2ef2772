package postgres_test

import (
	"strings"
	"testing"

	"grapnel/internal/store/postgres"
	"grapnel/internal/store/postgres/pgtest"
)

// A store that was used is in order; whatever does not fit together is found.
func TestCheck(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	st := openAt(t, postgres.Options{URL: url, Conns: 2})
	oldUnits(t, st, 3)
	wrong := func() string {
		t.Helper()
		r, err := st.Check(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Configuration == nil {
			t.Fatal("there is no configuration")
		}
		var all []string
		for _, f := range r.Findings {
			all = append(all, f.Table+": "+f.Problem)
		}
		return strings.Join(all, "\n")
	}
	if found := wrong(); found != "" {
		t.Fatal(found)
	}
	for sql, want := range map[string]string{
		`UPDATE grapnel.head SET events = events + 1`: "events are counted that are not there",
		`UPDATE grapnel.head SET last = 5`:            "events have an id after the last one",
		`INSERT INTO grapnel.lane_marks (endpoint, partition, seq, tail) VALUES (9, 1, 9000000000000000000, 0)`: "marks are past the end",
		`UPDATE grapnel.event_keys SET key = 'other' WHERE key = 'key1'`:                                        "keys are of events that are not there",
		`UPDATE grapnel.attempts SET state = 1 WHERE event = (SELECT min(seq) FROM grapnel.events)`:             "no delivery to go on with",
		`UPDATE grapnel.attempts SET detail = '\xff' WHERE event = (SELECT max(seq) FROM grapnel.events)`:       "cannot be read",
		`DELETE FROM grapnel.events WHERE seq = (SELECT max(seq) FROM grapnel.events)`:                          "attempts are of events that are not there",
	} {
		run(t, url, sql)
		if found := wrong(); !strings.Contains(found, want) {
			t.Errorf("%s: found %q, not %q", sql, found, want)
		}
	}
}
