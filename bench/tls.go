package bench

import (
	"context"
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
	"os"
	"time"
)

// What a receiver of HTTPS speaks.
const (
	tlsHTTP1 = "HTTP/1.1"
	tlsHTTP2 = "HTTP/2"
)

// certificate makes a receiver's TLS configuration with a certificate that it
// signs itself, and returns that in PEM; nothing for plain HTTP.
func certificate(speaks string, now time.Time) (*tls.Config, []byte, error) {
	if speaks == "" {
		return nil, nil, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	what := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "grapnel bench receiver"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, what, what, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	c.NextProtos = []string{"http/1.1"}
	if speaks == tlsHTTP2 {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	return c, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// secured measures throughput to receivers of HTTPS, in turns with one of plain
// HTTP.
func secured(ctx context.Context, r *run) error {
	kinds := []string{"", tlsHTTP1, tlsHTTP2}
	r.turn++
	perSecond, cost := map[string]float64{}, map[string]float64{}
	for i := range kinds {
		kind := kinds[(i+r.turn)%len(kinds)]
		r.progress.note("tls: %s", orDefault(kind, "plain"))
		w, err := r.freshWindow(ctx, sitePlan{endpoints: r.endpoints(1), tls: kind}, r.stream(r.endpoints(1), 1, 0), r.Duration)
		if err != nil {
			return fmt.Errorf("%s: %w", orDefault(kind, "plain"), err)
		}
		perSecond[kind], cost[kind] = w.perSecond(), w.cost()
		w.faults(r.figures)
	}
	r.add("delivered, plain HTTP", "events/s", perSecond[""])
	r.add("server CPU, plain HTTP", "µs/event", cost[""])
	for _, kind := range kinds[1:] {
		r.add("delivered, TLS with "+kind, "events/s", perSecond[kind])
		r.add("TLS with "+kind+" ÷ plain", "", perSecond[kind]/perSecond[""])
		r.add("server CPU, TLS with "+kind, "µs/event", cost[kind])
	}
	return nil
}

// trust is the environment that makes a server trust a receiver's certificate.
func (t *target) trust(file string) ([]string, error) {
	if len(t.Certificate) == 0 {
		return nil, nil
	}
	if err := os.WriteFile(file, t.Certificate, 0o600); err != nil {
		return nil, err
	}
	return []string{"SSL_CERT_FILE=" + file}, nil
}
