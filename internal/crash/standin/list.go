package standin

import (
	"net/http"
	"strconv"
	"time"
)

// list pages through a tenant's deliveries, oldest first; the cursor is a
// place in the list.
func (s *server) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit"))                 // 0: an empty page
	at, _ := strconv.Atoi(q.Get("cursor"))                   // 0: from the beginning
	since, _ := time.Parse(time.RFC3339Nano, q.Get("since")) // zero: all
	s.mu.Lock()
	defer s.mu.Unlock()
	page := []map[string]any{}
	for ; at < len(s.deliveries) && len(page) < limit; at++ {
		if d := s.deliveries[at]; d.event.Tenant == r.PathValue("tenant") && !d.event.At.Before(since) {
			page = append(page, d.view())
		}
	}
	out := map[string]any{"data": page}
	if at < len(s.deliveries) {
		out["next_cursor"] = strconv.Itoa(at)
	}
	answer(w, http.StatusOK, out)
}

func (s *server) show(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.byID[r.PathValue("delivery")]
	if d == nil {
		http.NotFound(w, r)
		return
	}
	rows := []map[string]any{}
	for i, a := range d.attempts {
		rows = append(rows, map[string]any{"n": i + 1, "status": a.Status, "body_sha256": a.SHA256})
	}
	view := d.view()
	view["attempts"] = rows
	answer(w, http.StatusOK, view)
}

func (d *delivery) view() map[string]any {
	state := "pending"
	if d.done {
		state = "delivered"
	}
	return map[string]any{
		"id": d.id(), "event": d.event.ID, "endpoint": d.endpoint.ID, "state": state, "attempt_count": len(d.attempts),
	}
}
