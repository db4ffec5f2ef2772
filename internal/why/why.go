// Package why answers the question that everybody asks of webhooks: why did an event
// reach an endpoint, or why did it not, or not yet. From what is known of both it makes
// one situation with a name, a sentence with the cause, and what to do about it.
//
// It decides nothing: whoever decides (matching, dispatch, the contract) has left what
// it went by, and this package reads it in the order in which it was decided.
package why

import (
	"fmt"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// Facts are what is known of an event, an endpoint and what became of the one at the
// other.
type Facts struct {
	Now      time.Time
	Event    *hook.Event
	Endpoint *hook.Endpoint

	// Rule is by which the endpoint would not get the event as both are now, "" if it
	// would: "event_types", "scope" or "filter". At points at the filter's clause that
	// decided, and Text tells what the rule wants and what the event has.
	Rule, At, Text string

	Holds    bool           // the contract has deliveries wait while the endpoint is inactive
	Success  string         // the answers that the contract takes for received, such as "2xx"
	Delivery *hook.Delivery // as the store has it; nil: there is none
	Last     *hook.Attempt  // nil: none was made

	WaitsFor string // the delivery that is sent before it; "": none
	Place    Place  // of one that waits
}

// Place is where a delivery that waits stands, as the server that sends it knows.
type Place struct {
	Here     bool          // it is the one that was asked; else nothing more is known
	Unsent   bool          // the server may have lost its lease, and sends nothing until it is renewed
	NoWayOut bool          // the server reaches no host at all
	UnderWay bool          // its attempt runs
	Aside    bool          // what became of it cannot be recorded
	Ahead    int           // deliveries before it in the endpoint's queue; -1: not known
	InFlight int           // attempts to the endpoint that run
	Most     int           // as many may
	Broken   bool          // the endpoint does not answer, and is only probed
	Failed   int           // attempts in a row without an answer
	ProbeAt  time.Time     // when the next probe may be made
	RateWait time.Duration // until the endpoint's rate lets the next one go
}

// Situation names what an answer is about, for programs.
type Situation string

// The situations.
const (
	NotSubscribed Situation = "not_subscribed"
	OtherScope    Situation = "other_scope"
	Filtered      Situation = "filtered"
	MadeLater     Situation = "made_later"
	ChangedSince  Situation = "changed_since"
	NotMeant      Situation = "not_meant"
	Suppressed    Situation = "suppressed"
	Inactive      Situation = "inactive"

	Delivered Situation = "delivered"
	Cancelled Situation = "cancelled"

	GivenUp      Situation = "given_up"
	Final        Situation = "final_answer"
	Unsubscribed Situation = "unsubscribed"

	Paused     Situation = "paused"
	Disabled   Situation = "disabled"
	NoBody     Situation = "no_body"
	UnderWay   Situation = "under_way"
	Elsewhere  Situation = "elsewhere"
	NoLease    Situation = "no_lease"
	NoWayOut   Situation = "no_way_out"
	Unrecorded Situation = "unrecorded"
	Mending    Situation = "to_be_mended"
	InOrder    Situation = "waits_in_order"
	Broken     Situation = "not_answering"
	Limited    Situation = "rate_limited"
	Retrying   Situation = "retrying"
	Queued     Situation = "queued"
)

// Answer is what is said.
type Answer struct {
	Situation Situation
	Sentence  string    // what has happened and because of what; one or two sentences
	Remedy    string    // what to do about it; "": nothing
	At        string    // JSON Pointer into the endpoint's filter; of Filtered
	NextAt    time.Time // when it goes on by itself; zero: not known, or it does not
}

// Explain answers.
func Explain(f *Facts) Answer {
	target, meant := f.Event.Target(f.Endpoint.Num)
	switch {
	case !meant:
		return f.notMeant()
	case target.Disposition == hook.Suppressed:
		return Answer{Situation: Suppressed, Sentence: "The publisher asked that endpoints of this contract are not told of this event.",
			Remedy: "If they are to be told, publish the event again without suppress, under another id."}
	case target.Disposition == hook.Inactive:
		return Answer{Situation: Inactive, Sentence: "The endpoint was not active when the event was published, and its contract drops what comes meanwhile.",
			Remedy: "Publish the event again, under another id, once the endpoint is active."}
	case f.Delivery == nil:
		return Answer{Situation: Cancelled, Sentence: "The event was to go to the endpoint, and nothing is known any more of what became of it."}
	}
	switch f.Delivery.State {
	case hook.Delivered:
		return f.delivered()
	case hook.Failed:
		return f.failed()
	case hook.Cancelled:
		return Answer{Situation: Cancelled, Sentence: "It will not be sent: " + reasonOr(f.Delivery.Reason, "it was cancelled") + ".", Remedy: f.sendAgain()}
	case hook.Held:
		return Answer{Situation: NoBody, Sentence: "It is held, and goes on only when somebody redelivers it: " + reasonOr(f.Delivery.Reason, "no reason was recorded") + ".",
			Remedy: "Mend what the sentence names, then redeliver it."}
	}
	return f.waiting()
}

func reasonOr(reason, other string) string {
	if reason == "" {
		return other
	}
	return reason
}

// notMeant is about an event that was never to go to the endpoint.
func (f *Facts) notMeant() Answer {
	accepted, made := f.Event.ID.Time(), f.Endpoint.CreatedAt
	anew := "Publish the event again, under another id, if the endpoint is to get it."
	switch {
	case made.After(accepted):
		return Answer{Situation: MadeLater, Sentence: fmt.Sprintf("The endpoint was made at %s, after the event had been accepted at %s.", moment(made), moment(accepted)), Remedy: anew}
	case f.Rule == "event_types":
		return Answer{Situation: NotSubscribed, Sentence: "The endpoint does not subscribe to the event's type: " + f.Text + ".",
			Remedy: "Add the type to the endpoint's event_types: events from then on come. " + anew}
	case f.Rule == "scope":
		return Answer{Situation: OtherScope, Sentence: "The endpoint gets the events of another part alone: " + f.Text + ".",
			Remedy: "Correct whichever of the two is wrong. " + anew}
	case f.Rule == "filter":
		return Answer{Situation: Filtered, At: f.At, Sentence: "The endpoint's filter does not let the event pass: " + f.Text + ".",
			Remedy: "If it should, change the filter: events from then on are matched with the new one. " + anew}
	case f.Endpoint.UpdatedAt.After(accepted):
		return Answer{Situation: ChangedSince, Sentence: fmt.Sprintf("The endpoint would get the event as it is now. It was changed at %s, after the event had been accepted at %s, and did not match it before.", moment(f.Endpoint.UpdatedAt), moment(accepted)),
			Remedy: anew}
	}
	return Answer{Situation: NotMeant, Sentence: "The event was sent to other endpoints alone, as a test event is.", Remedy: "Send this endpoint a test event of its own."}
}

func (f *Facts) delivered() Answer {
	d := f.Delivery
	text := "The endpoint has it"
	if f.Last != nil && f.Last.State == hook.Delivered {
		text += fmt.Sprintf(" since %s: it %s", moment(f.Last.End()), f.Last.Reason)
	}
	switch {
	case d.Attempts == 2:
		text += ", at the second attempt"
	case d.Attempts > 2:
		text += fmt.Sprintf(", at attempt %d", d.Attempts)
	}
	return Answer{Situation: Delivered, Sentence: text + ".",
		Remedy: "If the receiver does not know of it, look there: it may answer before it has taken the event in, or drop it for its signature or as a repetition."}
}

func (f *Facts) failed() Answer {
	d := f.Delivery
	tries := "one attempt"
	if d.Attempts != 1 {
		tries = fmt.Sprintf("%d attempts", d.Attempts)
	}
	switch {
	case f.Last == nil || f.Last.State == hook.Pending:
		return Answer{Situation: GivenUp, Sentence: "It was given up after " + tries + ": " + reasonOr(d.Reason, "the schedule is over") + ".", Remedy: f.mend()}
	case f.Endpoint.Deleted:
		return Answer{Situation: Unsubscribed, Sentence: fmt.Sprintf("At %s the endpoint %s. Nothing is sent to it any more.", moment(f.Last.End()), f.Last.Reason)}
	case !f.final():
		return Answer{Situation: GivenUp, Sentence: fmt.Sprintf("It was given up at %s after %s. The last one: %s.", moment(f.Last.End()), tries, f.last()), Remedy: f.mend()}
	}
	return Answer{Situation: Final, Sentence: fmt.Sprintf("It was given up at %s, and the contract does not try again after such an answer: %s.", moment(f.Last.End()), f.last()), Remedy: f.mend()}
}

// final reports whether it was the last answer alone that ended it, rather than the
// schedule or the order of the endpoint.
func (f *Facts) final() bool {
	reason := f.Last.Reason
	return (strings.HasPrefix(reason, "answered ") || strings.HasPrefix(reason, "no answer")) && !strings.HasSuffix(reason, hook.NoAttemptLeft)
}

// last is what came of the last attempt.
func (f *Facts) last() string {
	text := f.Last.Reason
	if f.Last.Class != "" && f.Last.Detail != "" {
		text = f.Last.Detail
	} else if s := f.Last.Status; s != 0 && s < 400 && f.Success != "" {
		text += fmt.Sprintf(", and this contract takes %s for received", f.Success)
	}
	return text
}

// waiting is about a delivery that is pending: what keeps it is looked for from what
// holds up everything to what holds up it alone.
func (f *Facts) waiting() Answer {
	d, p := f.Delivery, &f.Place
	if !f.Endpoint.Active() && f.Holds {
		return f.held()
	}
	switch {
	case p.Here && p.UnderWay:
		return Answer{Situation: UnderWay, Sentence: "It is being sent just now.", Remedy: "Ask again in a moment."}
	case p.Here && p.Aside:
		return Answer{Situation: Unrecorded, Sentence: "An attempt was made, and what became of it cannot be recorded: the store refuses it.", Remedy: "The server's log says why."}
	case p.Here && p.Unsent:
		return Answer{Situation: NoLease, Sentence: "The server that sends it cannot renew its lease with the database, and sends nothing until it can.", Remedy: "See that the server reaches the database: /readyz says more."}
	case p.Here && p.NoWayOut:
		return Answer{Situation: NoWayOut, Sentence: "The server reaches no host at all, which it takes for an outage of its own network. What fails meanwhile does not count.",
			Remedy: "Mend the server's way out: its network, its name servers or its proxy. It goes on by itself."}
	case f.WaitsFor != "":
		return Answer{Situation: InOrder, Sentence: "The endpoint gets its deliveries in order, and " + f.WaitsFor + " comes first.",
			Remedy: "Look at that one. If it is to be left out, cancel its event, or set the endpoint's skip_after."}
	case d.Attempts == 0 && d.Reason != "" && d.NextAt.After(f.Now):
		return Answer{Situation: Mending, NextAt: d.NextAt, Sentence: fmt.Sprintf("It cannot be sent as the server is set up: %s. It is looked at again at %s.", d.Reason, moment(d.NextAt)), Remedy: "Mend what the sentence names. It goes on by itself."}
	case p.Here && p.Broken:
		return Answer{Situation: Broken, NextAt: later(p.ProbeAt, d.NextAt), Sentence: fmt.Sprintf("The endpoint did not take %d attempts in a row, so it is only probed, and all its deliveries wait. The next probe may go at %s.%s", p.Failed, moment(p.ProbeAt), f.before()),
			Remedy: f.mendEndpoint() + " The first attempt that is answered lets the others go."}
	case d.NextAt.After(f.Now) && d.Attempts > 0:
		return Answer{Situation: Retrying, NextAt: d.NextAt, Sentence: fmt.Sprintf("The next attempt is due at %s.%s", moment(d.NextAt), f.before()), Remedy: f.mendEndpoint() + " Redeliver it to send it at once."}
	case !p.Here:
		return Answer{Situation: Elsewhere, Sentence: "It is due, and another server sends to this endpoint, or one that comes for it.", Remedy: "Ask again in a moment. If it stays so, look at the nodes."}
	case p.RateWait > 0:
		return Answer{Situation: Limited, NextAt: f.Now.Add(p.RateWait), Sentence: fmt.Sprintf("The endpoint's rate_limit of %v a second has it wait%s.", f.Endpoint.RateLimit, p.ahead()), Remedy: "Raise the endpoint's rate_limit if it can take more."}
	}
	text := "It is due and waits for its turn" + p.ahead()
	if p.Most > 0 && p.InFlight >= p.Most {
		text += fmt.Sprintf(". As many attempts to the endpoint run as may: %d, which it takes longer to answer than the events come", p.InFlight)
	}
	return Answer{Situation: Queued, Sentence: text + ".", Remedy: "It goes by itself. If the queue grows, the endpoint answers too slowly: have it answer before it does the work."}
}

// held is about a delivery that waits for its endpoint to be active.
func (f *Facts) held() Answer {
	e := f.Endpoint
	since := ""
	if !e.StateAt.IsZero() {
		since = " since " + moment(e.StateAt)
	}
	if e.State == hook.EndpointPaused {
		return Answer{Situation: Paused, Sentence: "It is held, for the endpoint is paused" + since + ". Nothing is lost meanwhile.", Remedy: "Make the endpoint active: what is held is sent then."}
	}
	text := "It is held, for the endpoint is disabled" + since
	if e.StateReason != "" {
		text += ": " + e.StateReason
	}
	return Answer{Situation: Disabled, Sentence: text + ". Nothing is lost meanwhile.", Remedy: "Mend the receiver, then make the endpoint active: what is held is sent then."}
}

// before tells of the attempt before, after another sentence.
func (f *Facts) before() string {
	if f.Last == nil {
		return ""
	}
	return fmt.Sprintf(" Attempt %d, at %s: %s.", f.Last.N, moment(f.Last.At), f.last())
}

func (p *Place) ahead() string {
	switch {
	case p.Ahead == 1:
		return ", behind one other"
	case p.Ahead > 1:
		return fmt.Sprintf(", behind %d others", p.Ahead)
	}
	return ""
}

// sendAgain is what to do about a delivery that is over, if it can be done.
func (f *Facts) sendAgain() string {
	if f.Endpoint.Deleted {
		return ""
	}
	return "Redeliver it if the endpoint is to get it."
}

func (f *Facts) mend() string {
	if f.Endpoint.Deleted {
		return ""
	}
	return f.mendEndpoint() + " Then redeliver it."
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// moment is a time as people compare it with their own logs.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000Z") }
