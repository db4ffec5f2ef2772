package manage_test

import (
	"errors"
	"testing"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// case 118: what cannot be noted is not done, and what fails afterwards is noted so.
func TestNoted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	done, action := 0, manage.Action{Name: "store.backup", With: map[string]any{"with_key": true}}
	b.store.fail = store.ErrFull
	err := b.Noted(t.Context(), action, func() error { done++; return nil })
	if hook.CodeOf(err) != hook.CodeUnavailable || done != 0 {
		t.Fatalf("done %d times without an entry: %v", done, err)
	}
	actor := &hook.Actor{}
	ctx := manage.As(t.Context(), actor)
	*actor = hook.Actor{Kind: hook.ActorKey, KeyID: "key_1"} // the face learns it later
	broken := errors.New("broken")
	if err := b.Noted(ctx, action, func() error { return broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if len(b.store.audit) != 2 || b.store.audit[0].Result != hook.AuditAsked || b.store.audit[1].Result != hook.AuditFailed || b.store.audit[1].Actor != *actor {
		t.Errorf("noted %+v", b.store.audit)
	}
}

// case 118: what the server does by itself has entries too, and the last use of a key
// has none.
func TestServersOwnChangesAreNoted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.PutTenant(t.Context(), "acme", manage.TenantInput{}); err != nil {
		t.Fatal(err)
	}
	url := "https://example.com/path?secret"
	e, _, err := b.CreateEndpoint(t.Context(), "acme", manage.EndpointInput{URL: &url})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.DisableEndpoint(t.Context(), e.Num, "gone"); err != nil {
		t.Fatal(err)
	}
	last := b.store.audit[len(b.store.audit)-1]
	if last.Action != "endpoint.update" || last.Actor.Kind != hook.ActorServer || last.Operation != "disable an endpoint" || string(last.Changes[0].After) != `"disabled"` || last.Changes[1].After != nil {
		t.Errorf("noted %+v", last)
	}
	if made := b.store.audit[len(b.store.audit)-2]; string(made.Changes[0].After) != `"https://example.com"` {
		t.Errorf("the URL is noted as %s", made.Changes[0].After)
	}
}
