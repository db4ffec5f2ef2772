package hostile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
)

// PEM is the authority's certificate, for a process that is to trust it.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// SelfSigned is a configuration with a certificate that vouches for itself.
func SelfSigned(host string, now time.Time) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("hostile: %w", err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: host}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("hostile: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

// HandshakeHabit is one way to misbehave where a TLS handshake is expected
// (case 49), for Listen and a URL of https.
type HandshakeHabit struct {
	Name   string
	Hangs  bool // nothing ends it but the sender's deadline
	Behave Behaviour
}

// HandshakeHabits are the ways to misbehave in a TLS handshake that need no
// certificate.
func HandshakeHabits() []HandshakeHabit {
	say := func(text string) Behaviour {
		return func(c *Conn) {
			c.Send(text)
			c.Hang()
		}
	}
	flood := func(record string) Behaviour {
		block := strings.Repeat(record, 200)
		return func(c *Conn) {
			for c.Send(block) {
			}
		}
	}
	return []HandshakeHabit{
		{"TLS: never answers", true, NeverAnswer()},
		{"TLS: closes at once", false, func(*Conn) {}},
		{"TLS: resets at once", false, (*Conn).Reset},
		{"TLS: closes after the hello", false, func(c *Conn) { c.reader.ReadByte() }},
		{"TLS: SSH there", false, say("SSH-2.0-OpenSSH_9.6\r\n")},
		{"TLS: HTTP there", false, say("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")},
		{"TLS: fatal alert", false, say("\x15\x03\x03\x00\x02\x02\x28")},
		{"TLS: no renegotiation wanted", false, say("\x16\x03\x03\x00\x04\x00\x00\x00\x00")}, // HelloRequest in place of the hello
		{"TLS: record over the largest size", false, say("\x16\x03\x03\xff\xff" + strings.Repeat("x", 0xffff))},
		{"TLS: hello of 16 MiB announced", false, say("\x16\x03\x03\x00\x04\x02\xff\xff\xff")},
		{"TLS: hello that stops short", true, say("\x16\x03\x03\x00\x06\x02\x00\x00\x40\x03\x03")},
		{"TLS: hello in fragments of a byte, never whole", true, func(c *Conn) {
			for _, b := range []byte("\x02\x00\x00\xff\x03\x03") {
				if !c.Send("\x16\x03\x03\x00\x01"+string([]byte{b})) || !c.Pause(time.Millisecond) {
					return
				}
			}
			c.Hang()
		}},
		{"TLS: flood of empty records", false, flood("\x16\x03\x03\x00\x00")},
		{"TLS: flood of warnings", false, flood("\x15\x03\x03\x00\x02\x01\x5a")},
		{"TLS: flood of change cipher spec", false, flood("\x14\x03\x03\x00\x01\x01")},
		{"TLS: hello byte by byte", true, func(c *Conn) {
			for ok := c.Send("\x16\x03\x03\x40\x00\x02\x00\x3f\x00"); ok; {
				ok = c.Pause(5*time.Millisecond) && c.Send("x")
			}
		}},
	}
}
