package dialect

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/net/http/httpguts"

	"grapnel/internal/hook"
)

// The limits of headers that are not the contract's.
const (
	maxHeaders     = 32
	maxHeaderName  = 128
	maxHeaderValue = 4096
)

// reserved headers say how a request travels, or what it means to the
// receiver: the server and the dialect set them. A request with an idempotency
// header would be sent again by net/http without
// anybody knowing (case 75); the last says that it is a delivery (case 92).
var reserved = []string{
	"host", "content-length", "transfer-encoding", "connection", "keep-alive", "expect", "upgrade", "te", "trailer",
	"http2-settings", "content-type", "content-encoding", "accept-encoding", "user-agent", "signature", "signature-input", "content-digest",
	"idempotency-key", "x-idempotency-key", "grapnel-hop",
}

// reservedPrefixes are reserved with all that begins with them, but for those
// of webhooks where the dialect signs whatever begins so.
var (
	reservedPrefixes = []string{"proxy-"}
	webhookPrefixes  = []string{"webhook-", "x-webhook-"}
)

// CheckExtra refuses headers of an endpoint's that could not be sent as they are, or
// that are not the endpoint's to set (case 75). The errors point into /headers.
func (d *Dialect) CheckExtra(headers []hook.Header) error {
	if len(headers) > maxHeaders {
		return hook.Invalid("/headers", "holds %d headers, at most %d are allowed", len(headers), maxHeaders)
	}
	seen := make(map[string]bool, len(headers))
	for _, h := range headers {
		at := string(jsontext.Pointer("/headers").AppendToken(h.Name))
		lower := strings.ToLower(h.Name)
		switch {
		case len(h.Name) > maxHeaderName:
			return hook.Invalid("/headers", "a name has %d characters, at most %d are allowed", len(h.Name), maxHeaderName)
		case !httpguts.ValidHeaderFieldName(h.Name):
			return hook.Invalid("/headers", "%s is not a header name: letters, digits and !#$%%&'*+-.^_`|~ are allowed", strconv.QuoteToASCII(h.Name))
		case seen[lower]:
			return hook.Invalid(at, "is there twice; case does not count")
		case isReserved(lower), begins(lower, webhookPrefixes) && !d.SignsHeader(h.Name), d.Sends(h.Name):
			return hook.Invalid(at, "is reserved: the server sets it, or it would change how the request is sent")
		case len(h.Value) > maxHeaderValue:
			return hook.Invalid(at, "has %d bytes, at most %d are allowed", len(h.Value), maxHeaderValue)
		case !httpguts.ValidHeaderFieldValue(h.Value):
			return hook.Invalid(at, "holds a control character, such as a line break")
		case strings.Trim(h.Value, " \t") != h.Value:
			return hook.Invalid(at, "begins or ends with white space, which would not arrive")
		}
		seen[lower] = true
	}
	return nil
}

func isReserved(lower string) bool {
	return slices.Contains(reserved, lower) || begins(lower, reservedPrefixes)
}

func begins(lower string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(lower, p) })
}
