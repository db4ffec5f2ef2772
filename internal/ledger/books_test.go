package ledger_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"grapnel/internal/ledger"
)

func TestProducerBook(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "producer.ndjson")
	p, err := ledger.CreateProducer(path)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			key := "k" + strconv.Itoa(i)
			must(t, p.Begin(ledger.Publish{Key: key, Tenant: "t", DataSHA256: "x", To: []string{"a"}, At: at(i)}))
			switch i % 3 {
			case 0:
				must(t, p.Ack(key, "e"+strconv.Itoa(i), at(i)))
				must(t, p.Begin(ledger.Publish{Key: key})) // a retry
				must(t, p.Ack(key, "e"+strconv.Itoa(i), at(i)))
			case 1:
				must(t, p.Refuse(key, at(i)))
			}
		})
	}
	all.Wait()
	if err := p.Ack("k0", "another", at(0)); err == nil { // case 5
		t.Error("a second event for one key was taken")
	}
	if err := p.Ack("k99", "e99", at(0)); err == nil {
		t.Error("an answer without a question was taken")
	}
	want := p.Publishes()
	must(t, p.Close())
	got, err := ledger.ReadProducer(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read back (-kept +read):\n%s", diff)
	}
	if _, err := ledger.CreateProducer(path); err == nil {
		t.Error("an old book was written over")
	}
}

// A producer that was killed leaves half a line.
func TestProducerBookCutOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "producer.ndjson")
	text := `{"op":"begin","at":"2026-11-01T12:00:00Z","key":"k","tenant":"t","data_sha256":"x","to":["a"]}` + "\n" + `{"op":"ack","at":"2026`
	must(t, os.WriteFile(path, []byte(text), 0o600))
	got, err := ledger.ReadProducer(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].State != ledger.Unknown || got[0].Key != "k" {
		t.Errorf("read %+v", got)
	}
	must(t, os.WriteFile(path, []byte("{}\n"), 0o600))
	if _, err := ledger.ReadProducer(path); err == nil || !strings.Contains(err.Error(), ":1:") {
		t.Errorf("a line without sense: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func post(t *testing.T, url, body, sign string) int {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	signature, err := w.Sign("e1", now, []byte(sign))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("webhook-id", "e1")
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	must(t, resp.Body.Close())
	return resp.StatusCode
}

func TestReceiverBook(t *testing.T) {
	t.Parallel()
	told := 0
	r, err := ledger.NewReceiver(func(*ledger.Request) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, r.Close()) })
	flaky := func(_ *ledger.Request, n int) (int, time.Duration) {
		if n == 1 {
			return 503, 0
		}
		return 204, time.Microsecond
	}
	must(t, r.Serve("/flaky", "ep_1", secret, flaky))
	if err := r.Serve("/bad", "ep_2", "not a secret!", nil); err == nil {
		t.Error("a secret of no form was taken")
	}
	body := `{"type":"a.b","timestamp":"2026-11-01T12:00:00Z","data":{ "key":"k1", "n": 1.0 }}`
	for i, want := range []int{503, 204} {
		if got := post(t, r.URL("/flaky"), body, body); got != want {
			t.Errorf("request %d: answered with %d, want %d", i+1, got, want)
		}
	}
	post(t, r.URL("/flaky"), body, body+" ")
	post(t, r.URL("/nowhere"), body, body)
	got := r.Requests()
	if len(got) != 4 || told != 4 {
		t.Fatalf("noted %d, told %d, want 4", len(got), told)
	}
	q := got[1]
	if q.Key != "k1" || q.Event != "e1" || q.Endpoint != "ep_1" || q.Status != 204 || q.Problem != "" || q.Seq != 2 || q.Conn == 0 || q.ConnAt.After(q.At) {
		t.Errorf("second request: %+v", q)
	}
	if q.SHA256 != ledger.Sum([]byte(body)) || q.DataSHA256 != ledger.Sum([]byte(`{ "key":"k1", "n": 1.0 }`)) {
		t.Errorf("sums of the second request: %s, %s", q.SHA256, q.DataSHA256)
	}
	if !strings.HasPrefix(got[2].Problem, "signature: ") || !strings.HasPrefix(got[3].Problem, "no endpoint") {
		t.Errorf("problems: %q, %q", got[2].Problem, got[3].Problem)
	}
	r.Forget()
	if n := len(r.Requests()); n != 0 {
		t.Errorf("%d requests after Forget", n)
	}
}

func TestDump(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer key" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer := map[string]string{
			"/v1/tenants/t/deliveries?limit=250":           `{"data":[{"id":"dlv_1","event":"e1","endpoint":"a","state":"delivered","attempt_count":2}],"next_cursor":"c1"}`,
			"/v1/tenants/t/deliveries?cursor=c1&limit=250": `{"data":[{"id":"dlv_2","event":"e2","endpoint":"a","state":"pending","attempt_count":0,"next_attempt_at":"2026-11-01T12:00:00Z"}]}`,
			"/v1/tenants/t/deliveries/dlv_1":               `{"id":"dlv_1","attempts":[{"n":1,"status":503},{"n":2,"status":200,"body_sha256":"x"}]}`,
		}[r.URL.String()]
		if answer == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	api := &ledger.API{Base: server.URL, Key: "key", Client: server.Client()}
	got, err := api.Dump(t.Context(), []string{"t"}, time.Time{}, func(d *ledger.Delivery) bool { return d.Attempts > 1 })
	if err != nil {
		t.Fatal(err)
	}
	want := []ledger.Delivery{
		{ID: "dlv_1", Event: "e1", Endpoint: "a", State: "delivered", Attempts: 2, Rows: []ledger.Attempt{{N: 1, Status: 503}, {N: 2, Status: 200, BodySHA256: "x"}}},
		{ID: "dlv_2", Event: "e2", Endpoint: "a", State: "pending", NextAt: start},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	api.Key = "other"
	if _, err := api.Dump(context.Background(), []string{"t"}, time.Time{}, nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with a wrong key: %v", err)
	}
}
