package manage

import (
	"bytes"
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

const maxSample = 64 << 10

// EventTypeInput is what to make of an event type.
type EventTypeInput struct {
	Description *string
	Sample      *[]byte // an example of data as JSON; empty: none
	// Schema is refused unless it is empty: a schema that nobody enforces would
	// promise too much.
	Schema *[]byte
	Terms  Terms[hook.EventType]
}

// PutEventType registers an event type or changes what is said of it.
func (m *Manager) PutEventType(ctx context.Context, name string, in EventTypeInput) (t *hook.EventType, created bool, err error) {
	if err := hook.ValidType(name); err != nil {
		return nil, false, err
	}
	err = m.commitOr(ctx, in.Terms.DryRun, "put an event type", func(now time.Time) (*store.Change, error) {
		t = &hook.EventType{Name: name, CreatedAt: now, UpdatedAt: now}
		old, exists := m.Directory.Type(name)
		if err := in.Terms.check(old); err != nil {
			return nil, err
		}
		if exists {
			copied := *old
			t = &copied
			t.UpdatedAt = touched(old.UpdatedAt, now)
		}
		created = !exists
		if err := fillEventType(t, in); err != nil {
			return nil, err
		}
		return &store.Change{Types: []*hook.EventType{t}}, nil
	})
	if err != nil {
		return nil, false, err
	}
	return t, created, nil
}

func fillEventType(t *hook.EventType, in EventTypeInput) error {
	if in.Description != nil {
		if err := checkText("/description", *in.Description, maxDescription); err != nil {
			return err
		}
		t.Description = *in.Description
	}
	if in.Schema != nil && len(*in.Schema) > 0 {
		return hook.Invalid("/schema", "is not supported yet: events would not be checked against it")
	}
	if in.Sample == nil {
		return nil
	}
	sample := bytes.TrimSpace(*in.Sample)
	switch {
	case len(sample) == 0:
		t.Sample = nil
		return nil
	case len(sample) > maxSample:
		return hook.Invalid("/sample", "has %d bytes, at most %d are allowed", len(sample), maxSample)
	case !jsontext.Value(sample).IsValid():
		return hook.Invalid("/sample", "is not valid JSON")
	}
	t.Sample = bytes.Clone(sample)
	return nil
}

// DeleteEventType unregisters an event type. Events of it are taken as those
// of any unregistered type.
func (m *Manager) DeleteEventType(ctx context.Context, name string, terms Terms[hook.EventType]) error {
	return m.commitOr(ctx, terms.DryRun, "delete an event type", func(now time.Time) (*store.Change, error) {
		old, ok := m.Directory.Type(name)
		if !ok {
			return nil, hook.Errorf(hook.CodeNotFound, "there is no event type %q", hook.Clip(name))
		}
		if err := terms.check(old); err != nil {
			return nil, err
		}
		t := *old
		t.Deleted, t.UpdatedAt = true, touched(old.UpdatedAt, now)
		return &store.Change{Types: []*hook.EventType{&t}}, nil
	})
}
