package hook

// Trace names the span under which an event was published, in the terms of W3C
// Trace Context. It goes with an event in memory and is not stored.
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte
	Sampled bool // somebody records it
}
