package main

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"grapnel/client"
)

// attemptCurl is a shell command that sends the request of an attempt again, byte
// for byte, with the headers in their order. missing are the headers whose
// values the server does not tell.
func attemptCurl(a *client.Attempt, body *client.Body) (command string, missing []string, err error) {
	if body == nil {
		return "", nil, fail(exitNotFound, "what the dialect or the endpoint is like has changed since", "the body that was sent cannot be made again")
	}
	raw, err := body.Bytes()
	if err != nil {
		return "", nil, fail(exitFailure, "", "the server's answer holds a body that cannot be read: %w", err)
	}
	parts := []string{"curl -sS -g --path-as-is -X " + shellQuote(a.Request.Method) + " " + shellQuote(a.Request.URL)}
	own := map[string]bool{"accept": false, "user-agent": false, "content-type": false} // what curl sends unasked
	for _, h := range a.Request.Headers {
		name := strings.ToLower(h.Name)
		switch name {
		case "host", "content-length", "connection", "transfer-encoding":
			continue // curl makes them
		}
		own[name] = true
		if h.Value == "[secret]" {
			missing = append(missing, h.Name)
		}
		line := h.Name + ": " + h.Value
		if h.Value == "" {
			line = h.Name + ";" // how curl wants an empty one
		}
		parts = append(parts, "-H "+shellQuote(line))
	}
	for _, name := range []string{"accept", "user-agent", "content-type"} {
		if !own[name] {
			parts = append(parts, "-H "+shellQuote(name+":")) // leaves it out
		}
	}
	if len(raw) <= maxCurlBody && printable(raw) {
		parts = append(parts, "--data-raw "+shellQuote(string(raw)))
		return strings.Join(parts, " \\\n  "), missing, nil
	}
	parts = append(parts, "--data-binary @-")
	return "printf %s " + shellQuote(base64.StdEncoding.EncodeToString(raw)) + " | base64 -d | " + strings.Join(parts, " \\\n  "), missing, nil
}

// printable reports whether a body can stand in a command as it is: text with
// nothing in it that a terminal or a shell would take for something else.
func printable(b []byte) bool {
	return utf8.Valid(b) && !strings.ContainsFunc(string(b), func(r rune) bool { return hostile(r) && r != '\n' && r != '\t' })
}
