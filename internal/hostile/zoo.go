package hostile

import (
	"bytes"
	"compress/gzip"
	"io"
	"strconv"
	"strings"
	"time"
)

// after reads a request and goes on if one came.
func after(f func(c *Conn)) Behaviour {
	return func(c *Conn) {
		if _, err := c.ReadRequest(); err == nil {
			f(c)
		}
	}
}

// NeverAnswer accepts and says nothing; with an https URL the TLS handshake
// does not end (case 39).
func NeverAnswer() Behaviour { return (*Conn).Hang }

// Silent reads the request and says nothing (case 39).
func Silent() Behaviour { return after((*Conn).Hang) }

// EndlessBody answers 200 with a body that does not end (case 37).
func EndlessBody() Behaviour {
	return after(func(c *Conn) {
		chunk := "4000\r\n" + strings.Repeat("x", 0x4000) + "\r\n"
		for ok := c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"); ok; {
			ok = c.Send(chunk)
		}
	})
}

// DripBody answers with a status and a long body, one byte at a time
// (case 38).
func DripBody(status int, every time.Duration) Behaviour {
	return after(func(c *Conn) {
		for ok := c.Send("HTTP/1.1 " + strconv.Itoa(status) + " Slow\r\nContent-Length: 100000\r\n\r\n"); ok; {
			ok = c.Send("x") && c.Pause(every)
		}
	})
}

// DripHeader sends a header one byte at a time and never ends it.
func DripHeader(every time.Duration) Behaviour {
	return after(func(c *Conn) {
		for ok := c.Send("HTTP/1.1 200 OK\r\nX-Slow: "); ok; {
			ok = c.Send("x") && c.Pause(every)
		}
	})
}

// EndlessHeaders sends header lines without end (case 40).
func EndlessHeaders() Behaviour {
	return after(func(c *Conn) {
		c.Send("HTTP/1.1 200 OK\r\n")
		for i := 0; c.Send("X-Line-" + strconv.Itoa(i) + ": " + strings.Repeat("x", 100) + "\r\n"); i++ {
		}
	})
}

// Informational floods with 1xx answers (case 41).
func Informational(status int) Behaviour {
	return after(func(c *Conn) {
		block := strings.Repeat("HTTP/1.1 "+strconv.Itoa(status)+" Wait\r\nX-A: b\r\n\r\n", 100)
		for c.Send(block) {
		}
	})
}

// SwitchProtocols answers 101 and then nothing; with the headers of a real
// switch if upgrade is set (case 42).
func SwitchProtocols(upgrade bool) Behaviour {
	head := "HTTP/1.1 101 Switching Protocols\r\n\r\n"
	if upgrade {
		head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	}
	return after(func(c *Conn) {
		c.Send(head)
		c.Hang()
	})
}

// CompressionBomb answers with that many mebibytes of zeros, about a thousandth
// of it on the wire, gzipped and called Content-Encoding encoding (case 43).
func CompressionBomb(encoding string, mib int) Behaviour {
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	z.Write(make([]byte, 1<<20)) // writing to memory cannot fail
	z.Close()
	return Always(Reply{Header: []Field{{"Content-Encoding", encoding}}, Body: strings.Repeat(member.String(), mib)})
}

// Raw reads a request, answers with these bytes and closes.
func Raw(answer string) Behaviour { return after(func(c *Conn) { c.Send(answer) }) }

// RawOpen reads a request, answers with these bytes and keeps the connection
// open.
func RawOpen(answer string) Behaviour {
	return after(func(c *Conn) {
		c.Send(answer)
		c.Hang()
	})
}

// Framing is one answer that breaks the rules of HTTP/1.1.
type Framing struct {
	Name   string
	Answer string
	Fatal  bool // no sender may take it for an answer; the others are matters of taste
}

// Framings are answers with bad framing (case 44), for Raw and RawOpen.
func Framings() []Framing {
	return []Framing{
		{"two content-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", true},
		{"content-length list", "HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!", true},
		{"negative content-length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", true},
		{"signed content-length", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", true},
		{"content-length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false},
		{"unknown transfer coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nok", true},
		{"bad chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n", true},
		{"huge chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nok", true},
		{"chunk without end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", true},
		{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", false},
		{"folded header", "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", false},
		{"space before colon", "HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n", false},
		{"header without colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", true},
		{"status 000", "HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n", true},
		{"status 099", "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n", true},
		{"status 600", "HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n", true},
		{"status 999", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", true},
		{"status -20", "HTTP/1.1 -20 Minus\r\nContent-Length: 0\r\n\r\n", true},
		{"status 2000", "HTTP/1.1 2000 Long\r\nContent-Length: 0\r\n\r\n", true},
		{"no status", "HTTP/1.1\r\n\r\n", true},
		{"HTTP/0.9", "<html>hello</html>\r\n", true},
		{"HTTP/9.9", "HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n", false},
		{"SSH banner", "SSH-2.0-OpenSSH_9.6\r\n", true},
		{"SMTP banner", "220 mail.example.com ESMTP\r\n", true},
		{"TLS alert", "\x15\x03\x01\x00\x02\x02\x46", true},
		{"NUL in header", "HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n", true},
		{"nothing", "", true},
	}
}

// AnswerEarly reads k bytes of the request, answers and reads no more. hold
// keeps the connection open until the server closes.
func AnswerEarly(k int64, answer string, hold bool) Behaviour {
	return func(c *Conn) {
		if _, err := io.CopyN(io.Discard, c.Conn, k); err == nil && c.Send(answer) && hold {
			<-c.server.done
		}
	}
}

// ResetAt reads a request, sends the first k bytes of an answer of 200 with a
// body and ends with a RST (case 9).
func ResetAt(k int) Behaviour {
	return after(func(c *Conn) { c.cutAnswer(k) })
}

// ResetReused answers the first request of a connection well and the second
// like ResetAt (case 9).
func ResetReused(k int) Behaviour {
	return after(func(c *Conn) {
		if !c.Send(Reply{Body: "ok"}.wire()) {
			return
		}
		if _, err := c.ReadRequest(); err == nil {
			c.cutAnswer(k)
		}
	})
}

// ResetAnswerLen is the length of the answer that ResetAt cuts.
func ResetAnswerLen() int { return len(cutReply.wire()) }

var cutReply = Reply{Body: strings.Repeat("x", 100)}

func (c *Conn) cutAnswer(k int) {
	answer := cutReply.wire()
	c.Send(answer[:min(k, len(answer))])
	c.Reset()
}

// ResetInRequest reads k bytes of the request and ends with a RST (case 9).
func ResetInRequest(k int64) Behaviour {
	return func(c *Conn) {
		io.CopyN(io.Discard, c.Conn, k)
		c.Reset()
	}
}

// CloseReused answers the first request of a connection and reads the second
// one whole, to close then without a word (case 9).
func CloseReused() Behaviour {
	return after(func(c *Conn) {
		if c.Send(Reply{Body: "ok"}.wire()) {
			c.ReadRequest()
		}
	})
}

// SlowReader takes the request a byte at a time, with a small window
// (case 47).
func SlowReader(every time.Duration) Behaviour {
	return func(c *Conn) {
		c.tcp.SetReadBuffer(2048)
		b := make([]byte, 1)
		for c.Pause(every) {
			if _, err := c.Conn.Read(b); err != nil {
				return
			}
		}
	}
}

// Junk answers 204 and lets junk follow in the same packet (case 53). An
// empty junk is an answer to a request that was never made.
func Junk(junk string) Behaviour {
	if junk == "" {
		junk = Reply{Body: "smuggled"}.wire()
	}
	return RawOpen("HTTP/1.1 204 No Content\r\n\r\n" + junk)
}

// HugeHeader answers with one header of size bytes (case 52).
func HugeHeader(size int) Behaviour {
	return Always(Reply{Header: []Field{{"X-Huge", strings.Repeat("x", size)}}})
}

// ManyHeaders answers with n header lines (case 52).
func ManyHeaders(n int) Behaviour {
	fields := make([]Field, n)
	for i := range fields {
		fields[i] = Field{"X-" + strconv.Itoa(i), "y"}
	}
	return Always(Reply{Header: fields})
}

// BinaryAnswer answers 200 with NUL and invalid UTF-8 in the body and invalid
// UTF-8 in a header (case 52).
func BinaryAnswer() Behaviour {
	return Always(Reply{Header: []Field{{"X-Binary", "a\xff\xfeb\x80"}}, Body: "a\x00b\xff\xfe\xc3("})
}
