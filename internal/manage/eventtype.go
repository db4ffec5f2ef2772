package manage

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"grapnel/internal/convert"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// The limits of an event type.
const (
	maxSample   = 64 << 10
	maxVersions = 100
)

// EventTypeInput is what to make of an event type.
type EventTypeInput struct {
	Description *string
	Sample      *[]byte // an example of data as JSON; empty: none
	// Schema is refused unless it is empty: a schema that nobody enforces would
	// promise too much.
	Schema *[]byte
	// Versions are the earlier shapes of data, newest first; empty: none. The
	// first may lack Convert: it names the newest shape.
	Versions *[]hook.TypeVersion
	Terms    Terms[hook.EventType]
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
		if in.Versions != nil || in.Sample != nil {
			if err := checkVersions(ctx, t); err != nil {
				return nil, err
			}
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
	if in.Versions != nil {
		t.Versions = slices.Clone(*in.Versions)
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

// checkVersions checks the versions of an event type: their names, that each
// program can run, and that the sample goes through all of them.
func checkVersions(ctx context.Context, t *hook.EventType) error {
	if len(t.Versions) > maxVersions {
		return hook.Invalid("/versions", "holds %d versions, at most %d are allowed", len(t.Versions), maxVersions)
	}
	var programs []*convert.Program
	for i, v := range t.Versions {
		at := "/versions/" + strconv.Itoa(i)
		if v.Version == "" {
			return hook.Invalid(at+"/version", "is missing")
		}
		if err := checkText(at+"/version", v.Version, maxAPIVersion); err != nil {
			return err
		}
		if i > 0 && hook.CompareVersions(v.Version, t.Versions[i-1].Version) >= 0 {
			return hook.Invalid(at+"/version", "%q is not older than %q before it: the newest stands first", v.Version, t.Versions[i-1].Version)
		}
		if v.Convert == "" && i == 0 {
			continue
		}
		if v.Convert == "" {
			return hook.Invalid(at+"/convert", "is missing: it makes the data of version %q of that of %q. Only the first can do without, to name the newest shape", v.Version, t.Versions[i-1].Version)
		}
		p, err := convert.Compile(v.Convert)
		if err != nil {
			return under(at+"/convert", err)
		}
		programs = append(programs, p)
	}
	if len(t.Sample) == 0 || len(programs) == 0 {
		return nil
	}
	var failed *convert.StepError
	if _, err := convert.Run(ctx, programs, t.Sample); errors.As(err, &failed) {
		i := failed.Step + len(t.Versions) - len(programs)
		return hook.Invalid("/versions/"+strconv.Itoa(i)+"/convert", "cannot make version %q of the sample: %v", t.Versions[i].Version, err)
	}
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
		t.Deleted, t.UpdatedAt, t.Versions = true, touched(old.UpdatedAt, now), nil
		return &store.Change{Types: []*hook.EventType{&t}}, nil
	})
}
