package manage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"grapnel/internal/convert"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
	"grapnel/internal/keyring"
	"grapnel/internal/store"
	"grapnel/internal/store/directory"
)

// CodeUnsuitable marks an input that is well formed but that the endpoint's
// dialect has no place for, such as a secret where the tenant's one signs.
const CodeUnsuitable hook.Code = "unsuitable"

// Deliveries is the slice of a store that a redelivery needs.
type Deliveries interface {
	Delivery(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey) (*hook.Delivery, error)
	Redeliver(ctx context.Context, tenant hook.TenantNum, key hook.DeliveryKey, now time.Time) error
}

// Config is what a Manager works with.
type Config struct {
	Store      store.Configurator
	Deliveries Deliveries
	Directory  *directory.Directory
	Dialects   *dialect.Registry
	Ring       *keyring.Ring
	Logger     *slog.Logger

	// CheckURL refuses a URL that deliveries could not go to.
	CheckURL func(url string) error
	// Tell publishes a notice to the tenant it is for. Nil: nobody is told.
	Tell func(ctx context.Context, n Notice) error
	// CheckFilter refuses a condition tree that cannot be evaluated. Nil: no
	// endpoint may have one.
	CheckFilter func(tree []byte) error
	// Retention is how long events are kept. A schedule that goes on for longer
	// is refused. 0: for ever.
	Retention time.Duration
	// Converters checks the programs of event types. Nil: they run in this
	// process.
	Converters convert.Runner
	// Programs checks the programs of endpoints. Nil: they run in this process.
	Programs Programs
	// DefaultDialect is spoken where neither endpoint nor tenant name one.
	// "": standard.
	DefaultDialect string
	// MaxEndpoints is how many live endpoints a tenant may have. 0: 10,000.
	MaxEndpoints int
}

// Manager changes the configuration. Its methods may be called from many
// goroutines at once.
type Manager struct {
	Config

	markKeys func() ([][]byte, error) // of the marks of tenants' secrets, from each key of the ring
	settings struct {                 // that bodies hold
		sync.RWMutex
		tenant, endpoint names
	}

	change sync.Mutex // one change at a time, so that this process does not make its own ones stale
	told   told
}

// maxTries bounds how often a change is made again because another process
// was faster.
const maxTries = 10

// New makes a Manager.
func New(c Config) (*Manager, error) {
	if c.Store == nil || c.Deliveries == nil || c.Directory == nil || c.Dialects == nil || c.Ring == nil || c.CheckURL == nil || c.Logger == nil {
		return nil, errors.New("make a manager: a part is missing")
	}
	if c.CheckFilter == nil {
		c.CheckFilter = func([]byte) error { return hook.Invalid("", "filters are not available on this server") }
	}
	if c.Converters == nil {
		c.Converters = &convert.InProcess{}
	}
	if c.Programs == nil {
		c.Programs, _ = convert.NewGuests(convert.PoolConfig{})
	}
	if c.DefaultDialect == "" {
		c.DefaultDialect = "standard"
	}
	if c.MaxEndpoints == 0 {
		c.MaxEndpoints = 10_000
	}
	if _, ok := c.Dialects.Get(c.DefaultDialect); !ok {
		return nil, fmt.Errorf("make a manager: there is no dialect %q to be the default", c.DefaultDialect)
	}
	m := &Manager{Config: c, markKeys: sync.OnceValues(func() ([][]byte, error) { return c.Ring.DeriveAll("marks of tenants' secrets") })}
	m.settings.tenant, m.settings.endpoint = names{}, names{}
	for _, name := range c.Dialects.Names() {
		d, _ := c.Dialects.Get(name)
		m.PinSettings(d)
	}
	return m, nil
}

// commit makes a change by build, stores it and refreshes the directory.
// build may run several times; it reads the directory, and may return nil for
// "nothing to do".
func (m *Manager) commit(ctx context.Context, what string, build func(now time.Time) (*store.Change, error)) error {
	m.change.Lock()
	defer m.change.Unlock()
	for range maxTries {
		base, at := m.Directory.Revision(), now()
		c, err := build(at)
		if err != nil || c == nil {
			return err
		}
		// What the change was made of may be newer than base; then it is stale.
		if c.Base = base; base == 0 {
			c.Base = store.BaseEmpty
		}
		if err := m.pin(c, base, at); err != nil {
			return err
		}
		m.audit(ctx, c, what, at)
		_, err = m.Store.Configure(ctx, c)
		if err == nil && c.Note {
			m.Directory.Note(c)
			return nil
		}
		if err == nil {
			return m.refresh(ctx, what)
		}
		if !errors.Is(err, store.ErrStale) {
			return storeError(what, err)
		}
		if err := m.refresh(ctx, what); err != nil {
			return err
		}
	}
	return hook.Errorf(hook.CodeUnavailable, "others keep changing the configuration: nothing was stored, try again")
}

func (m *Manager) refresh(ctx context.Context, what string) error {
	if err := m.Directory.Refresh(ctx); err != nil {
		return storeError(what, err)
	}
	return nil
}

// now is the present time as records keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// storeError says "try later" of an error of the store that passes, and leaves
// any other to be hidden.
func storeError(what string, err error) error {
	if errors.Is(err, store.ErrFull) {
		return &hook.Error{Code: hook.CodeUnavailable, Message: "the server's storage is full, so nothing was changed: make room, and send the request again", Err: fmt.Errorf("%s: %w", what, err)}
	}
	if errors.Is(err, store.ErrTooManyKeys) {
		return &hook.Error{Code: hook.CodeRateLimited, Message: fmt.Sprintf("this API key has sent %d requests with an Idempotency-Key of their own, which is as many as are remembered for it: nothing was changed. Send the request without one, or wait until the oldest are forgotten", store.MaxRequests), Err: fmt.Errorf("%s: %w", what, err)}
	}
	for _, passing := range []error{store.ErrUnavailable, store.ErrUnknown, store.ErrClosed, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, passing) {
			return &hook.Error{Code: hook.CodeUnavailable, Message: "the configuration cannot be changed just now, and whether this change was made is not certain: look, and send it again if not", Err: fmt.Errorf("%s: %w", what, err)}
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// DialectOf is the dialect that an endpoint of a tenant speaks when it does
// not say.
func (m *Manager) DialectOf(t *hook.Tenant) string {
	if t.Dialect != "" {
		return t.Dialect
	}
	return m.DefaultDialect
}

// dialect finds a dialect by name.
func (m *Manager) dialect(name string) (*dialect.Dialect, error) {
	d, ok := m.Dialects.Get(name)
	if !ok {
		return nil, hook.Invalid("/dialect", "there is no dialect %q here: want one of %s", hook.Clip(name), list(m.Dialects.Names()))
	}
	return d, nil
}

// tenant finds a live tenant.
func (m *Manager) tenant(id string) (*hook.Tenant, error) {
	t, ok := m.Directory.Tenant(id)
	if !ok {
		return nil, NoTenant(id)
	}
	return t, nil
}

// endpoint finds a live endpoint of a live tenant.
func (m *Manager) endpoint(tenant, id string) (*hook.Endpoint, error) {
	if _, err := m.tenant(tenant); err != nil {
		return nil, err
	}
	e, ok := m.Directory.EndpointByID(tenant, id)
	if !ok {
		return nil, hook.Errorf(hook.CodeNotFound, "there is no endpoint %q", hook.Clip(id))
	}
	return e, nil
}
