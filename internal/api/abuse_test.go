package api_test

import (
	"net/http"
	"testing"
)

// case 119: replays are bounded for each tenant, a repeated request makes no second one,
// and cancelling one makes room. How fast they send is the endpoint's rate, and how often
// they can be asked for is the key's.
func TestReplaysCannotPileUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.replayer.Stop() // so that they all run for as long as the test does
	const path, body, bound = "/v1/tenants/acme/replays", `{"states":["failed"]}`, 20
	first := b.want(http.StatusAccepted, "POST", path, body, keyed).text("id")
	for range bound - 1 {
		b.want(http.StatusAccepted, "POST", path, body)
	}
	for range 3 {
		if again := b.want(http.StatusAccepted, "POST", path, body, keyed).text("id"); again != first {
			t.Errorf("a repeated request made the replay %s", again)
		}
		b.want(http.StatusConflict, "POST", path, body)
	}
	b.want(http.StatusAccepted, "POST", "/v1/tenants/other/replays", body)
	b.want(http.StatusOK, "POST", path+"/"+first+"/cancel", "")
	b.want(http.StatusAccepted, "POST", path, body)
	b.want(http.StatusConflict, "POST", path, body)
}
