package offline

import (
	"context"

	"grapnel/internal/store/postgres"
)

// Facts are what matters of a database for those who run servers on it.
type Facts = postgres.Facts

// ExamineDatabase looks at a database and the way to it, and changes nothing.
func ExamineDatabase(ctx context.Context, url string) (*Facts, error) {
	return postgres.Examine(ctx, url)
}
