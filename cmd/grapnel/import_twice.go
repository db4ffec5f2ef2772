package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"grapnel/client"
	"grapnel/internal/dialect"
	"grapnel/internal/serve"
)

// saidOf is what a record says of whose it is and what it is called.
type saidOf struct {
	Kind     string          `json:"kind"`
	Tenant   string          `json:"tenant"`
	Tenants  []string        `json:"tenants"`
	Scopes   []string        `json:"scopes"`
	Key      string          `json:"key"`
	Dialect  string          `json:"dialect"`
	VendorID json.RawMessage `json:"vendor_id"`
}

func (s *saidOf) kind() string {
	switch s.Kind {
	case "", client.KindHook:
		return client.KindHook
	case client.KindTenant, client.KindKey:
		return s.Kind
	}
	return ""
}

// place is where a record stands, and what a key on it may do.
type place struct {
	number, line int
	terms        string
}

func (p place) String() string {
	if p.line > 0 {
		return fmt.Sprintf("line %d", p.line)
	}
	return fmt.Sprintf("record %d", p.number)
}

// twice reads what a record is called, and refuses it if the file had it
// before: which of the two is meant, nobody but its author knows. A record that
// was refused does not count.
func (i *importer) twice(ctx context.Context, r *record) error {
	if json.Unmarshal(r.json, &r.said) != nil {
		r.said = saidOf{}
		return nil // the server will refuse it
	}
	now := place{number: r.number, line: r.line}
	field, why := "", ""
	switch r.said.kind() {
	case client.KindTenant:
		if r.said.Dialect != "" {
			i.noteDialect(r.said.Tenant, r.said.Dialect)
		}
		return nil
	case client.KindKey:
		r.called, now.terms = "key "+r.said.Key, r.said.terms()
		field, why = "/key", "stands in %s already, with other tenants or scopes: one record names all tenants of a key"
	case client.KindHook:
		name, err := i.nameHook(ctx, &r.said)
		if err != nil || name == "" {
			return err
		}
		r.called = name
		field, why = "/vendor_id", "stands in %s already: a hook has one record"
	default:
		return nil
	}
	before, there := i.seen[r.called]
	if there && slices.ContainsFunc(i.batch, func(b *record) bool { return b.called == r.called }) {
		if err := i.flush(ctx); err != nil { // it may be refused yet
			return err
		}
		before, there = i.seen[r.called]
	}
	switch {
	case !there:
		if i.seen == nil {
			i.seen = map[string]place{}
		}
		i.seen[r.called] = now
	case r.said.kind() == client.KindHook || before.terms != now.terms:
		r.field, r.wrong = field, fmt.Sprintf(why, before)
	}
	return nil
}

// terms are whom a key covers and what it may do, written in one way.
func (s *saidOf) terms() string {
	tenants, scopes := slices.Clone(s.Tenants), slices.Clone(s.Scopes)
	if s.Tenants == nil {
		tenants = []string{s.Tenant}
	}
	if len(scopes) == 0 {
		scopes = []string{"manage"}
	}
	slices.Sort(tenants)
	slices.Sort(scopes)
	return strings.Join(slices.Compact(tenants), " ") + "/" + strings.Join(slices.Compact(scopes), " ")
}

// nameHook is what a hook is found by: in contracts that give ids, the
// contract and the id; else the tenant and the id.
func (i *importer) nameHook(ctx context.Context, s *saidOf) (string, error) {
	id := string(bytes.TrimSpace(s.VendorID))
	var text string
	if json.Unmarshal(s.VendorID, &text) == nil {
		id = text
	}
	if id == "" {
		return "", nil
	}
	name := s.Dialect
	if name == "" {
		var err error
		if name, err = i.dialectOf(ctx, s.Tenant); err != nil {
			return "", err
		}
	}
	registry, err := serve.Dialects()
	if err != nil {
		return "", err
	}
	d, ok := registry.Get(name)
	if !ok || d.IDs() == dialect.OwnIDs {
		return "hook " + s.Tenant + " " + id, nil
	}
	if d.IDs() == dialect.UUIDs {
		id = strings.ToLower(id)
	}
	return "hook @" + d.Family() + " " + id, nil
}

func (i *importer) noteDialect(tenant, name string) {
	if i.dialects == nil {
		i.dialects = map[string]string{}
	}
	i.dialects[tenant] = name
}

// dialectOf is what a tenant's hooks speak that do not say: as the file has it,
// else the server; "" if neither does.
func (i *importer) dialectOf(ctx context.Context, tenant string) (string, error) {
	if name, known := i.dialects[tenant]; known {
		return name, nil
	}
	name := ""
	t, err := i.api.Tenant(ctx, tenant)
	switch code := client.CodeOf(err); {
	case err == nil:
		name = t.Dialect
	case code == client.CodeNotFound || code == client.CodeInvalid:
	default:
		return "", err
	}
	i.noteDialect(tenant, name)
	return name, nil
}
