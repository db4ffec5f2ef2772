package sqlite

import (
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// rowsAtOnce is how many rows one statement inserts. Running a statement costs
// about as much as the row that it inserts; of more rows little more is saved.
const rowsAtOnce = 16

// smallRow is the size up to which a row is inserted with others: what is bound
// stays in the connection's memory.
const smallRow = 8 << 10

// inserter writes rows of one table, rowsAtOnce with a statement where there are
// as many.
type inserter struct {
	insert  string // up to VALUES
	columns int
	one     *params
	many    *params
}

// rowSource is what an inserter writes: rows that it asks for by their place.
type rowSource struct {
	n    int
	size func(i int) int // about
	bind func(p *params, i int)
}

// write inserts rows, in their order.
func (in *inserter) write(c *connection, rows rowSource) error {
	for at := 0; at < rows.n; {
		with, n := &in.one, 1
		if rows.smallFrom(at) {
			with, n = &in.many, rowsAtOnce
		}
		if err := in.run(c, with, rows, at, n); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// smallFrom reports whether there are rowsAtOnce small rows from a place on.
func (r *rowSource) smallFrom(at int) bool {
	if r.n-at < rowsAtOnce {
		return false
	}
	for i := range rowsAtOnce {
		if r.size(at+i) > smallRow {
			return false
		}
	}
	return true
}

// run inserts the n rows from a place on with one statement.
func (in *inserter) run(c *connection, with **params, rows rowSource, at, n int) error {
	if *with == nil {
		p, err := in.prepare(c, n)
		if err != nil {
			return err
		}
		*with = p
	}
	p := *with
	p.at, p.err = 0, nil
	for i := range n {
		rows.bind(p, at+i)
	}
	if p.err != nil {
		return wrap(p.err)
	}
	return wrap(p.st.Exec())
}

func (in *inserter) prepare(c *connection, rows int) (*params, error) {
	row := "(" + strings.Repeat("?, ", in.columns-1) + "?)"
	st, err := c.stmt(in.insert + " VALUES " + strings.Repeat(row+", ", rows-1) + row)
	if err != nil {
		return nil, err
	}
	return &params{st: st, kept: make([]param, rows*in.columns)}, nil
}

// params binds a statement's parameters one after the other. What a parameter
// holds already, from the row that was there before, is not bound again. After an
// error nothing is.
type params struct {
	st   *sqlite3.Stmt
	at   int
	kept []param
	err  error
}

// param is what a parameter holds, if that is known.
type param struct {
	kind byte
	n    int64
	text string
}

// Kinds of what a parameter holds; 0: it is not known.
const (
	keptNull = iota + 1
	keptInt
	keptText
)

// keptLength is the longest text that is compared rather than bound.
const keptLength = 64

// bound notes what a parameter holds now.
func (p *params) bound(k *param, now param, err error) {
	if err != nil {
		p.err, now = err, param{}
	}
	*k = now
}

// next is the parameter to bind.
func (p *params) next() *param {
	p.at++
	return &p.kept[p.at-1]
}

func (p *params) null() {
	if k := p.next(); k.kind != keptNull {
		p.bound(k, param{kind: keptNull}, p.st.BindNull(p.at))
	}
}

func (p *params) int(n int64) {
	if k := p.next(); k.kind != keptInt || k.n != n {
		p.bound(k, param{kind: keptInt, n: n}, p.st.BindInt64(p.at, n))
	}
}

func (p *params) text(s string) {
	k := p.next()
	switch {
	case k.kind == keptText && k.text == s:
	case len(s) > keptLength:
		p.bound(k, param{}, p.st.BindText(p.at, s))
	default:
		p.bound(k, param{kind: keptText, text: s}, p.st.BindText(p.at, s))
	}
}

// textOrNull binds "" as null.
func (p *params) textOrNull(s string) {
	if s == "" {
		p.null()
		return
	}
	p.text(s)
}

func (p *params) blob(b []byte) { p.bound(p.next(), param{}, p.st.BindBlob(p.at, b)) }

// blobOrNull binds nil as null and empty as empty.
func (p *params) blobOrNull(b []byte) {
	if b == nil {
		p.null()
		return
	}
	p.blob(b)
}
