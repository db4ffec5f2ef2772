package egress_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"grapnel/internal/egress"
	"grapnel/internal/hostile"
)

// habitatEnv makes the test binary the zoo, in a process of its own, so that
// what is measured here is the sender's alone.
const habitatEnv = "GRAPNEL_TEST_ZOO"

// serveHabitat listens for every specimen in each of its ways, tells where, and
// goes on until its standard input ends.
func serveHabitat() error {
	ca, err := hostile.NewAuthority(time.Now())
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, "ca", base64.StdEncoding.EncodeToString(ca.PEM()))
	for _, s := range specimens() {
		for w := range ways {
			if s.ways&w == 0 {
				continue
			}
			server, err := s.listen(w, ca)
			if err != nil {
				return fmt.Errorf("%s over %s: %w", s.name, ways[w], err)
			}
			defer server.Close()
			fmt.Fprintf(out, "%d %s\t%s\n", w, server.Addr(), s.name)
		}
	}
	fmt.Fprintln(out, "ready")
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func (s *specimen) listen(w way, ca *hostile.Authority) (*hostile.Server, error) {
	if w == plain || w == broken {
		return hostile.Listen(s.behave)
	}
	config := s.config
	if config == nil {
		config = func(ca *hostile.Authority) (*tls.Config, error) {
			return ca.Config("127.0.0.1", time.Now().Add(time.Hour), w == newer)
		}
	}
	cfg, err := config(ca)
	if err != nil {
		return nil, err
	}
	return hostile.ListenTLS(s.behave, cfg)
}

// habitat is the zoo as its visitor sees it.
type habitat struct {
	roots *x509.CertPool
	cages []cage
}

// cage is a specimen in one of its ways.
type cage struct {
	*specimen
	way  way
	addr string
}

func (c *cage) label() string { return c.name + " over " + ways[c.way] }

func (c *cage) url() string {
	if c.way == plain {
		return "http://" + c.addr
	}
	return "https://" + c.addr
}

// request is one with a body that all requests to this cage share.
func (c *cage) request(body []byte, deadline time.Duration) *egress.Request {
	r := post(c.url(), long)
	if c.hangs {
		r.Timeout = deadline
	}
	if c.body > 0 {
		r.Body = body[:c.body]
	}
	r.HTTP1 = c.way == secure
	return r
}

// openHabitat starts the zoo. It ends with the test.
func openHabitat(t *testing.T) *habitat {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), habitatEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the zoo: %v", err)
		}
	})
	h := &habitat{roots: x509.NewCertPool()}
	named := map[string]*specimen{}
	for _, s := range specimens() {
		named[s.name] = &s
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		where, name, _ := strings.Cut(lines.Text(), "\t")
		kind, addr, _ := strings.Cut(where, " ")
		if kind == "ca" {
			pem, err := base64.StdEncoding.DecodeString(addr)
			if err != nil || !h.roots.AppendCertsFromPEM(pem) {
				t.Fatal("no certificate of the zoo's", err)
			}
			continue
		}
		var w way
		if _, err := fmt.Sscan(kind, &w); err != nil || named[name] == nil {
			t.Fatalf("the zoo says %q", lines.Text())
		}
		h.cages = append(h.cages, cage{named[name], w, addr})
	}
	if lines.Text() != "ready" {
		t.Fatal("the zoo did not open", lines.Err())
	}
	return h
}
