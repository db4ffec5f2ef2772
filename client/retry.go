package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	defaultRetries = 3

	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 10 * time.Second
	maxAsked     = time.Minute // a server that asks for a longer wait has its error passed on
)

// try sends a request until it is answered, as often as its kind and the
// settings allow. Between tries it waits as long as the server asked, or longer
// each time and up to half of it at random, so that many clients do not come
// back together.
func (c *Client) try(ctx context.Context, h *http.Client, r *request) (*answer, error) {
	var lost bool // an earlier try may have done its work though no answer came
	for n := 0; ; n++ {
		res, err := c.once(ctx, h, r)
		if err == nil {
			return res, nil
		}
		if lost && r.method == http.MethodDelete && CodeOf(err) == CodeNotFound {
			return &answer{status: http.StatusNoContent, header: http.Header{}}, nil
		}
		wait, ok := r.again(err, n)
		if !ok || n >= c.retries || ctx.Err() != nil {
			return nil, err
		}
		var p *Error
		lost = lost || !errors.As(err, &p)
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, err
		}
	}
}

// again tells whether to try again after an error, and when.
func (r *request) again(err error, n int) (wait time.Duration, ok bool) {
	backoff := min(firstBackoff<<n, maxBackoff)
	backoff = backoff/2 + rand.N(backoff/2+1)
	var p *Error
	if !errors.As(err, &p) {
		return backoff, r.safe && !r.denied
	}
	switch p.Status {
	case http.StatusTooManyRequests: // it was not even looked at
		ok = true
	case http.StatusServiceUnavailable:
		ok = r.safe
	case http.StatusConflict: // with a time: the same call is in flight
		ok = r.safe && p.asked
	}
	if p.asked {
		backoff = max(p.RetryAfter, backoff)
	}
	return backoff, ok && backoff <= maxAsked
}
