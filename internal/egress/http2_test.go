package egress

import (
	"strconv"
	"testing"
)

// A connection that is handed over has one owner at any time, and none is lost
// when the attempt is over.
func TestHandover(t *testing.T) {
	t.Parallel()
	var h handover
	first, second := &conn{}, &conn{}
	if h.take() != nil {
		t.Error("there is something at the beginning")
	}
	if !h.give(first) || h.give(second) {
		t.Error("not one of two connections is taken in")
	}
	if h.take() != first || h.take() != nil {
		t.Error("the connection is not given out once")
	}
	if !h.give(second) || h.end() != second {
		t.Error("what is left at the end is lost")
	}
	if h.give(first) || h.take() != nil {
		t.Error("a connection is taken in after the end")
	}
}

func TestNewerIsBounded(t *testing.T) {
	t.Parallel()
	var n newer
	for i := range 3 * maxNewer {
		peer := strconv.Itoa(i)
		n.add(peer)
		if !n.has(peer) || len(n.peers) > maxNewer {
			t.Fatalf("%s: remembered %v, %d in all", peer, n.has(peer), len(n.peers))
		}
	}
	n.forget(strconv.Itoa(3*maxNewer - 1))
	if n.has(strconv.Itoa(3*maxNewer - 1)) {
		t.Error("not forgotten")
	}
}
