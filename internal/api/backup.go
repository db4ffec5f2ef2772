package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"grapnel/internal/hook"
	"grapnel/internal/manage"
	"grapnel/internal/store"
)

// backupWrite is how long whoever takes a backup may let each piece of it wait.
// The server's bound on the time of an answer does not hold for it.
const backupWrite = 30 * time.Second

func (a *API) storeRoutes() []routeRow {
	return []routeRow{
		{
			pattern: "GET /v1/store", name: "getStore", summary: "Show how the store is",
			scope: hook.ScopeAdmin, handle: a.getStore, out: storeShape{},
		},
		{
			pattern: "GET /v1/nodes", name: "listNodes", summary: "List the servers that share the store, oldest first",
			doc:   "Each sends for the endpoints of its partitions, of which there are 64 in all. A server that died stays in the list, as gone, for a day. Where the store is a data folder, the asked server is the only one.",
			scope: hook.ScopeAdmin, handle: a.listNodes, out: list[nodeShape]{},
		},
		{
			pattern: "POST /v1/backup", name: "createBackup", summary: "Take a backup while the server runs",
			doc: "A tar stream: the store's files, then MANIFEST.json, without which it was cut short. Every event that was accepted before the call is in it, and every outcome that was recorded. " +
				"With the key of the secrets, unless without_key is true or the key is not in a file of the data folder: whoever has such a backup can read the secrets in it. grapnel db restore makes a data folder of it. One at a time, and with an Idempotency-Key none: each is a backup of its own. Not found where the store is a database: that is backed up by its own means.",
			scope: hook.ScopeAdmin, handle: a.backup, out: archive{},
			params:   []param{{"without_key", "true: leave the key of the secrets out; the backup is worth nothing to whoever has not kept it elsewhere", formBool}},
			problems: []hook.Code{hook.CodeNotFound, hook.CodeConflict},
		},
	}
}

// storeShape is the store in answers.
type storeShape struct {
	Engine     string   `json:"engine" doc:"what stores, and its version" example:"sqlite 3.53.4"`
	Durability string   `json:"durability" doc:"what a commit waits for" example:"write-ahead log, synced at every commit (synchronous=FULL)"`
	Events     int64    `json:"events" doc:"events in the log" example:"1200"`
	Units      int      `json:"units" doc:"parts that the log is cut into: files, or days of a database" example:"3"`
	Bytes      int64    `json:"bytes" doc:"on disk" example:"52428800"`
	Oldest     stamp    `json:"oldest,omitzero" doc:"when the oldest event was accepted; absent: there is none"`
	Expired    int64    `json:"expired" doc:"deliveries that retention ended before they were made, since the beginning" example:"0"`
	Writable   bool     `json:"writable" doc:"false: nothing can be stored just now" example:"true"`
	Problem    string   `json:"problem,omitzero" doc:"why not"`
	LastEvent  string   `json:"last_event,omitzero" doc:"the id of the last event; absent: there was none" example:"0198c3f1-f2a4-7d3a-8b1c-0e5d4f6a7b8c"`
	Warnings   []string `json:"warnings,omitzero" doc:"what threatens a database though it works, and what to do about it, as it was a minute ago at most; absent: nothing does"`
}

func (a *API) getStore(c *call) error {
	ctx := c.r.Context()
	s, err := a.Extent.Stats(ctx)
	if err != nil {
		return err
	}
	out := storeShape{
		Engine: s.Engine, Durability: s.Durability, Events: s.Events, Units: s.Units, Bytes: s.Bytes, Oldest: stamp(s.Oldest),
		Expired: s.Expired, Writable: s.Writable, Problem: s.Problem,
	}
	// A store in doubt cannot name its last event, and says why in Problem.
	if last, err := a.Extent.LastEvent(ctx); err == nil && !last.IsZero() {
		out.LastEvent = last.String()
	}
	if n, ok := a.Extent.(store.Networked); ok {
		out.Warnings = n.Warnings()
	}
	return c.answer(http.StatusOK, out)
}

// backup streams a copy of the store. Once it has begun, an error can only be
// told by ending the connection.
func (a *API) backup(c *call) error {
	if a.Backup == nil {
		return hook.Errorf(hook.CodeNotFound, "the store is a database: back it up by its own means, such as pg_dump")
	}
	q := store.BackupQuery{At: a.Now(), Program: a.Program, KeyFile: a.KeyFile}
	without, err := c.flag("without_key")
	if err != nil {
		return err
	}
	if without {
		q.KeyFile = ""
	}
	if _, given := c.r.Header["Idempotency-Key"]; given {
		return hook.Invalid("", "this call takes no Idempotency-Key: a backup changes nothing, and each is one of its own. Leave the header out")
	}
	if err := a.Manager.Note(c.r.Context(), manage.Action{Name: "store.backup", With: map[string]any{"with_key": q.KeyFile != ""}}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	out := &piecewise{c: c, out: http.NewResponseController(c.ResponseWriter), now: a.Now}
	defer out.endWith(a.Live.Open(), cancel)()
	_ = out.out.SetReadDeadline(time.Time{}) // it would end the request when it comes
	c.Header().Set("Content-Type", "application/x-tar")
	info, err := a.Backup.Backup(ctx, out, q)
	switch {
	case err == nil:
		a.Logger.Info("backup taken", "request_id", c.id[0], "key_id", c.keyID(), "files", info.Files, "bytes", info.Bytes, "with_key", info.WithKey, "mark", info.Mark.String())
		return nil
	case c.Status == 0:
		if errors.Is(err, store.ErrBackupRunning) {
			return &hook.Error{Code: hook.CodeConflict, Message: "a backup is being taken already: one at a time", Err: err}
		}
		return err
	}
	a.Logger.Error("backup ended early", "request_id", c.id[0], "key_id", c.keyID(), "error", err)
	panic(http.ErrAbortHandler) // the reader sees that it is not whole
}

// A reader of a backup has to take this much a second over all, once it has
// been waited for so long: a backup keeps others, and the removal of old events,
// from their turn.
const (
	backupRate  = 64 << 10
	backupGrace = time.Minute
)

// piecewise gives every piece of an answer its own time to be written, as long as
// the reader keeps up.
type piecewise struct {
	c      *call
	out    *http.ResponseController
	now    func() time.Time
	waited time.Duration // for the reader, up to now
	taken  int64         // bytes

	mu    sync.Mutex
	ended bool // the server stops: no piece has its time any more
}

func (w *piecewise) Write(p []byte) (int, error) {
	if w.waited > backupGrace && float64(w.taken) < backupRate*w.waited.Seconds() {
		return 0, fmt.Errorf("the reader takes less than %d bytes a second: %d in %s", backupRate, w.taken, w.waited)
	}
	begun := w.now()
	if err := w.begin(begun.Add(backupWrite)); err != nil {
		return 0, err
	}
	n, err := w.c.Write(p)
	w.waited += w.now().Sub(begun)
	w.taken += int64(n)
	return n, err
}

// begin puts off the deadline for a piece.
func (w *piecewise) begin(deadline time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return context.Canceled
	}
	_ = w.out.SetWriteDeadline(deadline) // where it cannot be set, there is none
	return nil
}

// endWith ends the answer when the server stops. What is being written gets a
// moment, so that a reader who has stalled does not hold up the stop. What is
// returned undoes that, or waits for it where it has begun.
func (w *piecewise) endWith(open context.Context, cancel func()) func() {
	ended := make(chan struct{})
	stop := context.AfterFunc(open, func() {
		defer close(ended)
		cancel()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = true
		_ = w.out.SetWriteDeadline(w.now().Add(feedEnd))
	})
	return func() {
		if !stop() {
			<-ended
		}
	}
}
