package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/auth"
	"grapnel/internal/crashpoint"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/ingest"
	"grapnel/internal/manage"
)

// eventInput is an event as package ingest reads it.
type eventInput struct {
	Tenant   string         `json:"tenant,omitzero" doc:"whose it is: the tenant of the address. Only a request over several tenants needs it, unless the key covers one alone" example:"acme"`
	ID       string         `json:"id,omitzero" doc:"an id of your own: within the window the same id is the same event" example:"invoice-17-paid"`
	Type     string         `json:"type" required:"true" doc:"its type" example:"invoice.paid"`
	Data     jsontext.Value `json:"data" required:"true" doc:"any JSON value, delivered byte for byte as it came" example:"{\"invoice\":17,\"amount\":99.5}"`
	Previous jsontext.Value `json:"previous,omitzero" doc:"the object before the change, for contracts that tell what changed"`
	Time     stamp          `json:"time,omitzero" doc:"when it happened; absent: now"`
	Metadata jsontext.Value `json:"metadata,omitzero" doc:"an object, for contracts that need more than the data" example:"{\"region\":\"eu\"}"`
	Ordering string         `json:"ordering_key,omitzero" doc:"what it is about: endpoints whose ordering is key get those with the same one after the other" example:"customer-17"`
	Suppress bool           `json:"suppress,omitzero" doc:"do not send it to endpoints whose contract knows suppression"`
}

// acceptedShape tells of an accepted event; appendAccepted writes it.
type acceptedShape struct {
	ID        string `json:"id" doc:"the event's id" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Matched   int    `json:"matched" doc:"endpoints that it goes to" example:"1"`
	Duplicate bool   `json:"duplicate,omitzero" doc:"the event came before: the id is that of the first"`
}

// acceptedBatch tells of each event of a batch, in order.
type acceptedBatch struct {
	Results []batchResult `json:"results" doc:"one for each event, in order"`
}

// batchResult tells of one event of a batch: of an accepted one as
// acceptedShape does, of another one what is wrong with it.
type batchResult struct {
	Status    int      `json:"status" doc:"202, or the status of the problem" example:"202"`
	ID        string   `json:"id,omitzero" doc:"the event's id, if it was accepted" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Matched   *int     `json:"matched,omitzero" doc:"endpoints that it goes to" example:"1"`
	Duplicate bool     `json:"duplicate,omitzero" doc:"the event came before: the id is that of the first"`
	Error     *problem `json:"error,omitzero" doc:"what is wrong with it; nothing of it was stored"`
}

// publish takes one event of the tenant in the path.
func (a *API) publish(c *call) error {
	key, err := idempotencyKey(c.r.Header)
	if err != nil {
		return err
	}
	sub := ingest.Submission{Scope: "tenant/" + c.tenant.ID, Key: key}
	err = c.withBody(a.maxSingleBytes(), func(body []byte) error {
		item, err := ingest.ParseEvent(body, int(a.MaxEventBytes))
		if err != nil {
			return err
		}
		if item.Tenant != "" && item.Tenant != c.tenant.ID {
			return hook.Invalid("/tenant", "is not the tenant of this address")
		}
		item.Tenant = c.tenant.ID
		item.Suppress = item.Suppress || suppressed(c.r.Header)
		sub.Items = []ingest.Item{item}
		sub.Fingerprint = fingerprint(c.r, key, body)
		return nil
	})
	if err != nil {
		return err
	}
	results, err := a.submit(c, &sub)
	if err != nil {
		return err
	}
	if e := results[0].Err; e != nil {
		return e
	}
	a.accepted(c, append(appendAccepted(append(make([]byte, 0, 96), '{'), &results[0]), '}'))
	return nil
}

// costlyBody is from how many bytes on bodies are parsed a few at a time, by
// turns of those who publish: else somebody who sends many large ones has all
// processors, and everybody else waits.
const costlyBody = 16 << 10

// publishBatch takes up to ingest.MaxBatch events of any tenants that the key
// covers, each with a result of its own (case 72).
func (a *API) publishBatch(c *call) error {
	key, err := idempotencyKey(c.r.Header)
	if err != nil {
		return err
	}
	sub := ingest.Submission{Scope: "key/" + c.caller.KeyID(), Key: key, Batch: true}
	if only, ok := c.caller.Only(); ok {
		sub.Scope = "tenant/" + only
	}
	err = c.withBody(a.MaxBatchBytes, func(body []byte) error {
		if len(body) > costlyBody {
			if err := a.parsing.Take(c.r.Context(), c.party()); err != nil {
				return err
			}
			defer a.parsing.Give()
		}
		sub.Items, sub.Errs, err = parseBatch(c.r.Header, body, int(a.MaxEventBytes))
		sub.Fingerprint = fingerprint(c.r, key, body)
		return err
	})
	if err != nil {
		return err
	}
	if len(sub.Items) == 0 {
		return hook.Invalid("", "the request holds no event")
	}
	a.address(c, &sub)
	results, err := a.submit(c, &sub)
	if err != nil {
		return err
	}
	return a.answerBatch(c, results)
}

// parseBatch reads an array, lines of objects, or one object alone. A body
// that begins with an object alone in its line is taken for lines, whatever its
// Content-Type, for most tools set a wrong one.
func parseBatch(h http.Header, body []byte, maxData int) ([]ingest.Item, []error, error) {
	lines := ndjson(h)
	if !lines {
		if first := bytes.TrimLeft(body, " \t\r\n"); len(first) > 0 && first[0] == '{' {
			item, err := ingest.ParseEvent(body, maxData)
			switch line, _, _ := bytes.Cut(first, []byte("\n")); {
			case err == nil:
				return []ingest.Item{item}, []error{nil}, nil
			case !jsontext.Value(line).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)):
				return nil, nil, err // one object over several lines
			}
			lines = true
		}
	}
	return ingest.ParseBatch(body, lines, maxData)
}

// ndjson reports whether a request says of its body that it is one value a line.
func ndjson(h http.Header) bool {
	switch kind, _, _ := mime.ParseMediaType(h.Get("Content-Type")); kind {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return true
	}
	return false
}

// knows looks tenants up, also those that another server has just made: it asks once
// for all of a request.
func (a *API) knows(c *call) func(tenant string) bool {
	asked := a.CatchUp == nil
	return func(tenant string) bool {
		_, ok := a.Directory.Tenant(tenant)
		if ok || asked {
			return ok
		}
		asked = true
		a.CatchUp(c.r.Context())
		_, ok = a.Directory.Tenant(tenant)
		return ok
	}
}

// address finds the tenant of each event: the one it names, or the only one
// that the key covers.
func (a *API) address(c *call, sub *ingest.Submission) {
	only, one := c.caller.Only()
	suppress := suppressed(c.r.Header)
	known := a.knows(c)
	for i := range sub.Items {
		item := &sub.Items[i]
		item.Suppress = item.Suppress || suppress
		if item.Tenant == "" && one {
			item.Tenant = only
		}
		if sub.Errs[i] != nil {
			continue
		}
		at := "/" + strconv.Itoa(i) + "/tenant"
		if item.Tenant == "" {
			sub.Errs[i] = hook.Invalid(at, "is missing: this key covers more than one tenant")
			continue
		}
		if !c.caller.Sees(item.Tenant) || !known(item.Tenant) {
			e := *manage.Told(auth.NoTenant(item.Tenant))
			e.Field = at
			sub.Errs[i] = &e
		}
	}
}

// submit hands events to ingest and waits until they are stored.
func (a *API) submit(c *call, sub *ingest.Submission) ([]ingest.Result, error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), a.PublishDeadline)
	defer cancel()
	crashpoint.Hit("after-read-body")
	results, replayed, err := a.Publisher.Publish(ctx, sub)
	if err != nil {
		return nil, err
	}
	if len(results) != len(sub.Items) {
		return nil, errors.New("ingest gave another number of results than it got events")
	}
	if replayed {
		c.Header().Set("Idempotency-Replayed", "true")
	}
	return results, nil
}

// accepted answers 202 with JSON that is written already.
func (a *API) accepted(c *call, body []byte) {
	c.Header()["Content-Type"] = a.headers.json
	c.WriteHeader(http.StatusAccepted)
	c.Write(body)
}

// appendAccepted writes the members that tell of an accepted event. Everything
// in them is ASCII that needs no escape.
func appendAccepted(b []byte, r *ingest.Result) []byte {
	b = append(b, `"id":"`...)
	b = append(b, r.ID.String()...)
	b = append(b, `","matched":`...)
	b = strconv.AppendInt(b, int64(r.Matched), 10)
	if r.Duplicate {
		b = append(b, `,"duplicate":true`...)
	}
	return b
}

// answerBatch tells what became of each event, in order. Those that failed
// have a problem in place of an id.
func (a *API) answerBatch(c *call, results []ingest.Result) error {
	b := make([]byte, 0, 16+96*len(results))
	b = append(b, `{"results":[`...)
	for i := range results {
		if i > 0 {
			b = append(b, ',')
		}
		if results[i].Err == nil {
			b = append(appendAccepted(append(b, `{"status":202,`...), &results[i]), '}')
			continue
		}
		e := results[i].Err
		if e.Code == hook.CodeInternal {
			a.Logger.Error("event failed", "request_id", c.id[0], "index", i, "error", e)
		}
		p := problemOf(e, "")
		text, err := marshal(p)
		if err != nil {
			return err
		}
		b = strconv.AppendInt(append(b, `{"status":`...), int64(p.Status), 10)
		b = append(b, `,"error":`...)
		b = append(b, text...)
		b = append(b, '}')
	}
	a.accepted(c, append(b, "]}"...))
	return nil
}

// maxIdempotencyKey is the longest Idempotency-Key, in bytes (case 70).
const maxIdempotencyKey = 255

func idempotencyKey(h http.Header) (string, error) {
	values, ok := h["Idempotency-Key"]
	if !ok {
		return "", nil
	}
	if len(values) != 1 {
		return "", hook.Invalid("", "the header Idempotency-Key is there %d times", len(values))
	}
	key := values[0]
	if len(key) == 0 || len(key) > maxIdempotencyKey {
		return "", hook.Invalid("", "the Idempotency-Key has %d characters, it must have 1 to %d", len(key), maxIdempotencyKey)
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return "", hook.Invalid("", "the Idempotency-Key holds printable ASCII only")
		}
	}
	return key, nil
}

// suppressed tells by the header's presence alone, for its value is empty more
// often than not (C1).
func suppressed(h http.Header) bool {
	_, ok := h["X-Suppress-Hooks"]
	return ok
}

// fingerprint tells what a request asks, to hold a repeated Idempotency-Key
// against. Without a key nobody asks for it.
func fingerprint(r *http.Request, key string, body []byte) [32]byte {
	if key == "" {
		return [32]byte{}
	}
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL.Path, strconv.FormatBool(suppressed(r.Header))} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// testInput is the body of an endpoint's test: which event to send.
type testInput struct {
	Type *string `json:"type" doc:"the type to send; absent: webhook.test, or without data that of the dialect's sample" example:"invoice.paid"`
	Data raw     `json:"data" doc:"what to send; absent: the type's sample, or the dialect's, or a greeting" example:"{\"invoice\":17}"`
}

// testAnswer names the event and its only delivery.
type testAnswer struct {
	ID       string `json:"id" doc:"the event's id" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Delivery string `json:"delivery" doc:"its only delivery" example:"dlv_0198c3f1f2a47d3a8b1c0e5d4f6a7b8c_1"`
}

// defaultTestType is the type of a test event that names none.
const defaultTestType = "webhook.test"

// maxCustomerTest bounds in bytes what a customer may have stored by testing an endpoint:
// tests are not counted against the tenant's quota.
const maxCustomerTest = 16 << 10

// testEndpoint sends an event to one endpoint alone, by the same way as any
// other, whatever it subscribes to.
func (a *API) testEndpoint(c *call) error {
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	if !e.Active() {
		return hook.Errorf(hook.CodeConflict, "the endpoint is %s, so a test would only wait: set its state to active first", e.State)
	}
	key, err := idempotencyKey(c.r.Header)
	if err != nil {
		return err
	}
	var in testInput
	if err := c.decode(&in); err != nil {
		return err
	}
	if c.caller.Customer() && len(in.Data.text) > maxCustomerTest {
		return &hook.Error{Code: hook.CodeTooLarge, Field: "/data", Message: fmt.Sprintf("has %d bytes; with a portal link a test has %d at most", len(in.Data.text), maxCustomerTest)}
	}
	item := ingest.Item{Tenant: c.tenant.ID, Type: defaultTestType}
	sample := a.sampleFor(e)
	if sample != nil && in.Data.text == nil {
		item.Type = sample.Type
	}
	if in.Type != nil {
		if err := hook.ValidType(*in.Type); err != nil {
			return hook.Invalid("/type", "%v", err)
		}
		if hook.Operational(*in.Type) {
			return hook.Invalid("/type", "begins with %q, as only events of the server itself do: use another name", hook.OperationalPrefix)
		}
		item.Type = *in.Type
	}
	a.fillTest(&item, in.Data, sample)
	sub := ingest.Submission{Scope: "test/" + strconv.FormatInt(int64(e.Num), 10), Key: key, Items: []ingest.Item{item}, Only: e}
	if key != "" {
		sub.Fingerprint = fingerprint(c.r, key, append([]byte(item.Type+" "), item.Data...))
	}
	results, err := a.submit(c, &sub)
	if err != nil {
		return err
	}
	if results[0].Err != nil {
		return results[0].Err
	}
	return c.answer(http.StatusAccepted, testAnswer{results[0].ID.String(), hook.DeliveryKey{Event: results[0].ID, Endpoint: e.Num}.String()})
}

// sampleFor is the sample of an endpoint's dialect, with the endpoint's own part
// of what the contract divides events by (A2-M4); nil if there is none.
func (a *API) sampleFor(e *hook.Endpoint) *dialect.Sample {
	d, ok := a.Dialects.Get(e.Dialect)
	if !ok || d.Sample() == nil {
		return nil
	}
	s := *d.Sample()
	if scope := d.Scope(); scope != nil && e.Settings[scope.Setting] != "" {
		metadata := map[string]any{}
		_ = json.Unmarshal(s.Metadata, &metadata) // none is no error to tell
		metadata[scope.Metadata] = e.Settings[scope.Setting]
		s.Metadata, _ = json.Marshal(metadata, json.Deterministic(true))
	}
	return &s
}

// fillTest gives a test event what was given, or the type's sample, or that of
// the dialect, or a greeting.
func (a *API) fillTest(item *ingest.Item, given raw, sample *dialect.Sample) {
	if given.text != nil {
		item.Data = given.text
		return
	}
	item.Data = []byte(`{"message":"This is a test event: your endpoint works."}`)
	if sample != nil {
		item.Data, item.Metadata = bytes.Clone(sample.Data), bytes.Clone(sample.Metadata)
		if item.Type == sample.Type {
			item.Previous = bytes.Clone(sample.Previous)
		}
	}
	if t, ok := a.Directory.Type(item.Type); ok && len(t.Sample) > 0 {
		item.Data, item.Previous = bytes.Clone(t.Sample), nil
	}
}
