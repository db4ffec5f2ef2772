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
	"grapnel/internal/schema"
	"grapnel/internal/store"
)

// The limits of an event type.
const (
	maxSample   = 64 << 10
	maxGroup    = 100
	maxVersions = 100
)

// EventTypeInput is what to make of an event type.
type EventTypeInput struct {
	Description *string
	Group       *string
	Deprecated  *bool
	Sample      *[]byte // an example of data as JSON; empty: none
	Schema      *[]byte // JSON Schema 2020-12 of data; empty: none
	Validate    *bool   // refuse events that do not satisfy Schema
	// Versions are the earlier shapes of data, newest first; empty: none. The
	// first may lack Convert: it names the newest shape.
	Versions  *[]hook.TypeVersion
	Transform *string // a jq program for the bodies of the type; "": none
	Terms     Terms[hook.EventType]
}

// PutEventType registers an event type or changes what is said of it.
func (m *Manager) PutEventType(ctx context.Context, name string, in EventTypeInput) (t *hook.EventType, created bool, err error) {
	if err := hook.ValidType(name); err != nil {
		return nil, false, err
	}
	if err := m.checkTypeTransform(ctx, in.Transform); err != nil {
		return nil, false, err
	}
	// Programs run, and schemas are read, before the change, which keeps others
	// waiting, and so what they were of may have changed by then.
	for range maxTries {
		var checked *hook.EventType
		if checked, _, err = m.eventType(name, in, now()); err != nil {
			return nil, false, err
		}
		runs := in.Versions != nil || in.Sample != nil
		schema := in.Schema != nil || in.Validate != nil || in.Sample != nil
		if schema {
			if err := checkSchema(checked); err != nil {
				return nil, false, err
			}
		}
		if runs {
			if err := m.checkVersions(ctx, checked); err != nil {
				return nil, false, err
			}
		}
		err = m.commitOr(ctx, in.Terms.DryRun, "put an event type", func(now time.Time) (*store.Change, error) {
			if t, created, err = m.eventType(name, in, now); err != nil {
				return nil, err
			}
			if runs && (!slices.Equal(t.Versions, checked.Versions) || !bytes.Equal(t.Sample, checked.Sample)) {
				return nil, errUnchecked
			}
			if schema && (!bytes.Equal(t.Schema, checked.Schema) || t.Validate != checked.Validate || !bytes.Equal(t.Sample, checked.Sample)) {
				return nil, errUnchecked
			}
			return &store.Change{Types: []*hook.EventType{t}}, nil
		})
		if !errors.Is(err, errUnchecked) {
			break
		}
	}
	if errors.Is(err, errUnchecked) {
		err = hook.Errorf(hook.CodeUnavailable, "others keep changing the event type: nothing was stored, try again")
	}
	if err != nil {
		return nil, false, err
	}
	return t, created, nil
}

// errUnchecked says that an event type has become another than was checked.
var errUnchecked = errors.New("the event type has changed since it was checked")

// eventType makes an event type of what it is and of an input.
func (m *Manager) eventType(name string, in EventTypeInput, now time.Time) (t *hook.EventType, created bool, err error) {
	old, exists := m.Directory.Type(name)
	if err := in.Terms.check(old); err != nil {
		return nil, false, err
	}
	t = &hook.EventType{Name: name, CreatedAt: now, UpdatedAt: now}
	if exists {
		copied := *old
		t = &copied
		t.UpdatedAt = touched(old.UpdatedAt, now)
	}
	return t, !exists, fillEventType(t, in)
}

func fillEventType(t *hook.EventType, in EventTypeInput) error {
	if in.Description != nil {
		if err := checkText("/description", *in.Description, maxDescription); err != nil {
			return err
		}
		t.Description = *in.Description
	}
	if in.Group != nil {
		if err := checkText("/group", *in.Group, maxGroup); err != nil {
			return err
		}
		t.Group = *in.Group
	}
	if in.Deprecated != nil {
		t.Deprecated = *in.Deprecated
	}
	if in.Schema != nil {
		t.Schema = bytes.Clone(bytes.TrimSpace(*in.Schema))
	}
	if in.Validate != nil {
		t.Validate = *in.Validate
	}
	if in.Versions != nil {
		t.Versions = slices.Clone(*in.Versions)
	}
	if in.Transform != nil {
		t.Transform = *in.Transform
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

// checkSchema checks the schema of an event type, and that the sample satisfies it.
func checkSchema(t *hook.EventType) error {
	if len(t.Schema) == 0 {
		if t.Validate {
			return hook.Invalid("/validate", "needs a schema, which the event type does not have")
		}
		return nil
	}
	s, err := schema.Parse(t.Schema)
	if err != nil {
		return under("/schema", err)
	}
	if len(t.Sample) == 0 {
		return nil
	}
	failures, err := s.Check(t.Sample)
	if err != nil {
		return under("/sample", err)
	}
	if len(failures) > 0 {
		return &hook.Error{Code: hook.CodeUnfit, Field: "/sample" + failures[0].At, Message: "does not satisfy the schema: " + failures[0].Text}
	}
	return nil
}

// checkVersions checks the versions of an event type: their names, that each
// program can run, and that the sample goes through all of them.
func (m *Manager) checkVersions(ctx context.Context, t *hook.EventType) error {
	if len(t.Versions) > maxVersions {
		return hook.Invalid("/versions", "holds %d versions, at most %d are allowed", len(t.Versions), maxVersions)
	}
	var programs []string
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
		programs = append(programs, v.Convert)
	}
	var failed *convert.StepError
	err := m.Converters.Check(ctx, programs)
	if errors.As(err, &failed) {
		if hook.CodeOf(err) != hook.CodeInvalid {
			err = hook.Invalid("", "cannot be compiled: %v", failed.Err)
		}
		return under("/versions/"+strconv.Itoa(failed.Step+len(t.Versions)-len(programs))+"/convert", err)
	}
	if err == nil && len(t.Sample) > 0 {
		_, err = m.Converters.Run(ctx, programs, t.Sample)
	}
	if errors.As(err, &failed) {
		i := failed.Step + len(t.Versions) - len(programs)
		return hook.Invalid("/versions/"+strconv.Itoa(i)+"/convert", "cannot make version %q of the sample: %v", t.Versions[i].Version, err)
	}
	if err != nil {
		return &hook.Error{Code: hook.CodeUnavailable, Message: "the programs cannot be checked now, so nothing was changed: send the request again", Err: err}
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
		t.Deleted, t.UpdatedAt, t.Versions, t.Transform = true, touched(old.UpdatedAt, now), nil, ""
		return &store.Change{Types: []*hook.EventType{&t}}, nil
	})
}
