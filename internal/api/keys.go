package api

import (
	"fmt"
	"net/http"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// keyInput is the body of POST /v1/keys.
type keyInput struct {
	Tenant    *string  `json:"tenant" doc:"the only tenant it covers; or tenants" example:"acme"`
	Tenants   []string `json:"tenants" doc:"the tenants it covers; without both: all"`
	Scopes    []string `json:"scopes" required:"true" enum:"publish,manage,read,admin" doc:"what it may do" example:"[\"publish\",\"read\"]"`
	Key       *string  `json:"key" doc:"an existing key to take over; absent: one is made"`
	ExpiresAt *string  `json:"expires_at" doc:"until when it is valid; absent: for ever" example:"2026-12-31T00:00:00Z"`
}

func (in *keyInput) manage() (manage.KeyInput, error) {
	out := manage.KeyInput{
		Tenants: in.Tenants, Key: secretOf(in.Key),
		Scopes: each(in.Scopes, func(s string) hook.Scope { return hook.Scope(s) }),
	}
	if in.Tenant != nil {
		if in.Tenants != nil {
			return out, hook.Invalid("/tenant", "give either tenant or tenants")
		}
		out.Tenants = []string{*in.Tenant}
	} else if in.Tenants != nil && len(in.Tenants) == 0 {
		return out, hook.Invalid("/tenants", "is empty: leave it out for a key that covers all tenants")
	}
	if in.ExpiresAt != nil {
		t, err := time.Parse(time.RFC3339Nano, *in.ExpiresAt)
		if err != nil {
			return out, hook.Invalid("/expires_at", "want a time of RFC 3339 such as 2026-01-31T08:00:00Z")
		}
		out.ExpiresAt = &t
	}
	return out, nil
}

// keyShape is a key in answers: everything but the key.
type keyShape struct {
	ID         string       `json:"id" doc:"the key's id" example:"key_01JB2X3Y4Z"`
	Hint       string       `json:"hint" doc:"its first characters, to recognise it by" example:"gk_7f3a…"`
	Tenants    []string     `json:"tenants" doc:"the tenants it covers; empty: all" example:"[\"acme\"]"`
	Scopes     []hook.Scope `json:"scopes" doc:"what it may do" example:"[\"publish\",\"read\"]"`
	CreatedAt  stamp        `json:"created_at" doc:"when it was created"`
	ExpiresAt  stamp        `json:"expires_at,omitzero" doc:"until when it is valid; absent: for ever"`
	LastUsedAt stamp        `json:"last_used_at,omitzero" doc:"when it was last used, to the minute; absent: not yet"`
}

// createdKey is a key with the key itself, which is told once.
type createdKey struct {
	keyShape
	Key string `json:"key" doc:"the key itself, told this once" example:"gk_7f3a9c2e5b8d1f4a6c0e"`
}

// lasting is a key without what changes by its use, which its entity tag is made
// of: using a key does not make a change of it stale.
func (a *API) lasting(k *hook.Key) keyShape {
	s := a.shapeKey(k)
	s.LastUsedAt = stamp{}
	return s
}

func (a *API) shapeKey(k *hook.Key) keyShape {
	return keyShape{
		LastUsedAt: stamp(manage.LastUsed(k, a.Auth.LastUsed(k.ID))), ID: k.ID, Hint: k.Hint + "…", Tenants: k.Tenants, Scopes: k.Scopes, CreatedAt: stamp(k.CreatedAt), ExpiresAt: stamp(k.ExpiresAt)}
}

func (a *API) createKey(c *call) error {
	var in keyInput
	if err := c.decode(&in); err != nil {
		return err
	}
	input, err := in.manage()
	if err != nil {
		return err
	}
	answer := func(k *hook.Key, text hook.Secret) error {
		return c.changed(http.StatusCreated, false, createdKey{a.shapeKey(k), string(text)}, a.lasting(k))
	}
	input.Keep = keep(a, c, answer)
	k, text, err := a.Manager.CreateKey(c.r.Context(), input)
	if err != nil {
		return err
	}
	return answer(k, text)
}

func (a *API) listKeys(c *call) error {
	q, err := a.query(c)
	if err != nil {
		return err
	}
	part, l := slicePage(a, c, q, a.Directory.Keys(), func(k *hook.Key) string {
		return fmt.Sprintf("%020d %s", k.CreatedAt.UnixNano(), k.ID)
	})
	return page(c, each(part, a.shapeKey), l)
}

func (a *API) getKey(c *call) error {
	id := c.r.PathValue("key")
	k, ok := a.Directory.KeyByID(id)
	if !ok {
		return hook.Errorf(hook.CodeNotFound, "there is no key %q", hook.Clip(id))
	}
	return c.answerAs(a.shapeKey(k), a.lasting(k))
}

func (a *API) revokeKey(c *call) error {
	on, err := terms(c, a.lasting)
	if err != nil {
		return err
	}
	if err := a.Manager.RevokeKey(c.r.Context(), c.r.PathValue("key"), on); err != nil {
		return err
	}
	return c.deleted(on.DryRun, wouldGo{Keys: 1})
}
