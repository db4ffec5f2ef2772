package serve_test

import (
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/client"
	"grapnel/internal/inbox"
	"grapnel/internal/manage"
	"grapnel/internal/serve"
)

// An endpoint that answers 410 is disabled, and its tenant's endpoint for
// operational events is told, once, and after a restart not again.
func TestTellsOfDisabling(t *testing.T) {
	t.Parallel()
	_, goneURL, goneAddr := receiver(t, inbox.Reply{Status: 410})
	all, allURL, allAddr := receiver(t, inbox.Reply{})
	ops, opsURL, opsAddr := receiver(t, inbox.Reply{})
	cfg := serve.Config{Settings: settings(t, t.TempDir()), Exempt: []netip.AddrPort{goneAddr, allAddr, opsAddr}}
	cfg.Settings.AdminKey = "admin-key-of-this-test"
	cfg.Logger, cfg.Now = slog.New(slog.DiscardHandler), time.Now
	ctx := t.Context()
	s, err := serve.New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c := dial(t, s, cfg.Settings.AdminKey)
	if _, err := c.PutTenant(ctx, "acme", client.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for url, types := range map[string][]string{goneURL: {"a.b"}, allURL: nil, opsURL: {manage.NoticeDisabled}} {
		e, err := c.CreateEndpoint(ctx, "acme", client.EndpointInput{URL: client.Set(url), EventTypes: client.Set(types)})
		if err != nil {
			t.Fatal(err)
		}
		ids[url] = e.ID
	}
	if _, err := c.Publish(ctx, "acme", client.Event{Type: "a.b", Data: json.RawMessage(`1`)}); err != nil {
		t.Fatal(err)
	}
	await(t, "the notice", func() bool { return len(ops.Requests()) > 0 })
	body := notice(t, ops.Requests()[0])
	if body.Type != manage.NoticeDisabled || body.Data.Endpoint != ids[goneURL] || body.Data.URL != goneURL || body.Data.Reason == "" {
		t.Errorf("told %+v", body)
	}
	await(t, "the event itself", func() bool { return len(all.Requests()) > 0 })

	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	_, c = start(t, cfg)
	if _, err := c.Publish(ctx, "acme", client.Event{Type: manage.NoticeDisabled, Data: json.RawMessage(`1`)}); err == nil {
		t.Error("a publisher can tell in the server's name")
	}
	e, err := c.CreateEndpoint(ctx, "acme", client.EndpointInput{URL: client.Set(goneURL), EventTypes: client.Set([]string{"c.d"})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Publish(ctx, "acme", client.Event{Type: "c.d", Data: json.RawMessage(`1`)}); err != nil {
		t.Fatal(err)
	}
	await(t, "the second notice", func() bool { return len(ops.Requests()) > 1 })
	told := map[string]int{}
	for _, r := range ops.Requests() {
		told[notice(t, r).Data.Endpoint]++
	}
	if diff := cmp.Diff(map[string]int{ids[goneURL]: 1, e.ID: 1}, told); diff != "" {
		t.Errorf("of each endpoint once: %s", diff)
	}
	for _, r := range all.Requests() {
		if strings.Contains(r.Body, manage.NoticeDisabled) {
			t.Errorf("an endpoint for all types got %s", r.Body)
		}
	}
}

type noticeBody struct {
	Type string
	Data manage.EndpointNotice
}

func notice(t *testing.T, r *inbox.Request) (b noticeBody) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.Body), &b); err != nil {
		t.Fatal(err)
	}
	return b
}
