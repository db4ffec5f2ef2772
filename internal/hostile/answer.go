package hostile

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Reply is what a well-behaved receiver answers.
type Reply struct {
	Status int // 0: 200
	Header []Field
	Body   string
	Delay  time.Duration // before the answer begins
	Close  bool          // end the connection after it
}

// wire is the reply as it is sent.
func (r Reply) wire() string {
	status := r.Status
	if status == 0 {
		status = http.StatusOK
	}
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, f := range r.Header {
		b.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	if r.Close {
		b.WriteString("Connection: close\r\n")
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		b.WriteString("Content-Length: " + strconv.Itoa(len(r.Body)) + "\r\n")
	}
	b.WriteString("\r\n")
	b.WriteString(r.Body)
	return b.String()
}

// Answer is the well-behaved receiver: it keeps connections alive, records
// every request and answers each as reply says. reply is called from several
// goroutines.
func Answer(reply func(*Request) Reply) Behaviour {
	return func(c *Conn) {
		for {
			req, err := c.ReadRequest()
			if err != nil {
				return
			}
			r := reply(req)
			if r.Delay > 0 && !c.Pause(r.Delay) || !c.Send(r.wire()) || r.Close {
				return
			}
		}
	}
}

// Always answers every request alike.
func Always(r Reply) Behaviour { return Answer(func(*Request) Reply { return r }) }

// Flaky gives bad for a share of the requests and good for the others, in an
// order that the seed decides.
func Flaky(share float64, seed uint64, good, bad Reply) func(*Request) Reply {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	return func(*Request) Reply {
		mu.Lock()
		defer mu.Unlock()
		if random.Float64() < share {
			return bad
		}
		return good
	}
}

// Sequence gives the replies in turn, the last one for all that follow.
func Sequence(replies ...Reply) func(*Request) Reply {
	var mu sync.Mutex
	next := 0
	return func(*Request) Reply {
		mu.Lock()
		defer mu.Unlock()
		r := replies[next]
		next = min(next+1, len(replies)-1)
		return r
	}
}

// Gone answers 410 (case 51).
func Gone() Behaviour { return Always(Reply{Status: http.StatusGone}) }

// RetryAfter answers with a status and a Retry-After header (case 50); see
// RetryAfterValues.
func RetryAfter(status int, value string) Behaviour {
	return Always(Reply{Status: status, Header: []Field{{"Retry-After", value}}})
}

// RetryAfterValues are the values of Retry-After that have hurt somebody.
func RetryAfterValues() []string {
	return []string{
		"0", "-1", "1", "120", "1.5", "1e300", "-1e300", "NaN", "inf", "Infinity", "9999999999", "99999999999999999999999", "0x10", "١٢", "+5", " 5",
		"5 ", "5;6", "5, 6", "", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "2026-01-01T00:00:00Z", strings.Repeat("9", 4000),
	}
}

// Redirect answers with a redirecting status; an empty location leaves the
// header out (case 45).
func Redirect(status int, location string) Behaviour {
	r := Reply{Status: status}
	if location != "" {
		r.Header = []Field{{"Location", location}}
	}
	return Always(r)
}
