package dialect

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// statusSet is a set of HTTP statuses.
type statusSet [10]uint64 // a bit each, 0 to 639

func (s *statusSet) add(status int) { s[status/64] |= 1 << (status % 64) }
func (s *statusSet) has(status int) bool {
	return status >= 100 && status <= 599 && s[status/64]>>(status%64)&1 == 1
}
func (s *statusSet) empty() bool { return *s == statusSet{} }

func allStatuses() statusSet {
	var s statusSet
	for i := 100; i <= 599; i++ {
		s.add(i)
	}
	return s
}

// statuses reads a list of statuses, classes and ranges within bounds.
func (r *reader) statuses(list []ast.Node, what string, low, high int) statusSet {
	var set statusSet
	for _, e := range list {
		from, to, ok := statusRange(e)
		if !ok {
			r.fail(e, "%s holds %s, which is no status: want a number such as 200, a class such as 5xx, or a range such as \"500-504\"", what, e.GetToken().Value)
			return set
		}
		if from < low || to > high {
			r.fail(e, "%s can hold statuses from %d to %d only", what, low, high)
			return set
		}
		for i := from; i <= to; i++ {
			if set.has(i) {
				r.fail(e, "%s names the status %d twice", what, i)
				return set
			}
			set.add(i)
		}
	}
	return set
}

func statusRange(n ast.Node) (from, to int, ok bool) {
	text := n.GetToken().Value
	switch n.(type) {
	case *ast.IntegerNode, *ast.StringNode:
	default:
		return 0, 0, false
	}
	if len(text) == 3 && strings.HasSuffix(text, "xx") && text[0] >= '1' && text[0] <= '5' {
		from = int(text[0]-'0') * 100
		return from, from + 99, true
	}
	a, b, isRange := strings.Cut(text, "-")
	if !isRange {
		b = a
	}
	from, err1 := strconv.Atoi(a)
	to, err2 := strconv.Atoi(b)
	ok = err1 == nil && err2 == nil && len(a) == 3 && len(b) == 3 && from >= 100 && to <= 599 && from <= to
	return from, to, ok
}

// Result is what an attempt makes of a delivery.
type Result uint8

// The results.
const (
	Delivered Result = iota + 1 // the endpoint has taken it
	Retry                       // try again when the schedule says so
	Failed                      // the contract says that it is over
)

// Action is what an answer does to its endpoint.
type Action uint8

// The actions.
const (
	None        Action = iota
	Unsubscribe        // remove the endpoint
	Disable            // switch it off until its owner switches it on
)

// Answer is what came back for a request.
type Answer struct {
	Status int
	Class  string      // why there is no usable answer (dns, timeout_body, …); "": it was answered in full
	Header http.Header // of the answer
	Body   []byte      // of the answer, as much as was kept; only success_body asks for it
	At     time.Time   // when it came
}

// Verdict is what an answer means.
type Verdict struct {
	Result   Result
	Endpoint Action
	Throttle bool // the endpoint wants fewer requests
	// RetryAfter is how long the endpoint asked to be left alone, at most the
	// dialect's limit; 0 if it did not, or not in a way that can be read.
	RetryAfter time.Duration
	Reason     string // in words, for the endpoint's owner
}

// answers is the section answers of a dialect file.
type answers struct{ disable, unsubscribe, throttle statusSet }

func (r *reader) answers(o object) answers {
	var a answers
	if !o.has("answers") {
		return a
	}
	in := r.object(o.node("answers"), "answers", "disable", "unsubscribe", "throttle")
	if r.err == nil && len(in.fields) == 0 {
		r.fail(in.at, "answers is empty; leave it out")
	}
	set := func(key string) (s statusSet) {
		if in.has(key) {
			s = r.statuses(r.list(in.node(key), key), key, 400, 599)
			if r.err == nil && s.empty() {
				r.fail(in.node(key), "%s is empty; leave it out", key)
			}
		}
		return s
	}
	a = answers{disable: set("disable"), unsubscribe: set("unsubscribe"), throttle: set("throttle")}
	for i := range a.disable {
		if a.disable[i]&a.unsubscribe[i] != 0 {
			r.fail(in.at, "a status cannot both disable and unsubscribe")
		}
	}
	return a
}

// statusesCount refuses what retry.on and answers.throttle say of statuses that
// disable the endpoint or unsubscribe it: that comes first, and the delivery
// waits or ends as on_inactive says. A class may hold such a status beside
// others.
func (r *reader) statusesCount(o object, d *Dialect) {
	if r.err != nil {
		return
	}
	check := func(n ast.Node, what string) {
		list, ok := n.(*ast.SequenceNode)
		if !ok {
			return // any or none
		}
		for _, e := range list.Values {
			from, to, ok := statusRange(e)
			for ; ok && (d.answers.disable.has(from) || d.answers.unsubscribe.has(from)); from++ {
				if from == to {
					r.fail(e, "%s does nothing in %s: such an answer disables the endpoint or unsubscribes it", e.GetToken().Value, what)
					break
				}
			}
		}
	}
	check(r.member(o.node("retry"), "on"), "retry.on")
	if o.has("answers") {
		check(r.member(o.node("answers"), "throttle"), "throttle")
	}
}

// Judge says what an answer means. What is no HTTP status, 1xx and 3xx are
// failures in every dialect: redirects are not followed (cases 44 and 45). A
// body that does not acknowledge as success_body wants is like no answer.
//
// A status that disables the endpoint gives Retry where on_inactive is hold:
// the delivery waits with the others, and is not lost. It gives Failed where
// they are cancelled, as does one that unsubscribes.
func (d *Dialect) Judge(a Answer) Verdict {
	switch {
	case a.Class != "":
		return Verdict{Result: retryIf(d.retry.noAnswer), Reason: "no answer: " + a.Class}
	case a.Status < 100 || a.Status > 599:
		return Verdict{Result: retryIf(d.retry.any), Reason: fmt.Sprintf("answered %d, which is no HTTP status", a.Status)}
	case d.success.has(a.Status) && !bytes.Contains(a.Body, []byte(d.successBody)):
		return Verdict{Result: retryIf(d.retry.noAnswer), Reason: fmt.Sprintf("%s, but the body does not hold %q, which acknowledges", answered(a.Status), d.successBody)}
	case d.success.has(a.Status):
		return Verdict{Result: Delivered, Reason: answered(a.Status)}
	case d.answers.unsubscribe.has(a.Status):
		return Verdict{Result: Failed, Endpoint: Unsubscribe, Reason: answered(a.Status) + ": the endpoint unsubscribed"}
	case d.answers.disable.has(a.Status):
		return Verdict{Result: retryIf(d.onInactive == Hold), Endpoint: Disable, Reason: answered(a.Status) + ": the endpoint is gone and was disabled"}
	}
	v := Verdict{Result: retryIf(d.retry.statuses.has(a.Status)), Throttle: d.answers.throttle.has(a.Status), Reason: answered(a.Status)}
	if a.Status >= 300 && a.Status <= 399 {
		v.Reason += ": redirects are not followed"
	}
	if v.Result == Retry && d.schedule.retryAfterMax > 0 {
		v.RetryAfter = min(retryAfter(a.Header, a.At), d.schedule.retryAfterMax)
	}
	return v
}

func retryIf(yes bool) Result {
	if yes {
		return Retry
	}
	return Failed
}

func answered(status int) string {
	if text := http.StatusText(status); text != "" {
		return "answered " + strconv.Itoa(status) + " " + text
	}
	return "answered " + strconv.Itoa(status)
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3): seconds in digits,
// or a date. Anything else, and more than one value, counts as absent: case 50
// names what endpoints send. Never negative.
func retryAfter(h http.Header, at time.Time) time.Duration {
	values := h.Values("Retry-After")
	if len(values) != 1 {
		return 0
	}
	text := strings.TrimSpace(values[0])
	if text != "" && strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(math.MaxInt64/time.Second) {
			return math.MaxInt64 // more digits than fit: very long
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return max(date.Sub(at), 0) // Sub saturates
}
