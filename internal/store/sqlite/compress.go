package sqlite

import (
	"github.com/ncruces/go-sqlite3"

	"grapnel/internal/codec"
)

// value copies a column that may be compressed; nil for NULL.
func value(st *sqlite3.Stmt, i int) ([]byte, error) {
	if raw := st.ColumnRawBlob(i); codec.IsPacked(raw) {
		return codec.Unpack(raw)
	}
	return blob(st, i), nil
}
