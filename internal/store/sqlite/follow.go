package sqlite

import (
	"math"

	"github.com/ncruces/go-sqlite3"
)

// nearRows is how many rows a follower steps over rather than look its key up
// anew: a look-up costs about as much as so many steps.
const nearRows = 4

// follower finds ascending keys in a query's rows, which are in their order from
// a bound parameter on. Keys close together cost a step each, those far apart a
// look-up, and those before the row that it is at nothing. Reset it when done.
type follower struct {
	st    *sqlite3.Stmt
	shift int // of the row's number, for it to be a key
	begun bool
	at    int64 // the key of the row that it is at
}

// follow begins nothing yet: the first reach does.
func (c *connection) follow(sql string, shift int) (*follower, error) {
	st, err := c.stmt(sql)
	return &follower{st: st, shift: shift}, err
}

// reach reports whether there is a row with a key, and goes to the first one that
// is not below it. gap is about how many rows that is away.
func (f *follower) reach(key, gap int64) (bool, error) {
	for n := 0; f.begun && f.at < key && gap <= nearRows && n < nearRows; n++ {
		f.step()
	}
	if !f.begun || f.at < key {
		if err := f.seek(key); err != nil {
			return false, err
		}
	}
	if f.at == math.MaxInt64 {
		return false, wrap(f.st.Err())
	}
	return f.at == key, nil
}

func (f *follower) seek(key int64) error {
	if err := f.st.Reset(); err != nil {
		return wrap(err)
	}
	if err := f.st.BindInt64(1, key<<f.shift); err != nil {
		return wrap(err)
	}
	f.begun = true
	f.step()
	return nil
}

func (f *follower) step() {
	f.at = math.MaxInt64
	if f.st.Step() {
		f.at = f.st.ColumnInt64(0) >> f.shift
	}
}

func (f *follower) reset() { _ = f.st.Reset() }
