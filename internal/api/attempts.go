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
	N       int    `json:"n" doc:"1 for the first" example:"1"`
	At      stamp  `json:"at" doc:"when it began"`
	Trigger string `json:"trigger" doc:"why it was made" example:"scheduled" enum:"scheduled,manual"`
	State   string `json:"state" doc:"what the delivery became by it" example:"pending" enum:"pending,held,delivered,failed,cancelled"`
	Reason  string `json:"reason,omitzero" doc:"why, in words" example:"503: tried again"`
	NextAt  stamp  `json:"next_attempt_at,omitzero" doc:"when the next attempt is due; absent: none is"`

	Status int    `json:"status,omitzero" doc:"HTTP status of the answer; absent: no answer came" example:"503"`
	Class  string `json:"class,omitzero" doc:"class of the failure, when no answer came or not all of it: dns, refused, timeout, tls, blocked and so on"`
	Detail string `json:"detail,omitzero" doc:"the failure in words"`

	BodySHA256 string          `json:"body_sha256" doc:"SHA-256 of the body sent, in hex" example:"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	BodySize   int             `json:"body_size" doc:"its bytes" example:"42"`
	Request    requestShape    `json:"request" doc:"the request as it was sent"`
	Response   *responseShape  `json:"response,omitzero" doc:"the answer as it was received; absent: none came"`
	Connection connectionShape `json:"connection" doc:"what the request went over"`
	Timing     timingShape     `json:"timing_ms" doc:"how long the phases took, in milliseconds"`
}

// requestShape is a request as it was sent.
type requestShape struct {
	Method  string  `json:"method" doc:"the HTTP method" example:"POST"`
	URL     string  `json:"url" doc:"the address" example:"https://example.com/hooks"`
	Headers headers `json:"headers" doc:"in the order sent; a name may be there twice. Values of credentials are replaced by [secret]"`
}

// responseShape is an answer as it was received.
type responseShape struct {
	Protocol  string  `json:"protocol" doc:"the HTTP version" example:"HTTP/1.1"`
	Headers   headers `json:"headers" doc:"in the order received; a name may be there twice"`
	Truncated bool    `json:"truncated" doc:"the body is not all that came"`
	Omitted   int     `json:"omitted,omitzero" doc:"bytes of body and headers that were read and are not kept, because the endpoint had answered too much before; absent: none" example:"65024"`
	bytesText
}

// connectionShape is what a request went over.
type connectionShape struct {
	RemoteAddr string `json:"remote_address,omitzero" doc:"the address that was reached" example:"192.0.2.1:443"`
	TLS        string `json:"tls,omitzero" doc:"the TLS version" example:"TLS 1.3"`
	Reused     bool   `json:"reused" doc:"the connection had been used before"`
}

// timingShape is how long the phases took, in milliseconds. A phase that did
// not happen is absent.
type timingShape struct {
	DNS     float64 `json:"dns,omitzero" doc:"looking up the name; absent: it was not needed"`
	Connect float64 `json:"connect,omitzero" doc:"connecting; absent: the connection was there"`
	TLS     float64 `json:"tls,omitzero" doc:"the TLS handshake; absent: there was none"`
	Wait    float64 `json:"wait,omitzero" doc:"from the request written to the first byte of the answer" example:"210.4"`
	Body    float64 `json:"body,omitzero" doc:"reading the answer's body"`
	Total   float64 `json:"total" doc:"all of it" example:"212.9"`
}

func triggerName(t hook.Trigger) string {
	if t == hook.Manual {
		return "manual"
	}
	return "scheduled"
}

func shapeAttempt(at *hook.Attempt) attemptShape {
	s := attemptShape{
		N: at.N, At: stamp(at.At), Trigger: triggerName(at.Trigger), State: at.State.String(), Reason: at.Reason, NextAt: stamp(at.NextAt),
		Status: at.Status, Class: at.Class, Detail: at.Detail, BodySHA256: hex.EncodeToString(at.BodySHA256[:]), BodySize: at.BodySize,
		Request:    requestShape{Method: at.Method, URL: at.URL, Headers: redact(parseHeaders(at.RequestHeader))},
		Connection: connectionShape{RemoteAddr: at.RemoteAddr, TLS: at.TLSVersion, Reused: at.Reused},
		Timing: timingShape{
			DNS: ms(at.Timing.DNS), Connect: ms(at.Timing.Connect), TLS: ms(at.Timing.TLS),
			Wait: ms(at.Timing.Wait), Body: ms(at.Timing.Body), Total: ms(at.Timing.Total),
		},
	}
	if at.Status != 0 {
		s.Response = &responseShape{
			Protocol: at.Proto, Headers: parseHeaders(at.ResponseHeader), Truncated: at.Truncated, Omitted: at.Omitted, bytesText: textOf(at.ResponseBody),
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
