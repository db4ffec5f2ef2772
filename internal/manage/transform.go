package manage

import (
	"context"
	"errors"

	"grapnel/internal/convert"
	"grapnel/internal/dialect"
	"grapnel/internal/hook"
)

// Programs checks the programs of tenants. *convert.Guests is one.
type Programs interface {
	Check(ctx context.Context, tenant, program string) error
}

// checkTransform checks an endpoint's program before the change that it is part of,
// which keeps others waiting.
func (m *Manager) checkTransform(ctx context.Context, tenant string, program *string) error {
	if program == nil || *program == "" {
		return nil
	}
	if _, ok := m.Directory.Tenant(tenant); !ok {
		return NoTenant(tenant)
	}
	return wrongProgram(m.Programs.Check(ctx, tenant, *program))
}

func (m *Manager) checkTypeTransform(ctx context.Context, program *string) error {
	if program == nil || *program == "" {
		return nil
	}
	return wrongProgram(m.Converters.Check(ctx, []string{*program}))
}

// wrongProgram says what is wrong with a transformation.
func wrongProgram(err error) error {
	var failed *convert.StepError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failed) && hook.CodeOf(failed.Err) == hook.CodeInvalid:
		return under("/transform", failed.Err)
	case errors.As(err, &failed):
		return hook.Invalid("/transform", "cannot be compiled: %v", failed.Err)
	}
	return &hook.Error{Code: hook.CodeUnavailable, Message: "the program cannot be checked now, so nothing was changed: send the request again", Err: err}
}

// fillTransform takes over a program that was checked.
func fillTransform(e *hook.Endpoint, in EndpointInput, d *dialect.Dialect) error {
	if in.Transform == nil {
		return nil
	}
	if *in.Transform != "" && !d.JSONBody() {
		return hook.Invalid("/transform", "is for bodies in JSON, and %s sends forms", d.Title())
	}
	e.Transform = *in.Transform
	return nil
}
