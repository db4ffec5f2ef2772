package directory

import (
	"context"

	"grapnel/internal/store"
)

// LoadSmall loads a directory that keeps few unpacked records.
func LoadSmall(ctx context.Context, source store.Configurator) (*Directory, error) {
	return load(ctx, source, 1, 2)
}
