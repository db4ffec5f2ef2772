package manage_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// told keeps the notices.
type told struct {
	notices []manage.Notice
	err     error
}

func (l *told) tell(_ context.Context, n manage.Notice) error {
	l.notices = append(l.notices, n)
	return l.err
}

func TestNotices(t *testing.T) {
	t.Parallel()
	l := &told{}
	var cfg manage.Config
	b := setup(t, func(c *manage.Config) {
		c.Tell = l.tell
		cfg = *c
	})
	b.tenant(t, "acme")
	b.tenant(t, "other")
	deleted, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	gone, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	removed, _ := b.endpointOf(t, "acme", manage.EndpointInput{})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(b.DisableEndpoint(t.Context(), gone.Num, "nobody subscribed"))
	if len(l.notices) != 0 {
		t.Fatalf("%+v: told though nobody subscribed by name", l.notices)
	}
	activate(t, b, gone)
	b.endpointOf(t, "other", manage.EndpointInput{EventTypes: &[]string{manage.NoticeDisabled}})
	must(b.DisableEndpoint(t.Context(), gone.Num, "only another tenant has"))
	activate(t, b, gone)
	if len(l.notices) != 0 {
		t.Fatalf("%+v: told for another tenant", l.notices)
	}
	b.endpointOf(t, "acme", manage.EndpointInput{EventTypes: &[]string{manage.NoticeDisabled, manage.NoticeRemoved}})

	must(b.DisableEndpoint(t.Context(), gone.Num, "answered 410"))
	must(b.DisableEndpoint(t.Context(), gone.Num, "again")) // is so already
	must(b.Unsubscribe(t.Context(), removed.Num, "not wanted"))
	if len(l.notices) != 2 {
		t.Fatalf("%+v, want 2", l.notices)
	}
	first, second := l.notices[0], l.notices[1]
	var data manage.EndpointNotice
	must(json.Unmarshal(first.Data, &data))
	if first.Tenant != "acme" || first.Type != manage.NoticeDisabled || data.Endpoint != gone.ID || data.Reason != "answered 410" || data.URL != gone.URL || !data.At.Equal(first.Time) {
		t.Errorf("%+v, %s", first, first.Data)
	}
	if second.Type != manage.NoticeRemoved || second.Key == first.Key || hook.ValidEventKey(second.Key) != nil || hook.ValidType(second.Type) != nil {
		t.Errorf("%+v", second)
	}

	must(b.DeleteEndpoint(t.Context(), "acme", deleted.ID, manage.Terms[hook.Endpoint]{})) // its owner knows
	b.TellAgain(t.Context(), time.Now().Add(-time.Hour))
	if len(l.notices) != 2 {
		t.Errorf("told twice without a crash: %+v", l.notices[2:])
	}

	// After a crash they are told again, under the same ids, so that each is one
	// event.
	next, err := manage.New(cfg)
	must(err)
	next.TellAgain(t.Context(), time.Now().Add(time.Hour))
	if len(l.notices) != 2 {
		t.Error("told again of what is long past")
	}
	for range 2 {
		next.TellAgain(t.Context(), time.Now().Add(-time.Hour))
	}
	if diff := cmp.Diff(l.notices[:2], l.notices[2:]); diff != "" {
		t.Errorf("told again: %s", diff)
	}
}

// A notice that cannot be published undoes nothing, and is in the log.
func TestNoticeThatFails(t *testing.T) {
	t.Parallel()
	l := &told{err: errors.New("full")}
	b := setup(t, func(c *manage.Config) { c.Tell = l.tell })
	b.tenant(t, "acme")
	e, _ := b.endpointOf(t, "acme", manage.EndpointInput{EventTypes: &[]string{manage.NoticeDisabled}})
	if err := b.DisableEndpoint(t.Context(), e.Num, "410"); err != nil {
		t.Error(err)
	}
	if now, _ := b.dir.Endpoint(e.Num); now.State != hook.EndpointDisabled || !strings.Contains(b.log.String(), "could not be told") {
		t.Errorf("%s, log %s", now.State, b.log)
	}
	l.err = nil
	for range 2 { // it is told as soon as that can be done, and then no more
		b.TellAgain(t.Context(), time.Now().Add(-time.Hour))
		if len(l.notices) != 2 {
			t.Errorf("%+v", l.notices)
		}
	}
}

func activate(t *testing.T, b *bundle, e *hook.Endpoint) {
	t.Helper()
	if _, err := b.UpdateEndpoint(t.Context(), e.Tenant, e.ID, manage.EndpointInput{State: new(hook.EndpointActive)}); err != nil {
		t.Fatal(err)
	}
}
