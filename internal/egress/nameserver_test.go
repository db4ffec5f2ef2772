package egress_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"grapnel/internal/egress"
	"grapnel/internal/hostile"
)

// nameServer is a name server on the loopback, over UDP and TCP at the same port. Its
// reply gets each question, and gives what to send; nil: nothing. udp and tcp count
// the questions.
type nameServer struct {
	addr     string
	udp, tcp atomic.Int64
}

func serveNames(t *testing.T, reply func(q dnsmessage.Message, overTCP bool) []byte) *nameServer {
	t.Helper()
	lc := net.ListenConfig{}
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := lc.ListenPacket(t.Context(), "udp", l.Addr().String())
	if err != nil {
		l.Close()
		t.Skip("the port is taken over UDP: ", err)
	}
	s := &nameServer{addr: l.Addr().String()}
	t.Cleanup(func() { l.Close(); p.Close() })
	answer := func(b []byte, overTCP bool) []byte {
		var q dnsmessage.Message
		if q.Unpack(b) != nil {
			return nil
		}
		return reply(q, overTCP)
	}
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := p.ReadFrom(b)
			if err != nil {
				return
			}
			s.udp.Add(1)
			if out := answer(b[:n], false); out != nil {
				p.WriteTo(out, from)
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var size [2]byte
				for {
					if _, err := io.ReadFull(c, size[:]); err != nil {
						return
					}
					b := make([]byte, binary.BigEndian.Uint16(size[:]))
					if _, err := io.ReadFull(c, b); err != nil {
						return
					}
					s.tcp.Add(1)
					out := answer(b, true)
					if out == nil {
						return
					}
					c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
				}
			}()
		}
	}()
	return s
}

// lookup resolves as a client does by default, but by this server.
func (s *nameServer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return egress.DialNameServer(ctx, network, s.addr)
	}}
	return r.LookupNetIP(ctx, "ip", host)
}

// answerTo packs an answer to a question; change may spoil it.
func answerTo(q dnsmessage.Message, change func(m *dnsmessage.Message), records ...dnsmessage.Resource) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true}, Questions: q.Questions, Answers: records}
	if change != nil {
		change(&m)
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// aRecord is an IPv4 address of a name, for as long as it takes to read it.
func aRecord(name dnsmessage.Name, a, b, c, d byte) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: [4]byte{a, b, c, d}}}
}

func alias(name, of dnsmessage.Name) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeCNAME, Class: dnsmessage.ClassINET}, Body: &dnsmessage.CNAMEResource{CNAME: of}}
}

// cases 55, 82: a name server that misbehaves on the wire. An attempt ends by its
// deadline, says that the name was at fault, and dials nothing but what was vetted.
func TestNameServerMisbehaves(t *testing.T) {
	t.Parallel()
	type reply = func(q dnsmessage.Message, overTCP bool) []byte
	name := func(q dnsmessage.Message) dnsmessage.Name { return q.Questions[0].Name }
	isA := func(q dnsmessage.Message) bool { return q.Questions[0].Type == dnsmessage.TypeA }
	other := dnsmessage.MustNewName("other.example.")
	code := func(c dnsmessage.RCode) reply {
		return func(q dnsmessage.Message, _ bool) []byte {
			return answerTo(q, func(m *dnsmessage.Message) { m.RCode = c })
		}
	}
	a := func(records func(q dnsmessage.Message) []dnsmessage.Resource) reply {
		return func(q dnsmessage.Message, _ bool) []byte {
			if !isA(q) {
				return answerTo(q, nil)
			}
			return answerTo(q, nil, records(q)...)
		}
	}
	var turns atomic.Int64
	for _, c := range []struct {
		name  string
		reply reply
		class string // "": it is answered
		tcp   bool   // asked again over TCP
	}{
		{"the right answer", a(func(q dnsmessage.Message) []dnsmessage.Resource {
			return []dnsmessage.Resource{aRecord(name(q), 127, 0, 0, 1)}
		}), "", false},
		{"through an alias", a(func(q dnsmessage.Message) []dnsmessage.Resource {
			return []dnsmessage.Resource{alias(name(q), other), aRecord(other, 127, 0, 0, 1)}
		}), "", false},
		{"silence: the deadline", func(dnsmessage.Message, bool) []byte { return nil }, egress.ClassDNS, false},
		{"no such name", code(dnsmessage.RCodeNameError), egress.ClassDNS, false},
		{"server failure", code(dnsmessage.RCodeServerFailure), egress.ClassDNS, false},
		{"refused", code(dnsmessage.RCodeRefused), egress.ClassDNS, false},
		{"not implemented", code(dnsmessage.RCodeNotImplemented), egress.ClassDNS, false},
		{"no address", code(dnsmessage.RCodeSuccess), egress.ClassDNS, false},
		{"bytes at random: the deadline", func(q dnsmessage.Message, _ bool) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n\r\n") }, egress.ClassDNS, false},
		{"nothing but a header: the deadline", func(q dnsmessage.Message, _ bool) []byte { return answerTo(q, nil)[:12] }, egress.ClassDNS, false},
		{"another question's answer: the deadline", func(q dnsmessage.Message, _ bool) []byte {
			return answerTo(q, func(m *dnsmessage.Message) { m.Questions[0].Name = other }, aRecord(other, 127, 0, 0, 1))
		}, egress.ClassDNS, false},
		{"a guessed id: the deadline", func(q dnsmessage.Message, _ bool) []byte {
			return answerTo(q, func(m *dnsmessage.Message) { m.ID++ }, aRecord(name(q), 127, 0, 0, 1))
		}, egress.ClassDNS, false},
		{"cut off, whole over TCP", func(q dnsmessage.Message, overTCP bool) []byte {
			if !overTCP {
				return answerTo(q, func(m *dnsmessage.Message) { m.Truncated = true })
			}
			if !isA(q) {
				return answerTo(q, nil)
			}
			return answerTo(q, nil, aRecord(name(q), 127, 0, 0, 1))
		}, "", true},
		{"cut off, and TCP hangs up", func(q dnsmessage.Message, overTCP bool) []byte {
			if overTCP {
				return nil
			}
			return answerTo(q, func(m *dnsmessage.Message) { m.Truncated = true })
		}, egress.ClassDNS, true},
		{"an alias of itself", a(func(q dnsmessage.Message) []dnsmessage.Resource {
			return []dnsmessage.Resource{alias(name(q), name(q))}
		}), egress.ClassDNS, false},
		{"aliases in a circle", a(func(q dnsmessage.Message) []dnsmessage.Resource {
			return []dnsmessage.Resource{alias(name(q), other), alias(other, name(q))}
		}), egress.ClassDNS, false},
		{"an alias of what is forbidden", a(func(q dnsmessage.Message) []dnsmessage.Resource {
			return []dnsmessage.Resource{alias(name(q), other), aRecord(other, 169, 254, 169, 254)}
		}), egress.ClassBlocked, false},
		{"one allowed and one not", a(func(q dnsmessage.Message) []dnsmessage.Resource {
			return []dnsmessage.Resource{aRecord(name(q), 127, 0, 0, 1), aRecord(name(q), 10, 0, 0, 1)}
		}), egress.ClassBlocked, false},
		{"another each time, and forbidden", a(func(q dnsmessage.Message) []dnsmessage.Resource {
			return []dnsmessage.Resource{aRecord(name(q), 10, 0, 0, byte(turns.Add(1)))}
		}), egress.ClassBlocked, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := listen(t, hostile.Always(hostile.Reply{Close: true}))
			names := serveNames(t, c.reply)
			client := newClient(t, egress.Config{Lookup: names.lookup})
			limit := long
			if strings.HasSuffix(c.name, ": the deadline") {
				limit = short
			}
			begin := time.Now()
			res := client.Do(t.Context(), post(fmt.Sprintf("http://hooks.example.:%d/", s.Addr().Port()), limit))
			wantClass(t, res, c.class)
			if took := time.Since(begin); took > limit+long/2 || limit == long && took > long/2 {
				t.Errorf("took %v", took)
			}
			if answered := c.class == ""; answered != (s.Conns() == 1) || !answered && s.Conns() != 0 {
				t.Errorf("%d connections to the endpoint", s.Conns())
			}
			if names.udp.Load() == 0 || c.tcp != (names.tcp.Load() > 0) {
				t.Errorf("%d questions over UDP, %d over TCP", names.udp.Load(), names.tcp.Load())
			}
		})
	}
}

// case 55, case 82: each attempt asks anew, whatever the server says of how long its
// answer lasts: what is dialled is what was vetted for this attempt.
func TestEachAttemptAsksAnew(t *testing.T) {
	t.Parallel()
	s := listen(t, hostile.Always(hostile.Reply{Close: true}))
	var forbidden atomic.Bool
	names := serveNames(t, func(q dnsmessage.Message, _ bool) []byte {
		if q.Questions[0].Type != dnsmessage.TypeA {
			return answerTo(q, nil)
		}
		r := aRecord(q.Questions[0].Name, 127, 0, 0, 1)
		if forbidden.Load() {
			r = aRecord(q.Questions[0].Name, 10, 0, 0, 1)
		}
		r.Header.TTL = 86400
		return answerTo(q, nil, r)
	})
	c := newClient(t, egress.Config{Lookup: names.lookup})
	url := fmt.Sprintf("http://hooks.example.:%d/", s.Addr().Port())
	for i := range 6 {
		forbidden.Store(i%2 == 1)
		want := ""
		if i%2 == 1 {
			want = egress.ClassBlocked
		}
		wantClass(t, c.Do(t.Context(), post(url, long)), want)
	}
	if s.Conns() != 3 {
		t.Errorf("%d connections, want 3", s.Conns())
	}
}
