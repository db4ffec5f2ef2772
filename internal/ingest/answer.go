package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"grapnel/internal/hook"
)

// Result is what became of one event of a submission.
type Result struct {
	ID        hook.EventID
	Duplicate bool        // it had been published before, with the same content
	Matched   int         // endpoints that it goes to
	Err       *hook.Error // why it was not taken
}

// storedResult is a Result as it is kept beside an Idempotency-Key.
type storedResult struct {
	ID        string       `json:"id,omitempty"`
	Duplicate bool         `json:"dup,omitempty"`
	Before    bool         `json:"before,omitempty"` // of an event that had been stored before the batch
	Matched   int          `json:"n,omitempty"`
	Code      hook.Code    `json:"code,omitempty"`
	Field     string       `json:"field,omitempty"`
	Also      []hook.Place `json:"also,omitempty"`
	Message   string       `json:"message,omitempty"`
}

// encodeAnswer writes results; ids are those that the batch's events have as yet.
func encodeAnswer(results []Result, ids []hook.EventID) []byte {
	out := make([]storedResult, len(results))
	for i, r := range results {
		if r.Err != nil {
			out[i] = storedResult{Code: r.Err.Code, Field: r.Err.Field, Also: r.Err.Also, Message: r.Err.Message}
			continue
		}
		out[i] = storedResult{ID: r.ID.String(), Duplicate: r.Duplicate, Matched: r.Matched, Before: r.Duplicate && !slices.Contains(ids, r.ID)}
	}
	b, _ := json.Marshal(out) // texts, numbers and booleans always marshal
	return b
}

// decodeAnswer reads results, with the ids that the batch's events have got: they were
// raised so far.
func decodeAnswer(b []byte, raised int64) ([]Result, error) {
	var in []storedResult
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("read a stored answer: %w", err)
	}
	out := make([]Result, len(in))
	for i, r := range in {
		if r.Code != "" {
			out[i].Err = &hook.Error{Code: r.Code, Field: r.Field, Also: r.Also, Message: r.Message}
			continue
		}
		id, err := hook.ParseEventID(r.ID)
		if err != nil {
			return nil, fmt.Errorf("read a stored answer: %w", err)
		}
		if raised != 0 && !r.Before {
			id = hook.EventIDFrom(id.Seq()+raised, id.Tail())
		}
		out[i] = Result{ID: id, Duplicate: r.Duplicate, Matched: r.Matched}
	}
	return out, nil
}

// fingerprint tells two events under one key apart by all that the publisher
// said of them.
func fingerprint(it *Item) [16]byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(it.Type), it.Data, it.Previous, it.Metadata, timeBytes(it.Time)} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	if it.Suppress {
		h.Write([]byte{1})
	}
	if it.OrderingKey != "" {
		h.Write([]byte{2})
		h.Write([]byte(it.OrderingKey))
	}
	return [16]byte(h.Sum(nil))
}

func timeBytes(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMilli()))
}
