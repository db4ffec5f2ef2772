package postgres_test

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the random tests try fewer cases than usual, for each makes a
// database; -rapid.checks says otherwise.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "4"); err != nil {
			os.Exit(2)
		}
	}
	goleak.VerifyTestMain(m)
}
