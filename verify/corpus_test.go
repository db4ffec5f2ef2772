package verify_test

import (
	"bytes"
	"testing"
	"time"

	"grapnel/internal/dialect/dialecttest"
	"grapnel/internal/dialect/standard"
	"grapnel/internal/hook"
	"grapnel/internal/signature"
	"grapnel/verify"
)

// What the sender signs verifies here, from 1 byte to 1 MB, and does not after
// a byte has changed.
func TestOurOwnRequests(t *testing.T) {
	t.Parallel()
	d, err := standard.Dialect()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range dialecttest.Corpus(7, 100) {
		secrets := []hook.Secret{signature.NewSymmetric(), signature.NewPrivate()}
		sent := dialecttest.Send(t, d, e, time.Unix(1_800_000_000, 0), 1, secrets...)
		public, err := signature.PublicKeyOf(secrets[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{string(secrets[0]), public} {
			v, err := verify.New(secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Verify(sent.HTTPHeader(), sent.Body, sent.At); err != nil {
				t.Errorf("event %d: %v", i, err)
			}
			body := bytes.Clone(sent.Body)
			body[i%len(body)] ^= 0x20
			if err := v.Verify(sent.HTTPHeader(), body, sent.At); err == nil {
				t.Errorf("event %d verifies after byte %d changed", i, i%len(body))
			}
		}
	}
}
