package ledger_test

import (
	"strings"
	"testing"
	"time"

	"grapnel/internal/ledger"
)

// twice is a delivery that two nodes made: the first request comes from node one at
// 400 ms, the second from node two at 900 ms, and one attempt is recorded.
func twice(faults ...ledger.Fault) *ledger.Record {
	request := func(ms int, node string) ledger.Request {
		return ledger.Request{Seq: int64(ms), At: at(ms), Endpoint: "a", Event: "e1", Key: "k1", SHA256: "body", DataSHA256: "data", ConnAt: at(1), Status: 200, Node: node}
	}
	return &ledger.Record{
		Publishes:  []ledger.Publish{{Key: "k1", Tenant: "t", DataSHA256: "data", To: []string{"a"}, At: at(0), State: ledger.Acknowledged, ID: "e1"}},
		Requests:   []ledger.Request{request(400, "one"), request(900, "two")},
		Deliveries: []ledger.Delivery{{Event: "e1", Endpoint: "a", State: "delivered", Attempts: 1}},
		Faults:     faults,
		Window:     50 * time.Millisecond,
		DumpedAt:   at(2000),
	}
}

// case 26, case 27: a second request is excused by a fault of the node that sent
// either of them, and by nothing else.
func TestFaultsOfNodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []ledger.Fault
		fine   bool
	}{
		"none":                              {nil, false},
		"one was killed":                    {[]ledger.Fault{{At: at(420), Node: "one"}}, true},
		"one was killed long after":         {[]ledger.Fault{{At: at(500), Node: "one"}}, false},
		"a third one was killed":            {[]ledger.Fault{{At: at(420), Node: "three"}}, false},
		"one ended in good order":           {[]ledger.Fault{{At: at(420), Node: "one", Orderly: true}}, false},
		"one was stopped":                   {[]ledger.Fault{{From: at(410), At: at(950), Node: "one"}}, true},
		"one was stopped before":            {[]ledger.Fault{{From: at(100), At: at(300), Node: "one"}}, false},
		"two was stopped and sent it after": {[]ledger.Fault{{From: at(380), At: at(890), Node: "two"}}, true},
		"two was killed before it was read": {[]ledger.Fault{{At: at(880), Node: "two"}}, true},
		"two was killed after that":         {[]ledger.Fault{{At: at(990), Node: "two"}}, false},
		"a third one was stopped":           {[]ledger.Fault{{From: at(410), At: at(950), Node: "three"}}, false},
		"the database was away":             {[]ledger.Fault{{From: at(410), At: at(700)}}, true},
	} {
		findings, summary := ledger.Check(twice(c.faults...))
		switch {
		case c.fine && (len(findings) > 0 || summary.Duplicates != 1 || summary.InFlight != 1):
			t.Errorf("%s: %+v, %v", name, summary, findings)
		case !c.fine && (len(findings) != 2 || !strings.HasPrefix(findings[0].String(), "I4 ") || !strings.HasPrefix(findings[1].String(), "I5 ")):
			t.Errorf("%s: want I4 and I5, got %v", name, findings)
		}
	}
}

// One fault excuses one request of a delivery.
func TestFaultExcusesOnce(t *testing.T) {
	t.Parallel()
	r := twice(ledger.Fault{From: at(390), At: at(950)})
	third := r.Requests[1]
	third.Seq++
	r.Requests = append(r.Requests, third)
	if findings, _ := ledger.Check(r); len(findings) == 0 || findings[0].Invariant != "I4" {
		t.Errorf("got %v", findings)
	}
}
