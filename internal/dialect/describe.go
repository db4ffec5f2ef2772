package dialect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/signature"
)

// Fact is one thing that a contract says, in words.
type Fact struct{ About, Text string }

// Describe tells a contract in words, for people who decide whether it is the
// one that they mean.
func (d *Dialect) Describe() []Fact {
	out := []Fact{
		{"request", d.requestInWords()},
		{"subscription", d.SubscriptionInWords()},
	}
	if len(d.catalogue) > 0 {
		out = append(out, Fact{"events", listed(d.catalogue, 8)})
	}
	out = append(out, Fact{"secret", d.SecretInWords()})
	for i := range d.sign {
		out = append(out, Fact{"signature", d.sign[i].inWords()})
	}
	out = append(out, Fact{"success", d.SuccessInWords()}, Fact{"retries", d.RetryInWords()})
	for _, a := range []struct {
		does     string
		statuses statusSet
	}{
		{"the endpoint is disabled", d.answers.disable}, {"the endpoint is removed", d.answers.unsubscribe}, {"the endpoint gets fewer requests for a while", d.answers.throttle},
	} {
		if !a.statuses.empty() {
			out = append(out, Fact{"answers", a.statuses.String() + ": " + a.does})
		}
	}
	inactive := "what waits is held until it is active again"
	if d.onInactive == Cancel {
		inactive = "what waits is cancelled"
	}
	out = append(out, Fact{"inactive endpoint", inactive})
	switch d.ids {
	case NumberIDs:
		out = append(out, Fact{"ids", "endpoints have numbers for the vendor's clients"})
	case UUIDs:
		out = append(out, Fact{"ids", "endpoints have UUIDs for the vendor's clients"})
	}
	if d.perType > 0 {
		out = append(out, Fact{"limits", fmt.Sprintf("%d endpoints of a tenant for one event type", d.perType)})
	}
	return out
}

func (d *Dialect) requestInWords() string {
	text := d.method
	if d.http1 {
		text += " over HTTP/1.1, which keeps the case of header names"
	}
	text += ", at most " + inWords(d.timeout) + " long; headers " + strings.Join(d.names, ", ")
	if d.body.project {
		text += "; an endpoint can choose fields of the data"
	}
	return text
}

// SubscriptionInWords says how many event types an endpoint chooses.
func (d *Dialect) SubscriptionInWords() string {
	switch d.subscription {
	case OneType:
		return "one event type"
	case AllTypes:
		return "all event types"
	}
	return "any event types"
}

// SecretInWords says whose the secret is.
func (d *Dialect) SecretInWords() string {
	switch d.secret.owner {
	case SecretNone:
		return "none"
	case SecretTenant:
		return "one of the tenant"
	case SecretEndpointOptional:
		return "one of each endpoint, unsigned without"
	}
	return "one of each endpoint"
}

// SuccessInWords says which answers mean that the endpoint has the event.
func (d *Dialect) SuccessInWords() string {
	if d.successBody == "" {
		return d.success.String()
	}
	return fmt.Sprintf("%s with %q in the body", d.success, d.successBody)
}

// RetryInWords says what is tried again, and when.
func (d *Dialect) RetryInWords() string {
	waits := d.schedule.waits
	if len(waits) == 0 {
		return "never"
	}
	what := "anything else"
	if !d.retry.any {
		what = d.retry.statuses.String()
		if d.retry.noAnswer {
			what = strings.TrimPrefix(what+" and no answer", " and ")
		}
	}
	texts := make([]string, len(waits))
	for i, w := range waits {
		texts[i] = inWords(w)
	}
	if len(texts) > 10 {
		texts = append(texts[:4:4], "…", texts[len(texts)-1])
	}
	out := what + ": once more, " + texts[0] + " after the first attempt"
	if len(waits) > 1 {
		out = fmt.Sprintf("%s: up to %d times, after %s", what, len(waits), strings.Join(texts, ", "))
	}
	if d.schedule.deadline > 0 {
		out += ", none later than " + inWords(d.schedule.deadline) + " after the first attempt"
	}
	if d.schedule.jitter > 0 {
		out += fmt.Sprintf(", each up to %.0f %% longer", 100*d.schedule.jitter)
	}
	if d.schedule.retryAfterMax > 0 {
		out += "; Retry-After counts up to " + inWords(d.schedule.retryAfterMax)
	}
	return out
}

func (g *signing) inWords() string {
	var over strings.Builder
	for _, r := range g.over {
		if r.text == nil {
			over.WriteString("{body}")
			continue
		}
		over.WriteString(r.text.String())
	}
	text := g.header + ": "
	for i, w := range g.with {
		if i > 0 {
			text += " or "
		}
		text += encodingInWords(w.encoding) + " of " + string(w.algorithm) + " with the secret"
		switch w.form {
		case formWhsec:
			text += " (base64 behind whsec_)"
		case formWhsk:
			text += " (base64 behind whsk_)"
		case formHex, formBase64:
			text += " decoded from " + string(w.form)
		}
		if w.prefix != "" || w.suffix != "" {
			text += ", as " + w.prefix + "{signature}" + w.suffix
		}
	}
	return text + ", over " + over.String()
}

func encodingInWords(e signature.Encoding) string { return "the " + string(e) }

// String is the template as a file writes it.
func (t template) String() string {
	var b strings.Builder
	for _, p := range t {
		if p.source == literal {
			b.WriteString(strings.NewReplacer("{", "{{", "}", "}}").Replace(p.text))
			continue
		}
		name := "header." // the one that is not in the list
		for _, known := range placeholders {
			if known.source == p.source {
				name = known.name
			}
		}
		b.WriteString("{" + name + p.text)
		if p.gap {
			b.WriteString("|" + p.or)
		}
		b.WriteString("}")
	}
	return b.String()
}

// String lists the statuses as a file may: classes, ranges and numbers.
func (s statusSet) String() string {
	var out []string
	for from := 100; from <= 599; from++ {
		if !s.has(from) {
			continue
		}
		to := from
		for s.has(to + 1) {
			to++
		}
		for ; from <= to; from++ {
			switch end := from + 99; {
			case from%100 == 0 && end <= to:
				out, from = append(out, strconv.Itoa(from/100)+"xx"), end
			case to-from > 1:
				end = min(to, from/100*100+99)
				out, from = append(out, fmt.Sprintf("%d-%d", from, end)), end
			default:
				out = append(out, strconv.Itoa(from))
			}
		}
		from = to
	}
	return strings.Join(out, ", ")
}

// inWords writes a span without parts that are nothing: 1h, not 1h0m0s.
func inWords(d time.Duration) string {
	if d > time.Minute {
		d = d.Round(time.Second)
	}
	text := d.String()
	for _, zero := range []struct{ long, short string }{{"m0s", "m"}, {"h0m", "h"}} {
		if strings.HasSuffix(text, zero.long) {
			text = strings.TrimSuffix(text, zero.long) + zero.short
		}
	}
	if d > 0 && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	return text
}

// listed names the first of a list, and how many more there are.
func listed(all []string, most int) string {
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return strings.Join(slices.Clone(all[:most]), ", ") + fmt.Sprintf(" and %d more", len(all)-most)
}
