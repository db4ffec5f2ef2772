package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// attemptShape is one request of a delivery and what came back.
type attemptShape struct {
	N       int    `json:"n"` // 1 for the first
	At      stamp  `json:"at"`
	Trigger string `json:"trigger"` // scheduled or manual
	// State is what the delivery became by this attempt, and Reason why.
	State  string `json:"state"`
	Reason string `json:"reason,omitzero"`
	NextAt stamp  `json:"next_attempt_at,omitzero"`

	Status int    `json:"status,omitzero"` // absent: no answer came
	Class  string `json:"class,omitzero"`  // of the failure, when no answer came or not all of it
	Detail string `json:"detail,omitzero"` // the failure in words

	BodySHA256 string          `json:"body_sha256"` // of the body sent, which is that of the delivery
	BodySize   int             `json:"body_size"`
	Request    requestShape    `json:"request"`
	Response   *responseShape  `json:"response,omitzero"`
	Connection connectionShape `json:"connection"`
	Timing     timingShape     `json:"timing_ms"`
}

// requestShape is a request as it was sent.
type requestShape struct {
	Method  string  `json:"method"`
	URL     string  `json:"url"`
	Headers headers `json:"headers"`
}

// responseShape is an answer as it was received.
type responseShape struct {
	Protocol  string  `json:"protocol"`
	Headers   headers `json:"headers"`
	Truncated bool    `json:"truncated"` // body is not all that came
	bytesText
}

// connectionShape is what a request went over.
type connectionShape struct {
	RemoteAddr string `json:"remote_address,omitzero"`
	TLS        string `json:"tls,omitzero"`
	Reused     bool   `json:"reused"`
}

// timingShape is how long the phases took, in milliseconds. A phase that did
// not happen is absent.
type timingShape struct {
	DNS     float64 `json:"dns,omitzero"`
	Connect float64 `json:"connect,omitzero"`
	TLS     float64 `json:"tls,omitzero"`
	Wait    float64 `json:"wait,omitzero"` // from the request written to the first byte of the answer
	Body    float64 `json:"body,omitzero"` // reading the answer's body
	Total   float64 `json:"total"`
}

func shapeAttempt(at *hook.Attempt) attemptShape {
	s := attemptShape{
		N: at.N, At: stamp(at.At), Trigger: "scheduled", State: at.State.String(), Reason: at.Reason, NextAt: stamp(at.NextAt),
		Status: at.Status, Class: at.Class, Detail: at.Detail, BodySHA256: hex.EncodeToString(at.BodySHA256[:]), BodySize: at.BodySize,
		Request:    requestShape{Method: at.Method, URL: at.URL, Headers: redact(parseHeaders(at.RequestHeader))},
		Connection: connectionShape{RemoteAddr: at.RemoteAddr, TLS: at.TLSVersion, Reused: at.Reused},
		Timing: timingShape{
			DNS: ms(at.Timing.DNS), Connect: ms(at.Timing.Connect), TLS: ms(at.Timing.TLS),
			Wait: ms(at.Timing.Wait), Body: ms(at.Timing.Body), Total: ms(at.Timing.Total),
		},
	}
	if at.Trigger == hook.Manual {
		s.Trigger = "manual"
	}
	if at.Status != 0 {
		s.Response = &responseShape{
			Protocol: at.Proto, Headers: parseHeaders(at.ResponseHeader), Truncated: at.Truncated, bytesText: textOf(at.ResponseBody),
		}
	}
	return s
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// parseHeaders takes header lines apart, each ended by \r\n.
func parseHeaders(lines []byte) headers {
	var out headers
	for line := range bytes.SplitSeq(lines, []byte("\r\n")) {
		if name, value, ok := strings.Cut(string(line), ":"); ok {
			out = append(out, hook.Header{Name: name, Value: strings.TrimPrefix(value, " ")})
		}
	}
	return out
}

// isOf reports whether a hash is that of a body.
func isOf(hash [32]byte, body []byte) bool { return sha256.Sum256(body) == hash }
