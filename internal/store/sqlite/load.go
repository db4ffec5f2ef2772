package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// How much of a configuration is read at once, and how many such pieces are held
// while others read their documents.
const (
	pieceRecords = 512
	pieceBytes   = 1 << 20
	pieces       = 4
)

var _ store.Loader = (*Store)(nil)

// LoadConfiguration gives the whole configuration in pieces. One goroutine reads
// rows and takes pieces on; what is in the documents is read beside it.
func (s *Store) LoadConfiguration(ctx context.Context, each func(*store.Configuration) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	err := s.control.read(ctx, func(c *connection) error {
		few, err := c.fewRecords(0)
		if err != nil {
			return err
		}
		err = readPieces(c, `SELECT doc FROM tenants ORDER BY num`, codec.ReadTenant, func(tenants []*hook.Tenant) error {
			return each(&store.Configuration{Revision: few.Revision, Tenants: tenants})
		})
		if err != nil {
			return err
		}
		err = readPieces(c, `SELECT doc FROM endpoints ORDER BY num`, codec.ReadEndpoint, func(endpoints []*hook.Endpoint) error {
			return each(&store.Configuration{Revision: few.Revision, Endpoints: endpoints})
		})
		if err != nil {
			return err
		}
		return each(few)
	})
	if err != nil {
		return fmt.Errorf("load the configuration: %w", err)
	}
	return nil
}

// piece is a run of records: their documents, one behind the other, and then the
// records.
type piece[T any] struct {
	text    []byte
	ends    []int
	records []*T
	err     error
	done    chan struct{}
}

// read reads the documents. What the fast way does not know is read in the usual
// one.
func (p *piece[T]) read(fast func(doc string, v *T) bool) {
	defer close(p.done)
	text, values := string(p.text), make([]T, len(p.ends))
	p.records = make([]*T, len(p.ends))
	begin := 0
	for i, end := range p.ends {
		p.records[i] = &values[i]
		if !fast(text[begin:end], &values[i]) {
			values[i] = *new(T)
			if p.err = json.Unmarshal(p.text[begin:end], &values[i]); p.err != nil {
				return
			}
		}
		begin = end
	}
}

// readPieces gives all documents of a query, in order.
func readPieces[T any](c *connection, sql string, fast func(doc string, v *T) bool, each func([]*T) error) error {
	var waiting []*piece[T]
	var failed error
	take := func(leave int) bool {
		for len(waiting) > leave {
			p := waiting[0]
			waiting = slices.Delete(waiting, 0, 1)
			if <-p.done; failed == nil {
				failed = p.err
			}
			if failed == nil {
				failed = each(p.records)
			}
		}
		return failed == nil
	}
	next := &piece[T]{done: make(chan struct{})}
	begin := func() {
		go next.read(fast)
		waiting = append(waiting, next)
		next = &piece[T]{done: make(chan struct{}), text: make([]byte, 0, len(next.text)), ends: make([]int, 0, pieceRecords)}
	}
	err := c.query(sql, nil, func(st *sqlite3.Stmt) bool {
		next.text = append(next.text, st.ColumnRawText(0)...)
		next.ends = append(next.ends, len(next.text))
		if len(next.ends) < pieceRecords && len(next.text) < pieceBytes {
			return true
		}
		begin()
		return take(pieces - 1)
	})
	if err == nil && failed == nil && len(next.ends) > 0 {
		begin()
	}
	if failed == nil {
		failed = err
	}
	take(0)
	return failed
}
