package telemetry

import (
	"math/rand/v2"
	"strconv"
)

// NewRequestID names a request in its answer and in the log. It is no secret.
func NewRequestID() string {
	return string(strconv.AppendUint(append(make([]byte, 0, 20), "req_"...), rand.Uint64(), 32))
}
