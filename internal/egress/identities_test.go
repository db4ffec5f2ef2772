package egress

import (
	"crypto/tls"
	"encoding/binary"
	"testing"
)

// Ten thousand endpoints with certificates take no more memory than a few hundred.
func TestIdentitiesAreBounded(t *testing.T) {
	t.Parallel()
	var s identities
	loads := 0
	for n := range 10_000 {
		id := &Identity{Load: func() (*Certificates, error) { loads++; return &Certificates{}, nil }}
		binary.BigEndian.PutUint64(id.ID[:], uint64(n+1))
		first, err := s.config(id, &tls.Config{MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := s.config(id, nil); again != first {
			t.Fatal("it was not kept")
		}
	}
	if loads != 10_000 || len(s.parsed) > maxIdentities {
		t.Errorf("%d loads, %d are kept", loads, len(s.parsed))
	}
}
