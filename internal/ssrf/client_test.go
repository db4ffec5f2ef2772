//go:build linux

package ssrf_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/ssrf"
	"grapnel/internal/testaid"
)

// insideVariable tells the test binary that it runs in the network made for it.
const insideVariable = "GRAPNEL_SSRF_INSIDE"

var every = flag.Int("every", 180, "of the corpus, one URL of so many goes through every feature of a server")

// The corpus is as committed, so that what is added or lost of it is seen.
func TestCorpusIsCommitted(t *testing.T) {
	t.Parallel()
	for file, urls := range map[string][]string{"testdata/hostile.txt": ssrf.Hostile(), "testdata/public.txt": ssrf.Public()} {
		var b strings.Builder
		for _, u := range urls {
			fmt.Fprintf(&b, "%+q\n", u)
		}
		testaid.Fresh(t, file, b.String())
	}
	if hostile, public := len(ssrf.Hostile()), len(ssrf.Public()); hostile < 2000 || public < 200 {
		t.Errorf("%d hostile URLs and %d public ones", hostile, public)
	}
	for _, b := range ssrf.Blocks {
		if b.Prefix != b.Prefix.Masked() {
			t.Errorf("%s is no range", b.Prefix)
		}
	}
}

// Cases 80 to 87, with both of Go's resolvers, and with variables that name a proxy: the
// tests whose names begin with Inside run in a network of their own.
func TestNothingLeaves(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		testaid.Missing(t, "a network of its own needs root")
	}
	testaid.Require(t, "ip")
	for _, resolver := range []string{"go", "cgo"} {
		t.Run(resolver, func(t *testing.T) {
			t.Parallel()
			tests, wanted := "^TestInside", 3
			if resolver == "cgo" && *every > 10 { // a server at full length alone
				tests, wanted = "^TestInsideThe", 2
			}
			args := []string{"-test.run=" + tests, "-test.v", "-test.timeout=15m", fmt.Sprint("-every=", *every)}
			cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
			const trap = "http://10.9.9.9:3128"
			cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
				return strings.Contains(strings.ToLower(v), "_proxy=")
			}), insideVariable+"="+t.TempDir(), "GODEBUG=netdns="+resolver+"+1",
				"HTTP_PROXY="+trap, "HTTPS_PROXY="+trap, "ALL_PROXY="+trap, "http_proxy="+trap, "https_proxy="+trap, "all_proxy="+trap, "NO_PROXY=nothing.example")
			ssrf.Apart(cmd)
			out, err := cmd.CombinedOutput()
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "figure:") || strings.Contains(line, "go package net") {
					t.Log(strings.TrimSpace(line))
				}
			}
			if err != nil || bytes.Count(out, []byte("--- PASS: TestInside")) != wanted {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// network is the network that a test inside runs in. Tests inside run one after the other.
func network(t *testing.T) {
	t.Helper()
	folder := os.Getenv(insideVariable)
	if folder == "" {
		t.Skip("TestNothingLeaves runs it in a network of its own")
	}
	if built != nil {
		return
	}
	var err error
	if built, err = ssrf.NewNetwork(folder); err != nil {
		t.Fatal(err)
	}
}

var built *ssrf.Network

func count(t *testing.T, ignore ...netip.AddrPort) *ssrf.Counter {
	t.Helper()
	c, err := ssrf.NewCounter(append(ignore, ssrf.NameServer)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// forbidden takes a counter's count: packets to forbidden addresses by block, and those
// to others.
func forbidden(t *testing.T, c *ssrf.Counter) (blocks map[string]int, inside, outside int) {
	t.Helper()
	seen, err := c.Take()
	if err != nil {
		t.Fatal(err)
	}
	blocks = map[string]int{}
	for to, n := range seen {
		if b, ok := ssrf.Forbidden(to.Addr()); ok {
			blocks[b.Prefix.String()] += n
			inside += n
		} else {
			outside += n
		}
	}
	return blocks, inside, outside
}

const timeout = 20 * time.Second

func do(t *testing.T, c *egress.Client, url string) *egress.Result {
	return c.Do(t.Context(), &egress.Request{Method: "POST", URL: url, Body: []byte("{}"), Timeout: timeout})
}

func client(t *testing.T, allow ...string) *egress.Client {
	t.Helper()
	cfg := egress.Config{ConnectTimeout: timeout}
	for _, a := range allow {
		cfg.Allow = append(cfg.Allow, netip.MustParsePrefix(a))
	}
	c, err := egress.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// The counter counts: with the guard open, packets go to the forbidden ranges.
func TestInsideTheCounterCounts(t *testing.T) {
	network(t)
	counter := count(t)
	c := client(t, "0.0.0.0/0", "::/0")
	asked := 0
	for _, b := range ssrf.Blocks {
		host := netip.AddrPortFrom(b.Prefix.Addr().Next(), 80)
		asked++
		do(t, c, "http://"+host.String()+"/")
	}
	blocks, inside, _ := forbidden(t, counter)
	t.Logf("figure: guard open: %d packets to %d forbidden ranges, of %d asked for", inside, len(blocks), asked)
	if len(blocks) < 35 {
		t.Errorf("%d ranges were reached: %v", len(blocks), blocks)
	}
}

// Cases 80, 81, 82, 86, 87: nothing leaves for any URL of the corpus, at three attempts.
func TestInsideTheDoor(t *testing.T) {
	network(t)
	counter := count(t)
	c := client(t)
	classes := map[string]int{}
	urls := ssrf.Hostile()
	for range 3 {
		for _, u := range urls {
			res := do(t, c, u)
			classes[res.Class]++
			turns := strings.Contains(u, "/rebind-") || strings.Contains(u, "/flip-")
			switch res.Class {
			case egress.ClassBlocked, egress.ClassRequest, egress.ClassDNS:
			default:
				if !turns {
					t.Errorf("%q: class %q, %s, %s", u, res.Class, res.Detail, res.RemoteAddr)
				}
			}
		}
	}
	blocks, inside, outside := forbidden(t, counter)
	t.Logf("figure: %d URLs, 3 attempts each: %d connections to forbidden addresses, %d to the public one that names turn from; by class %v", len(urls), inside, outside, classes)
	if inside != 0 {
		t.Errorf("packets left: %v", blocks)
	}

	public := ssrf.Public()
	refused := 0
	for _, u := range public {
		if err := c.CheckURL(u); err != nil {
			t.Errorf("%q is refused: %v", u, err)
		}
		if res := do(t, c, u); res.Status != 200 {
			t.Errorf("%q: class %q, %s", u, res.Class, res.Detail)
			refused++
		}
	}
	_, inside, outside = forbidden(t, counter)
	t.Logf("figure: %d public URLs: %d refused, %d connections, %d of them to forbidden addresses", len(public), refused, outside, inside)
	if inside != 0 || outside == 0 {
		t.Errorf("%d packets inside, %d outside", inside, outside)
	}
}
