package api

import (
	"context"
	"net/http"
	"time"
)

// Times of a live stream. Its client can tell by the beats that the connection
// still stands.
const (
	feedBeat  = 15 * time.Second
	feedWrite = 10 * time.Second // for each piece: one who reads slower than that is let go
	feedEnd   = 500 * time.Millisecond
	feedChunk = 32 << 10 // bytes that are gathered before they are written
)

// feed is the answer to one who watches: server-sent events (the HTML
// standard, section 9.2), for as long as both sides like.
type feed struct {
	api  *API
	c    *call
	out  *http.ResponseController
	beat *time.Ticker
	buf  []byte
	end  []func() // in reverse order
}

// feed begins an answer of server-sent events, if the caller may have one more.
// The server's bound on the time of an answer does not hold for it. The context ends when the client leaves or the server stops.
func (a *API) feed(c *call) (context.Context, *feed, error) {
	leave, err := a.Live.Enter(c.keyID(), c.r.PathValue("tenant"), c.caller.Customer())
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	f := &feed{api: a, c: c, out: http.NewResponseController(c.ResponseWriter), beat: time.NewTicker(feedBeat)}
	f.end = append(f.end, leave, cancel, f.beat.Stop)
	ended := make(chan struct{})
	stop := context.AfterFunc(a.Live.Open(), func() {
		defer close(ended)
		cancel()
		// What is being written gets a moment: whoever does not read it now must
		// not hold up the server's end.
		_ = f.out.SetWriteDeadline(a.Now().Add(feedEnd))
	})
	f.end = append(f.end, func() {
		if !stop() {
			<-ended
			return
		}
		_ = f.out.SetWriteDeadline(a.Now().Add(feedWrite)) // for what ends the answer; the last one may be over
	})
	return ctx, f, nil
}

// close ends what feed has begun.
func (f *feed) close() {
	for i := len(f.end) - 1; i >= 0; i-- {
		f.end[i]()
	}
}

// message adds a message. event and id may be "".
func (f *feed) message(ctx context.Context, event, id string, v any) error {
	b, err := marshal(v)
	if err != nil {
		return err
	}
	if event != "" {
		f.buf = append(append(append(f.buf, "event: "...), event...), '\n')
	}
	if id != "" {
		f.buf = append(append(append(f.buf, "id: "...), id...), '\n')
	}
	// JSON on one line: texts have no line breaks, and no shape here has raw JSON.
	f.buf = append(append(append(f.buf, "data: "...), b...), "\n\n"...)
	if len(f.buf) >= feedChunk {
		return f.flush(ctx)
	}
	return nil
}

// position adds a message without data, which only moves the id that the client
// would resume from.
func (f *feed) position(id string) {
	f.buf = append(append(append(f.buf, "id: "...), id...), "\n\n"...)
}

// comment adds a line that means nothing.
func (f *feed) comment(text string) {
	f.buf = append(append(append(f.buf, ": "...), text...), "\n\n"...)
}

// flush writes what was added, if anything. An error means that the client has
// gone, or the stream is over.
func (f *feed) flush(ctx context.Context) error {
	if len(f.buf) == 0 {
		return ctx.Err()
	}
	_ = f.out.SetWriteDeadline(f.api.Now().Add(feedWrite)) // where it cannot be set, there is none
	if err := ctx.Err(); err != nil {
		return err // it may have ended before the deadline that we have just put off
	}
	if f.c.Status == 0 { // what fails before is no stream
		h := f.c.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("X-Accel-Buffering", "no") // for proxies that would gather it
	}
	if _, err := f.c.Write(f.buf); err != nil {
		return err
	}
	if f.buf = f.buf[:0]; cap(f.buf) > 4*feedChunk {
		f.buf = nil
	}
	return f.out.Flush()
}

// allowed reports whether the caller may still see this: a key can be revoked
// or expire, and a tenant be deleted, while a stream runs (case 95).
func (f *feed) allowed() bool {
	p, err := f.api.Auth.Authenticate(f.c.r.Header.Get("Authorization"))
	if err != nil {
		return false
	}
	f.c.caller = p
	scope := f.c.asked(f.c.row)
	if f.c.tenant == nil {
		return p.May(scope, "") == nil
	}
	t, ok := f.api.Directory.Tenant(f.c.tenant.ID)
	return ok && t.Num == f.c.tenant.Num && p.May(scope, t.ID) == nil
}
