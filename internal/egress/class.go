package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The classes of failure, Result.Class. The empty class is an answer. Those
// that begin with "timeout_" name the phase in which the time ran out.
const (
	ClassRequest        = "request"         // the request cannot be sent as it is: its URL, method or a header is wrong
	ClassBlocked        = "blocked"         // the address may not be dialled
	ClassDNS            = "dns"             // the name does not resolve, or not in time
	ClassRefused        = "refused"         // the host refused the connection
	ClassConnect        = "connect"         // no connection for another reason: no route, host or network unreachable
	ClassTimeoutConnect = "timeout_connect" // the host did not accept the connection in time
	ClassTimeoutTLS     = "timeout_tls"     // the TLS handshake did not end in time
	ClassTimeoutWrite   = "timeout_write"   // the endpoint did not read the request in time
	ClassTimeoutHeader  = "timeout_header"  // the request was sent, no complete header came in time
	ClassTimeoutBody    = "timeout_body"    // a header without success came, its body did not end in time
	ClassTLS            = "tls"             // the TLS handshake failed, most often over the certificate
	ClassReset          = "reset"           // the connection was closed before the answer was complete
	ClassProtocol       = "protocol"        // what came back is no acceptable HTTP answer
	ClassCanceled       = "canceled"        // the caller gave up
	ClassAuth           = "auth"            // no request was made: the token that it needs could not be got (Tokens)
)

// failure is why an attempt got no answer, in the terms of a Result.
type failure struct {
	class, detail string
	remote        string // the address last dialled, unless it was blocked
	phases        phases
}

// Error is the failure in words.
func (f *failure) Error() string { return f.class + ": " + f.detail }

const blockedDetail = "requests to this address are not allowed"

func blocked() *failure { return &failure{class: ClassBlocked, detail: blockedDetail} }

// lookupFailure says why a name could not be resolved.
func lookupFailure(host string, err error) *failure {
	f := &failure{class: ClassDNS, detail: "the name " + host + " could not be resolved"}
	var dns *net.DNSError
	switch {
	case isTimeout(err):
		f.detail = "the name " + host + " could not be resolved in time"
	case errors.As(err, &dns) && dns.IsNotFound:
		f.detail = "the name " + host + " does not exist or has no address"
	}
	return f
}

// connectFailure says why a TCP connection could not be made.
func connectFailure(remote string, err error) *failure {
	f := &failure{remote: remote}
	switch {
	case errors.Is(err, errBlocked):
		return blocked()
	case errors.Is(err, syscall.ECONNREFUSED):
		f.class, f.detail = ClassRefused, "the host refused the connection"
	case isTimeout(err):
		f.class, f.detail = ClassTimeoutConnect, "the host did not accept the connection in time"
	case errors.Is(err, context.Canceled):
		f.class, f.detail = ClassCanceled, "the attempt was called off while connecting"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		f.class, f.detail = ClassConnect, "there is no route to the host"
	default:
		f.class, f.detail = ClassConnect, "no connection could be made: "+plainWords(rootCause(err))
	}
	return f
}

// tlsFailure says why a TLS handshake failed (case 49). ok is false when err
// has nothing to do with TLS.
func tlsFailure(err error) (f *failure, ok bool) {
	f = &failure{class: ClassTLS}
	var (
		invalid   x509.CertificateInvalidError
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		remote    *net.OpError
	)
	switch {
	case errors.As(err, &name):
		f.detail = "the certificate is for another name"
	case errors.As(err, &authority):
		f.detail = "the certificate is signed by an unknown authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.detail = "the certificate has expired or is not yet valid"
	case errors.As(err, &invalid), errors.As(err, &verify):
		f.detail = "the certificate is not valid: " + plainWords(rootCause(err))
	case errors.As(err, &record):
		f.detail = "the host does not speak TLS on this port"
	case errors.As(err, &alert):
		f.detail = "TLS failed: " + plainWords(alert)
	case errors.As(err, &remote) && remote.Op == "remote error":
		f.detail = "the host ended the TLS handshake: " + plainWords(remote.Err)
	case strings.HasPrefix(err.Error(), "tls: "), strings.HasPrefix(err.Error(), "x509: "):
		f.detail = "TLS failed: " + plainWords(err)
	default:
		return nil, false
	}
	return f, true
}

// exchangeFailure says why a request on a standing connection got no answer.
func exchangeFailure(err error) *failure {
	if f, ok := tlsFailure(err); ok {
		return f
	}
	text := err.Error()
	switch {
	case isReset(err), strings.Contains(text, "GOAWAY"), strings.Contains(text, "client connection lost"),
		strings.Contains(text, "client connection force closed"), strings.Contains(text, "after connection loss"):
		return &failure{class: ClassReset, detail: "the endpoint closed the connection before it answered"}
	case strings.Contains(text, "client conn could not be established"): // HTTP/2, and why is lost
		return &failure{class: ClassReset, detail: "the endpoint closed the connection as soon as it was made, as one does that wants a client certificate"}
	case errors.Is(err, errLongHeader), strings.Contains(text, "response header list larger"), strings.Contains(text, "1xx informational responses"):
		return &failure{class: ClassProtocol, detail: "the header of the answer is too large"}
	}
	return &failure{class: ClassProtocol, detail: "the answer is not valid HTTP: " + plainWords(err)}
}

// outOfTurn is the failure of a request that was not sent, for its endpoint
// had said something before (case 53).
func outOfTurn(c *conn) *failure {
	return &failure{
		class: ClassProtocol, detail: "the endpoint said something before it was asked, which is not how HTTP goes",
		remote: c.remote, phases: c.took,
	}
}

func calledOff() *failure {
	return &failure{class: ClassCanceled, detail: "the attempt was called off"}
}

// noAnswerInTime is the failure of a request whose time ran out on a standing
// connection before there was the header of an answer.
func noAnswerInTime(wrote bool) *failure {
	if !wrote {
		return &failure{class: ClassTimeoutWrite, detail: "the endpoint did not read the request in time"}
	}
	return &failure{class: ClassTimeoutHeader, detail: "the endpoint did not answer in time"}
}

// noConnectionInTime is the failure of an attempt whose time ran out while its
// connection was being made by somebody else.
func noConnectionInTime(p phase) *failure {
	switch {
	case p <= inDNS:
		return &failure{class: ClassDNS, detail: "the name could not be resolved in time"}
	case p == inConnect:
		return &failure{class: ClassTimeoutConnect, detail: "the host did not accept the connection in time"}
	}
	return &failure{class: ClassTimeoutTLS, detail: "the TLS handshake did not end in time"}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

func isReset(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// plainWords is an error's text, short and on one line: parts of it may come
// from the endpoint.
func plainWords(err error) string {
	const limit = 240
	s := strings.TrimPrefix(err.Error(), "net/http: ")
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	s = strings.ToValidUTF8(s, "�")
	if q := strconv.QuoteToGraphic(s); len(q) != len(s)+2 {
		return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	}
	return s
}

// phases are the parts of making a connection.
type phases struct{ dns, connect, tls time.Duration }
