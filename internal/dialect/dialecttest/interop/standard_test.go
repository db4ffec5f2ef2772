package interop_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"grapnel/internal/signature"
	"grapnel/internal/testaid"
)

// The Go library of the Standard Webhooks project.
func TestStandardWebhooksGo(t *testing.T) {
	t.Parallel()
	var n tally
	for _, r := range corpus(t, signature.NewSymmetric) {
		library, err := standardwebhooks.NewWebhook(string(r.Secret))
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		for name, value := range r.Headers {
			header.Set(name, value)
		}
		n.note(t, &r, library.VerifyIgnoringTimestamp(r.Body, header))
	}
	n.report(t, "standard-webhooks/libraries/go")
}

// v1a, which no library of the project reads, with crypto/ed25519.
func TestEd25519(t *testing.T) {
	t.Parallel()
	var n tally
	for _, r := range corpus(t, signature.NewPrivate) {
		text, err := signature.PublicKeyOf(r.Secret)
		if err != nil {
			t.Fatal(err)
		}
		public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whpk_"))
		if err != nil {
			t.Fatal(err)
		}
		n.note(t, &r, verifyEd25519(public, &r))
	}
	n.report(t, "crypto/ed25519")
}

func verifyEd25519(public ed25519.PublicKey, r *request) error {
	message := fmt.Appendf(nil, "%s.%s.%s", r.Headers["webhook-id"], r.Headers["webhook-timestamp"], r.Body)
	for _, token := range strings.Split(r.Headers["webhook-signature"], " ") {
		text, ok := strings.CutPrefix(token, "v1a,")
		if !ok {
			return fmt.Errorf("%q is no v1a signature", token)
		}
		sig, err := base64.StdEncoding.Strict().DecodeString(text)
		if err == nil && ed25519.Verify(public, message, sig) {
			return nil
		}
	}
	return errors.New("no signature fits")
}

// The npm library standardwebhooks, on node.
func TestStandardWebhooksNode(t *testing.T) {
	t.Parallel()
	node, folder := javascript(t, "standardwebhooks")
	requests := corpus(t, signature.NewSymmetric)
	var input bytes.Buffer
	encode := json.NewEncoder(&input)
	for i := range requests {
		line := struct {
			Secret string `json:"secret"` // a hook.Secret would hide itself
			*request
		}{string(requests[i].Secret), &requests[i]}
		if err := encode.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.CommandContext(t.Context(), node, "standardwebhooks.mjs")
	run.Dir, run.Stdin = folder, &input
	var stderr bytes.Buffer
	run.Stderr = &stderr
	output, err := run.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	var n tally
	results := bufio.NewScanner(bytes.NewReader(output))
	for i := range requests {
		var result struct {
			Case, Error string
			OK          bool
		}
		if !results.Scan() {
			t.Fatalf("node gave %d results for %d requests", i, len(requests))
		}
		if err := json.Unmarshal(results.Bytes(), &result); err != nil || result.Case != requests[i].Case {
			t.Fatalf("result %d is %s (%v)", i, results.Bytes(), err)
		}
		var failure error
		if !result.OK {
			failure = errors.New(result.Error)
			// A refusal must be the signature's, not a crash of the script.
			if !strings.Contains(result.Error, "No matching signature") {
				t.Errorf("%s: %s", result.Case, result.Error)
			}
		}
		n.note(t, &requests[i], failure)
	}
	n.report(t, "npm standardwebhooks")
}

// javascript finds node and a package in test/js. Without them the test is
// skipped, or fails where GRAPNEL_TEST_REQUIRE=1.
func javascript(t *testing.T, library string) (node, folder string) {
	t.Helper()
	folder = filepath.Join("..", "..", "..", "..", "test", "js")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", library)); err != nil {
		testaid.Missing(t, "the JavaScript library "+library+" is not there; scripts/setup installs it: "+err.Error())
	}
	return testaid.Require(t, "node"), folder
}
