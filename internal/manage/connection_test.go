package manage_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/dialect/all"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// losing is a tenant whose store can be lost: with two endpoints of API2Cart,
// one of which is paused, and one of another contract.
type losing struct {
	*bundle
	*told
	active, paused, other *hook.Endpoint
	now                   time.Time
	config                manage.Config
}

func newLosing(t *testing.T) *losing {
	t.Helper()
	l := &losing{told: &told{}, now: time.Now()}
	registry, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	l.bundle = setup(t, func(c *manage.Config) {
		c.Tell, c.Dialects = l.tell, registry
		l.config = *c
	})
	l.tenant(t, "acme")
	l.active, l.paused = l.api2cart(t, nil), l.api2cart(t, new(hook.EndpointPaused))
	l.other, _ = l.endpointOf(t, "acme", manage.EndpointInput{Dialect: new("standard")})
	return l
}

func (l *losing) api2cart(t *testing.T, state *hook.EndpointState) *hook.Endpoint {
	t.Helper()
	e, _ := l.endpointOf(t, "acme", manage.EndpointInput{
		Dialect: new("api2cart"), EventTypes: &[]string{"product.add"}, Settings: &map[string]string{"store_id": "2"}, State: state,
	})
	return e
}

func (l *losing) lose(t *testing.T, loss manage.Loss) *hook.Connection {
	t.Helper()
	tenant, err := l.LoseConnection(t.Context(), "acme", loss)
	if err != nil {
		t.Fatal(err)
	}
	return tenant.Connection
}

func (l *losing) restore(t *testing.T) {
	t.Helper()
	if tenant, err := l.RestoreConnection(t.Context(), "acme"); err != nil || tenant.Connection != nil {
		t.Fatalf("%+v, %v", tenant, err)
	}
}

// pass lets time go by, and looks every minute.
func (l *losing) pass(t *testing.T, span time.Duration) {
	t.Helper()
	for end := l.now.Add(span); l.now.Before(end); {
		l.now = l.now.Add(time.Minute)
		l.TellLost(t.Context(), l.now)
	}
}

// left are the tries left that were told to an endpoint, in order.
func (l *losing) left(e *hook.Endpoint) (out []string) {
	for _, n := range l.notices {
		var told map[string]string
		if n.Type == manage.NoticeLost && n.Only.Num == e.Num && json.Unmarshal(n.Metadata, &told) == nil {
			out = append(out, told["try_count"])
		}
	}
	return out
}

func (l *losing) state(e *hook.Endpoint) hook.EndpointState {
	e, _ = l.dir.Endpoint(e.Num)
	return e.State
}

func TestLostConnection(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	t.Run("A2-LOST1 active endpoints are told at once", func(t *testing.T) {
		l := newLosing(t)
		c := l.lose(t, manage.Loss{Code: 101, Reason: "incorrect store key", Message: "Enter the new one."})
		if c.Told != 1 || c.NextAt.Sub(c.LostAt).Round(time.Second) != time.Hour {
			t.Errorf("%+v", c)
		}
		if len(l.notices) != 1 {
			t.Fatalf("%d notices, want 1", len(l.notices))
		}
		n := l.notices[0]
		want := `{"error_code":"101","error_message":"Enter the new one.","error_reason":"incorrect store key","store_id":"2","try_count":"4"}`
		if n.Only.Num != l.active.Num || n.Type != "grapnel.connection.lost" || string(n.Metadata) != want || hook.ValidEventKey(n.Key) != nil {
			t.Errorf("%+v %s", n, n.Metadata)
		}
	})
	t.Run("A2-LOST1 what is not said is filled in", func(t *testing.T) {
		l := newLosing(t)
		c := l.lose(t, manage.Loss{})
		if c.Code == 0 || c.Reason == "" || !strings.Contains(c.Message, "webhook.update") {
			t.Errorf("%+v", c)
		}
	})
	t.Run("A2-LOST2 A2-LOST4 five times at growing intervals, then disabled", func(t *testing.T) {
		l := newLosing(t)
		l.lose(t, manage.Loss{})
		var after []time.Duration
		for begin, seen := l.now, 1; l.now.Sub(begin) < 2*day; {
			l.pass(t, time.Minute)
			if len(l.notices) > seen {
				after, seen = append(after, l.now.Sub(begin).Truncate(10*time.Minute)), len(l.notices)
				if l.state(l.active) != hook.EndpointActive {
					t.Errorf("disabled at notice %d", seen)
				}
			}
		}
		if diff := cmp.Diff([]time.Duration{time.Hour, 3 * time.Hour, 7 * time.Hour, 15 * time.Hour}, after); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"4", "3", "2", "1", "0"}, l.left(l.active)); diff != "" {
			t.Error(diff)
		}
		e, _ := l.dir.Endpoint(l.active.Num)
		if e.State != hook.EndpointDisabled || !strings.Contains(e.StateReason, "lost") || l.state(l.paused) != hook.EndpointPaused || l.state(l.other) != hook.EndpointActive {
			t.Errorf("%+v", e)
		}
		tenant, _ := l.dir.Tenant("acme")
		if c := tenant.Connection; c == nil || !c.NextAt.IsZero() || c.Told != 5 {
			t.Errorf("the loss: %+v", c)
		}
	})
	t.Run("A2-LOST2 restored before, nothing more is told and nothing disabled", func(t *testing.T) {
		l := newLosing(t)
		l.lose(t, manage.Loss{})
		l.pass(t, 4*time.Hour)
		l.restore(t)
		l.restore(t) // is so already
		l.pass(t, 2*day)
		if got := l.left(l.active); len(got) != 3 || l.state(l.active) != hook.EndpointActive {
			t.Errorf("%v, %s", got, l.state(l.active))
		}
		l.lose(t, manage.Loss{})
		if got := l.left(l.active); got[3] != "4" {
			t.Errorf("the next loss begins with %s", got[3])
		}
	})
	t.Run("A2-LOST2 restored between the last try and the disabling", func(t *testing.T) {
		l := newLosing(t)
		l.lose(t, manage.Loss{})
		for len(l.left(l.active)) < 5 {
			l.pass(t, time.Minute)
		}
		l.restore(t)
		l.pass(t, day)
		if l.state(l.active) != hook.EndpointActive {
			t.Error("disabled")
		}
	})
	t.Run("A2-LOST3 activated again, it stays so until the next loss", func(t *testing.T) {
		l := newLosing(t)
		l.lose(t, manage.Loss{})
		l.pass(t, day)
		activate(t, l.bundle, l.active)
		l.pass(t, 2*day)
		if got := l.left(l.active); len(got) != 5 || l.state(l.active) != hook.EndpointActive {
			t.Fatalf("%v, %s", got, l.state(l.active))
		}
		l.lose(t, manage.Loss{}) // anew: the first one has ended
		l.now = time.Now()
		l.pass(t, day)
		if got := l.left(l.active); len(got) != 10 || l.state(l.active) != hook.EndpointDisabled {
			t.Errorf("%v, %s", got, l.state(l.active))
		}
	})
	t.Run("A2-LOST4 an endpoint that comes meanwhile joins the count", func(t *testing.T) {
		l := newLosing(t)
		l.lose(t, manage.Loss{})
		l.pass(t, 4*time.Hour)
		late := l.api2cart(t, nil)
		l.pass(t, day)
		if got := l.left(late); !slices.Equal(got, []string{"1", "0"}) || l.state(late) != hook.EndpointDisabled {
			t.Errorf("%v, %s", got, l.state(late))
		}
	})
	t.Run("A2-LOST4 a loss that is told again goes on, in its newest words", func(t *testing.T) {
		l := newLosing(t)
		first := *l.lose(t, manage.Loss{Reason: "first"})
		again := l.lose(t, manage.Loss{Reason: "first"})
		if !cmp.Equal(first, *again) || len(l.notices) != 1 {
			t.Errorf("%+v, %d notices", again, len(l.notices))
		}
		l.lose(t, manage.Loss{Reason: "second"})
		l.pass(t, 2*time.Hour)
		if len(l.notices) != 2 || !strings.Contains(string(l.notices[1].Metadata), "second") {
			t.Errorf("%+v", l.notices)
		}
	})
	t.Run("a try that fails is made again, under the same key", func(t *testing.T) {
		l := newLosing(t)
		l.told.err = errors.New("the store is away")
		if c := l.lose(t, manage.Loss{}); c.Told != 0 {
			t.Errorf("%+v", c)
		}
		l.told.err = nil
		l.pass(t, time.Minute)
		if l.notices[0].Key != l.notices[1].Key || !cmp.Equal(l.notices[0].Time, l.notices[1].Time) {
			t.Errorf("%+v", l.notices)
		}
		l.told.err = hook.Errorf(hook.CodeMismatch, "told in other words")
		l.pass(t, 2*time.Hour)
		if tenant, _ := l.dir.Tenant("acme"); tenant.Connection.Told != 2 {
			t.Errorf("%+v", tenant.Connection)
		}
	})
	t.Run("a crash between telling and noting it, and a restart", func(t *testing.T) {
		l := newLosing(t)
		l.store.before = nil
		l.lose(t, manage.Loss{})
		l.store.fail = store.ErrUnavailable // the note is lost with the process
		l.pass(t, time.Hour+time.Minute)
		c := l.config
		var err error
		if c.Directory, err = directory.Load(t.Context(), l.store); err != nil {
			t.Fatal(err)
		}
		if l.Manager, err = manage.New(c); err != nil {
			t.Fatal(err)
		}
		l.dir = c.Directory
		l.pass(t, day)
		keys := map[string]bool{}
		for _, n := range l.notices {
			keys[n.Key] = true
		}
		if len(l.notices) != 6 || len(keys) != 5 || l.state(l.active) != hook.EndpointDisabled {
			t.Errorf("%d notices of %d keys, %s", len(l.notices), len(keys), l.state(l.active))
		}
	})
	t.Run("what cannot be sent is refused", func(t *testing.T) {
		l := newLosing(t)
		for field, loss := range map[string]manage.Loss{
			"/code": {Code: -1}, "/reason": {Reason: strings.Repeat("x", 201)}, "/message": {Message: "\xff"},
		} {
			_, err := l.LoseConnection(t.Context(), "acme", loss)
			refused(t, field, err, hook.CodeInvalid, field)
		}
		_, err := l.LoseConnection(t.Context(), "nobody", manage.Loss{})
		refused(t, "a tenant that is not there", err, hook.CodeNotFound, "")
	})
}
