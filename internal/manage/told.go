package manage

import (
	"context"
	"errors"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// Told is the hook.Error that an error stands for, for a face to tell of: what
// passes is CodeUnavailable, and what nobody has made to be told is
// CodeInternal.
func Told(err error) *hook.Error {
	var e *hook.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, store.ErrNotFound):
		return &hook.Error{Code: hook.CodeNotFound, Message: "there is no such thing, or not any more", Err: err}
	}
	for _, passing := range []error{
		store.ErrUnavailable, store.ErrFull, store.ErrUnknown, store.ErrClosed, store.ErrStale, store.ErrLeaseLost,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, passing) {
			return &hook.Error{Code: hook.CodeUnavailable, Message: "the store cannot answer just now: try again", Err: err}
		}
	}
	return &hook.Error{Code: hook.CodeInternal, Err: err}
}
