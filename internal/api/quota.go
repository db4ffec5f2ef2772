package api

import (
	"grapnel/internal/hook"
	"grapnel/internal/manage"
)

// quotaInput is a tenant's quota in requests.
type quotaInput struct {
	Events  field[*float64] `json:"events_per_second" doc:"events that are accepted a second, over a while: a second's worth may come at once; 0: no limit; null: what the server's --tenant-rate says" example:"100"`
	Pending field[*int64]   `json:"pending" doc:"how many deliveries may wait; while there are as many, events are refused; 0: no limit; null: what the server's --tenant-pending says" example:"100000"`
}

// quotaShape is a tenant's quota in answers.
type quotaShape struct {
	Events  *float64 `json:"events_per_second,omitzero" doc:"events that are accepted a second, over a while; 0: no limit; absent: what the server's --tenant-rate says" example:"100"`
	Pending *int64   `json:"pending,omitzero" doc:"how many deliveries may wait; 0: no limit; absent: what the server's --tenant-pending says" example:"100000"`
}

// quotaOf is a tenant's own quota; nil if it has none.
func quotaOf(q hook.Quota) *quotaShape {
	if q == (hook.Quota{}) {
		return nil
	}
	return &quotaShape{shownLimit(q.Events), shownLimit(q.Pending)}
}

func shownLimit[N int64 | float64](n N) *N {
	if n == 0 {
		return nil
	}
	return new(max(n, 0))
}

// fillQuota reads what a request says of a tenant's quota.
func fillQuota(out *manage.TenantInput, in field[*quotaInput]) (err error) {
	if !in.given {
		return nil
	}
	q := quotaInput{Events: field[*float64]{given: true}, Pending: field[*int64]{given: true}} // null: both are the server's
	if in.value != nil {
		q = *in.value
	}
	if out.QuotaEvents, err = keptLimit("/quota/events_per_second", q.Events); err != nil {
		return err
	}
	out.QuotaPending, err = keptLimit("/quota/pending", q.Pending)
	return err
}

// keptLimit is a limit as hook.Quota has it; nil: it stays as it is.
func keptLimit[N int64 | float64](at string, in field[*N]) (*N, error) {
	switch {
	case !in.given:
		return nil, nil
	case in.value == nil:
		return new(N(0)), nil
	case *in.value < 0 || *in.value > 1e12:
		return nil, hook.Invalid(at, "want a number from 0, which is no limit, to 1e12, or null for what the server's settings say")
	case *in.value == 0:
		return new(N(-1)), nil
	}
	return in.value, nil
}
