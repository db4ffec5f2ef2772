package egress

import (
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// LogWriter takes what libraries write to the standard logger because they
// have no other way, net/http above all: some of its lines hold bytes of an
// endpoint's (case 53). Lines become records of logger, shortened, with the
// text as an attribute, and no more than a few a minute; the rest is counted.
//
// The standard logger is the program's and not this package's to change, so
// main does it, once:
//
//	log.SetFlags(0)
//	log.SetOutput(egress.LogWriter(logger))
func LogWriter(logger *slog.Logger) io.Writer {
	return &noise{logger: logger, limit: rate.NewLimiter(rate.Every(10*time.Second), 5)}
}

type noise struct {
	logger     *slog.Logger
	limit      *rate.Limiter
	suppressed atomic.Int64
}

// maxNoise is how much of a line is kept, in bytes.
const maxNoise = 256

// Write logs one line. It never fails.
func (n *noise) Write(line []byte) (int, error) {
	if !n.limit.Allow() {
		n.suppressed.Add(1)
		return len(line), nil
	}
	text := strings.TrimRight(string(line[:min(len(line), maxNoise)]), "\n")
	n.logger.Warn("message of the standard library", "text", strings.ToValidUTF8(text, "�"), "bytes", len(line), "suppressed", n.suppressed.Swap(0))
	return len(line), nil
}
