package hook_test

import (
	"testing"

	"grapnel/internal/hook"
)

// What the server itself told of, such as a lost store, is not sent again by the
// way (A2-R3): a replay has to name it.
func TestReplaysOfTheServersOwnEvents(t *testing.T) {
	t.Parallel()
	d := &hook.Delivery{Type: "grapnel.connection.lost", State: hook.Failed}
	for _, c := range []struct {
		types []string
		want  bool
	}{{nil, false}, {[]string{"grapnel.*"}, false}, {[]string{"product.add", "grapnel.connection.lost"}, true}} {
		f := hook.ReplayFilter{Types: c.types, States: []hook.DeliveryState{hook.Failed}}
		if got := f.Selects(d); got != c.want {
			t.Errorf("%v: %t", c.types, got)
		}
	}
}
