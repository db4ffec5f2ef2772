package all

import (
	"fmt"

	"grapnel/internal/dialect"
	"grapnel/internal/dialect/standard"
)

// Registry reads all dialects that are built in.
func Registry() (*dialect.Registry, error) {
	var dialects []*dialect.Dialect
	for _, read := range []func() (*dialect.Dialect, error){
		standard.Dialect,
	} {
		d, err := read()
		if err != nil {
			return nil, fmt.Errorf("a built-in dialect does not load: %w", err)
		}
		dialects = append(dialects, d)
	}
	return dialect.NewRegistry(dialects...)
}
