package store

import (
	"context"
	"iter"

	"grapnel/internal/hook"
)

// Source is a store that nobody has open, to be copied into another engine: rows as
// they are stored, with all values in the forms of package codec, which every engine
// keeps them in. It changes nothing of what it reads. It is used by one goroutine, and
// one sequence at a time.
type Source interface {
	// About tells what the rows do not.
	About() SourceInfo

	// Rows are the rows of a table, in the order of its key; of a table of the log only
	// those of events with from ≤ Seq < until. A sequence ends with the first error.
	// Nothing of a row may be kept but its values.
	Rows(ctx context.Context, table SourceTable, from, until int64) SourceRows

	// Next finds the events that follow after one: limit of them at most, or fewer
	// where they carry more than so many bytes, but one at least. At the end of the log
	// there are none.
	Next(ctx context.Context, after int64, limit int, bytes int64) (SourceRun, error)

	// Close lets others have the store.
	Close() error
}

// SourceRows are rows, each with the columns that SourceColumns lists. Values are of
// the types int64, bool, string and []byte, or nil.
type SourceRows = iter.Seq2[[]any, error]

// SourceRun is a run of events.
type SourceRun struct {
	First, Last int64 // their Seq
	Events      int
}

// SourceInfo is what a Source says of itself.
type SourceInfo struct {
	// Name is the same whenever the same store is read, as long as nobody has had it
	// open in between.
	Name string
	// Since is the part of Name that stays the same whoever has opened it.
	Since string

	Revision                             int64 // of the configuration
	NextTenant, NextEndpoint, NextNumber int64 // numbers to be given next
	Last                                 hook.EventID
	Floor                                hook.EventID // of Progress; zero: none is kept
	Events                               int64
	Expired                              int64 // as in Stats
}

// SourceTable is a table of a Source.
type SourceTable string

// The tables of a Source: first the configuration and what is kept beside the log,
// then the log.
const (
	SourceTenants   SourceTable = "tenants"
	SourceEndpoints SourceTable = "endpoints"
	SourceTypes     SourceTable = "types"
	SourceKeys      SourceTable = "keys"
	SourceReplays   SourceTable = "replays"
	SourcePinned    SourceTable = "pinned"
	SourceAudit     SourceTable = "audit"
	SourceChanges   SourceTable = "changes"    // requests of Configure
	SourceRequests  SourceTable = "requests"   // requests of Append, the oldest first; one may be there again, if it was forgotten in between
	SourceMarks     SourceTable = "lane_marks" // Progress.Behind
	SourceExpired   SourceTable = "expired"    // deliveries that ended by retention

	SourceEvents     SourceTable = "events"
	SourceAttempts   SourceTable = "attempts"
	SourceDeliveries SourceTable = "deliveries" // those that were not simply delivered at their first attempt
	SourceBodies     SourceTable = "bodies"
)

// SourceColumns are the columns of each table. Documents are the JSON of the records
// in package hook, times are codec.FromTime, events are their Seq.
var SourceColumns = map[SourceTable][]string{
	SourceTenants:   {"num", "id", "rev", "deleted", "doc"},
	SourceEndpoints: {"num", "id", "tenant", "rev", "deleted", "doc"},
	SourceTypes:     {"name", "rev", "deleted", "doc"},
	SourceKeys:      {"id", "hash", "rev", "deleted", "doc"},
	SourceReplays:   {"id", "rev", "deleted", "finished", "doc"},
	SourcePinned:    {"name", "rev", "doc"},
	SourceAudit:     {"num", "at", "tenant", "doc"},
	SourceChanges:   {"scope", "key", "at", "fingerprint", "answer"},
	SourceRequests:  {"scope", "key", "at", "fingerprint", "answer"},
	SourceMarks:     {"endpoint", "seq", "tail"},
	SourceExpired:   {"endpoint", "count"},

	SourceEvents: {"seq", "tail", "tenant", "number", "time", "revision", "type", "targets", "data",
		"key", "fingerprint", "previous", "metadata", "ordering"},
	SourceAttempts:   {"event", "endpoint", "n", "at", "state", "status", "class", "detail"},
	SourceDeliveries: {"event", "endpoint", "tenant", "first_at", "next_at", "attempts", "base", "state", "manual", "reason"},
	SourceBodies:     {"event", "endpoint", "body"},
}
