package manage_test

import (
	"context"
	"testing"

	"grapnel/internal/convert"
	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// meddling is a runner that does something else first.
type meddling struct {
	convert.InProcess
	calls int
	first func()
}

func (m *meddling) Check(ctx context.Context, programs []string) error {
	m.calls++
	if f := m.first; f != nil {
		m.first = nil
		f()
	}
	return m.InProcess.Check(ctx, programs)
}

func (m *meddling) Run(ctx context.Context, programs []string, data []byte) ([]byte, error) {
	return m.InProcess.Run(ctx, programs, data)
}

// While programs run, others change what they like; and what they changed is
// checked, too.
func TestChecksOfProgramsKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	b := setup(t)
	runner := &meddling{}
	b.Converters = runner
	versions := &[]hook.TypeVersion{{Version: "1", Convert: "{a: .b.c}"}}
	runner.first = func() {
		// Under the lock of changes this would never end.
		if _, _, err := b.PutEventType(t.Context(), "a.b", manage.EventTypeInput{Sample: new([]byte(`{"b":"text"}`))}); err != nil {
			t.Error(err)
		}
	}
	_, _, err := b.PutEventType(t.Context(), "a.b", manage.EventTypeInput{Versions: versions})
	refused(t, "versions that do not fit the sample that came meanwhile", err, hook.CodeInvalid, "/versions/0/convert")
	if runner.calls != 3 {
		t.Errorf("programs were checked %d times, want 3: once for the sample, twice for the versions", runner.calls)
	}
	runner.first = func() {
		if _, _, err := b.PutEventType(t.Context(), "a.b", manage.EventTypeInput{Description: new("new")}); err != nil {
			t.Error(err)
		}
	}
	et, _, err := b.PutEventType(t.Context(), "a.b", manage.EventTypeInput{Versions: &[]hook.TypeVersion{{Version: "1", Convert: "{b}"}}})
	if err != nil || et.Description != "new" || len(et.Versions) != 1 {
		t.Errorf("%+v, %v", et, err)
	}
}

type unavailable struct{}

func (unavailable) Check(context.Context, []string) error { return convert.ErrUnavailable }
func (unavailable) Run(context.Context, []string, []byte) ([]byte, error) {
	return nil, convert.ErrUnavailable
}

// Where no program can run just now, that is nobody's mistake.
func TestProgramsCannotBeChecked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Converters = unavailable{}
	_, _, err := b.PutEventType(t.Context(), "a.b", manage.EventTypeInput{Versions: &[]hook.TypeVersion{{Version: "1", Convert: "."}}})
	refused(t, "a check that cannot be made", err, hook.CodeUnavailable, "")
}
