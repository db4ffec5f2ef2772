package serve_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"grapnel/client"
	"grapnel/internal/serve"
)

// SM-V1: a converter that would end the process, eat its memory or never end
// has its delivery held with the reason, is refused where there is a sample,
// and takes nobody else anything.
func TestConvertersCannotEndTheServer(t *testing.T) {
	t.Parallel()
	k := newTaker(t)
	cfg := serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{k.addr}}
	cfg.Settings.AdminKey = "gk_admin_0123456789012345678901"
	api, stop := run(t, cfg)
	defer stop()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(api.PutTenant(t.Context(), "acme", client.TenantInput{APIVersion: client.Set("1")}))
	must(api.CreateEndpoint(t.Context(), "acme", client.EndpointInput{URL: client.Set(k.url), EventTypes: client.Set([]string{"item.changed"})}))
	versions := func(program string) client.EventTypeInput {
		return client.EventTypeInput{Versions: client.Set([]client.TypeVersion{{Version: "1", Convert: program}})}
	}
	settled := func(want string) client.Delivery {
		t.Helper()
		r, err := api.Publish(t.Context(), "acme", client.Event{Type: "item.changed", Data: json.RawMessage(`{"a":1}`)})
		must(r, err)
		var d client.Delivery
		await(t, "the delivery to be "+want, func() bool {
			ev, err := api.Event(t.Context(), "acme", r.ID)
			must(ev, err)
			d = ev.Deliveries[0]
			return string(d.State) == want
		})
		return d
	}
	for _, program := range []string{
		"reduce range(4000000) as $i (1; [.]) | tojson | length",
		"reduce range(1000000) as $i (1; [.]) | tojson | length",
		"def f: [f]; f",
		`"x" * 1000000000 | length`,
		"def p($n): if $n == 0 then 7 else p($n - 1) | . * . end; p(40)",
		"def f: f; f",
	} {
		in := versions(program)
		in.Sample = client.Set(json.RawMessage(`{"a":1}`))
		if _, err := api.PutEventType(t.Context(), "item.tried", in); err == nil || !strings.Contains(err.Error(), "of the sample: the program ") {
			t.Errorf("%s: got %v, want it to be refused", program, err)
		}
		must(api.PutEventType(t.Context(), "item.changed", versions(program)))
		if d := settled("held"); !strings.Contains(d.Reason, "cannot be converted to version 1: the program ") || !strings.Contains(d.Reason, " too ") {
			t.Errorf("%s: held with the reason %q", program, d.Reason)
		}
		must(api.PutEventType(t.Context(), "item.changed", versions("{b: .a}")))
		settled("delivered")
	}
}

// A server without converters has no processes besides its own, and one that
// has stopped has none left.
func TestConvertersComeAndGo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("children are counted in /proc")
	}
	before := children(t)
	cfg := serve.Config{Settings: settings(t, t.TempDir())}
	cfg.Settings.AdminKey = "gk_admin_0123456789012345678901"
	api, stop := run(t, cfg)
	if _, err := api.PutEventType(t.Context(), "a.b", client.EventTypeInput{Sample: client.Set(json.RawMessage(`{"a":1}`))}); err != nil {
		t.Fatal(err)
	}
	if n := children(t); n != before {
		t.Errorf("without a converter there are %d processes more", n-before)
	}
	if _, err := api.PutEventType(t.Context(), "a.b", client.EventTypeInput{Versions: client.Set([]client.TypeVersion{{Version: "1", Convert: "."}})}); err != nil {
		t.Fatal(err)
	}
	if n := children(t); n != before+1 {
		t.Errorf("with a converter there are %d processes more, want 1", n-before)
	}
	stop()
	if n := children(t); n != before {
		t.Errorf("after the end there are %d processes more", n-before)
	}
}

// children counts the processes that run converters for this one.
func children(t *testing.T) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) && strings.Contains(string(args), "run-converters") {
			n++
		}
	}
	return n
}
