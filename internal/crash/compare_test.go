package crash

import (
	"testing"
	"time"

	"grapnel/internal/ledger"
)

// Whose a request is, is told by its connection: what the dead server sent and
// the receiver read late is not the restored server's.
func TestCompareTellsServersApart(t *testing.T) {
	t.Parallel()
	restored := time.Now()
	key := [2]string{"evt_1", "ep_1"}
	for name, c := range map[string]struct {
		conn   time.Time
		resent int
	}{
		"read late":      {restored.Add(-time.Second), 0},
		"sent once more": {restored.Add(time.Second), 1},
	} {
		b := &backup{world: &world{since: restored}, report: &BackupReport{}, recorded: map[[2]string]int{key: 1}}
		b.compare(&ledger.Record{
			Deliveries: []ledger.Delivery{{Event: key[0], Endpoint: key[1], State: "delivered", Attempts: 1}},
			Requests: []ledger.Request{
				{Seq: 1, Event: key[0], Endpoint: key[1], Status: 200, ConnAt: restored.Add(-time.Minute)},
				{Seq: 2, Event: key[0], Endpoint: key[1], Status: 200, ConnAt: c.conn, At: restored.Add(time.Hour)},
			},
		})
		if b.report.Resent != c.resent || len(b.report.Findings) != c.resent {
			t.Errorf("%s: %d sent again, %v", name, b.report.Resent, b.report.Findings)
		}
	}
}
