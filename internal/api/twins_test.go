package api_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"
)

// ofTheServer is what an answer holds that the server has chosen.
var ofTheServer = regexp.MustCompile(`"(id|number|instance|secret|vendor_id|endpoint|event)":("[^"]*"|[0-9]+)|"[a-z_]+_at":"[^"]*"|\[\{"created_at[^]]*\]|"time":"[^"]*"`)

// step is a request that a tenant makes with ids of its own choosing.
type step struct{ method, path, body, once string }

func (s *step) of(tenant string, b *bundle, key string) string {
	headers := []string{as(key)}
	if s.once != "" {
		headers = append(headers, "Idempotency-Key: "+s.once)
	}
	a := b.do(s.method, "/v1/tenants/"+tenant+s.path, s.body, headers...)
	return fmt.Sprint(s.method, " ", s.path, " ", a.status, " ", ofTheServer.ReplaceAllString(a.body, "$1"))
}

func randomStep(rnd *rand.Rand) *step {
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	switch rnd.IntN(6) {
	case 0:
		return &step{"PUT", "/endpoints/" + pick("hook", "other"), pick(`{"url":"https://example.com/a"}`, `{"url":"https://example.com/b","event_types":["b"]}`), ""}
	case 1:
		return &step{"DELETE", "/endpoints/" + pick("hook", "other"), "", ""}
	case 2:
		return &step{"GET", "/events/" + pick("e1", "e2", "e3"), "", ""}
	case 3:
		return &step{"GET", "/endpoints/" + pick("hook", "other"), "", ""}
	}
	return &step{"POST", "/events", fmt.Sprintf(`{"id":%q,"type":%q,"data":%s}`, pick("e1", "e2", "e3"), pick("a", "b"), pick("1", "2")), pick("", "", "k1", "k2")}
}

// case 96: two tenants that choose the same ids, of endpoints, events and requests, get
// each what it would get alone.
func TestTwinsAreStrangers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 96))
		both, alone := setup(t), map[string]*bundle{"acme": setup(t), "other": setup(t)}
		key := func(b *bundle, tenant string) string {
			return b.key(fmt.Sprintf(`{"tenant":%q,"scopes":["publish","manage"]}`, tenant))
		}
		keys, soloKeys := map[string]string{}, map[string]string{}
		for tenant, b := range alone {
			keys[tenant], soloKeys[tenant] = key(both, tenant), key(b, tenant)
		}
		seen := map[string][]string{}
		for range 150 {
			tenant, s := []string{"acme", "other"}[rnd.IntN(2)], randomStep(rnd)
			got, want := s.of(tenant, both, keys[tenant]), s.of(tenant, alone[tenant], soloKeys[tenant])
			if got != want {
				t.Fatalf("seed %d: %s beside its twin gets\n%s\nand alone\n%s", seed, tenant, got, want)
			}
			if !slices.Contains(seen[tenant], got) {
				seen[tenant] = append(seen[tenant], got)
			}
		}
		if len(seen["acme"]) < 20 || len(seen["other"]) < 20 {
			t.Errorf("seed %d: only %d and %d different answers", seed, len(seen["acme"]), len(seen["other"]))
		}
	}
}
