package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"grapnel/internal/api"
	"grapnel/internal/store"
)

// several is a cluster in a state that real ones are in only for moments.
type several []store.Node

func (s several) Nodes(context.Context) ([]store.Node, error) { return s, nil }

// Nodes are listed with what they hold, page by page, and the asked one is marked.
func TestNodes(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	node := func(name string, partitions uint64) store.Node {
		return store.Node{Name: name, Version: "v1", Schema: 3, Address: name + ":80", Started: began, Seen: began, Expires: began.Add(time.Minute), Partitions: partitions}
	}
	leaving, gone := node("b", 0), node("c", 1<<63)
	leaving.Leaves, gone.Over = true, true
	b := setup(t, func(c *api.Config) {
		c.Cluster, c.Node = several{node("a", 5), leaving, gone}, "b"
	})
	first := b.want(http.StatusOK, "GET", "/v1/nodes?limit=2", "")
	rest := b.want(http.StatusOK, "GET", "/v1/nodes?limit=2&cursor="+first.text("next_cursor"), "")
	const common = `,"version":"v1","schema":3,"started_at":"2026-05-01T08:00:00.000Z","seen_at":"2026-05-01T08:00:00.000Z","lease_ends_at":"2026-05-01T08:01:00.000Z","partitions":`
	for i, want := range []string{
		`{"data":[{"name":"a","self":false,"state":"active","address":"a:80"` + common + `[0,2]},{"name":"b","self":true,"state":"leaving","address":"b:80"` + common + `[]}],`,
		`{"data":[{"name":"c","self":false,"state":"gone","address":"c:80"` + common + `[63]}],`,
	} {
		if got := []*answer{first, rest}[i].body; len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
