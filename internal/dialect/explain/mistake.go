package explain

import (
	"maps"
	"slices"
)

// Kind names a known mistake.
type Kind string

// The mistakes.
const (
	MissingHeader     Kind = "missing_header"     // a header of the signature is not there
	MissingID         Kind = "missing_id"         // the one with the event's id
	HeaderName        Kind = "header_name"        // headers have other names: HTTP_WEBHOOK_ID, svix-id
	HeaderRepeated    Kind = "header_repeated"    // a header came several times
	HeaderArray       Kind = "header_array"       // a value was written as a list, or in quotes
	HeaderCase        Kind = "header_case"        // the names came in another case, where the case is signed
	HeaderAdded       Kind = "header_added"       // one came that was not signed, where all of its kind are
	URLChanged        Kind = "url_changed"        // the URL is another one, where it is signed
	WrongHash         Kind = "wrong_hash"         // SHA-1 instead of SHA-256, or the like
	TimestampUnit     Kind = "timestamp_unit"     // not in seconds
	TimestampOld      Kind = "timestamp_old"      // older than allowed
	TimestampAhead    Kind = "timestamp_ahead"    // further ahead than allowed
	SignatureEncoding Kind = "signature_encoding" // the signature is written in another way
	SecretPrefixKept  Kind = "secret_prefix_kept" // the secret's text with its prefix is the key
	SecretAsText      Kind = "secret_as_text"     // the text behind the prefix is the key, not decoded
	SecretDecoded     Kind = "secret_decoded"     // base64 was decoded where the text is the key
	SecretPrefixLost  Kind = "secret_prefix_lost" // the right key, its prefix not there
	SecretBase64URL   Kind = "secret_base64url"   // the right key, written in base64url
	SecretHex         Kind = "secret_hex"         // the key is read as hex
	SecretLineBreak   Kind = "secret_line_break"  // a line break belongs to the key
	SecretQuotes      Kind = "secret_quotes"      // the secret is written in quotes, which are no part of it
	OldSecret         Kind = "old_secret"         // another one than the first secret given
	JSONCompact       Kind = "json_compact"       // the body was written anew; signed was the compact form
	JSONPretty        Kind = "json_pretty"        // the same; signed was an indented form
	JSONSpaced        Kind = "json_spaced"        // the same; signed was a form with spaces behind , and :
	JSONSorted        Kind = "json_sorted"        // the same; signed was a form with sorted keys
	JSONOrder         Kind = "json_order"         // the same; signed was the contract's order of keys
	JSONEscapes       Kind = "json_escapes"       // the same; signed was a form with other escapes
	JSONNumbers       Kind = "json_numbers"       // the same; signed were other digits, such as 1.0 for 1
	JSONEmpty         Kind = "json_empty"         // the same; {} became [], or the other way round
	NewlineAdded      Kind = "newline_added"      // the body has a line break at its end that was not signed
	NewlineRemoved    Kind = "newline_removed"    // the body lacks the line break at its end
	LineEndings       Kind = "line_endings"       // CRLF became LF, or the other way round
	ByteOrderMark     Kind = "byte_order_mark"    // a BOM was added or removed
	Base64Body        Kind = "base64_body"        // the body was base64-encoded, or decoded
	QuotedBody        Kind = "quoted_body"        // the body is a JSON text that holds the body
	Charset           Kind = "charset"            // bytes were taken for Latin-1 and written as UTF-8
	EmptyBody         Kind = "empty_body"         // there is no body
)

const rawBody = "verify the bytes that came over the wire, before anything parses them (a raw-body parser, request.body, io.ReadAll), and do not write the body anew"

// advice says what to do about a mistake.
var advice = map[Kind]string{
	MissingHeader:     "pass all headers of the request on to the verifier; look at what the proxy or gateway before the receiver removes",
	MissingID:         "pass the header with the event's id on as well: it is part of what is signed",
	HeaderName:        "give the verifier the headers under the names that they came with",
	HeaderRepeated:    "remove what adds the header a second time, most often a proxy",
	HeaderArray:       "hand on the value of the header as a plain text, not as a list or in quotes",
	HeaderCase:        "take the names in the case in which they were sent: over HTTP/1.1, before anything rewrites them (HTTP/2 and many frameworks put them into lower case), or write them as the contract's documents do before signing",
	HeaderAdded:       "let the proxy before the receiver add its headers under names that begin in another way: the contract signs all that begin so",
	URLChanged:        "give the verifier the URL that the sender has stored, whole, as it is; not the one that a proxy passes on",
	WrongHash:         "use the hash that the contract says",
	TimestampUnit:     "send the timestamp as the contract wants it, and sign the same text",
	TimestampOld:      "set the receiver's clock (NTP) if it is ahead; else this is an old request sent again, and refusing it is right. A redelivery by Grapnel has a new timestamp. With --at a stored request is checked as of its own time",
	TimestampAhead:    "set the receiver's clock (NTP): it is behind the sender's",
	SignatureEncoding: "write the signature as the contract says",
	SecretPrefixKept:  "take the prefix off the secret and decode the rest from base64: those bytes are the key",
	SecretAsText:      "decode what follows the prefix from base64: those bytes are the key",
	SecretDecoded:     "use the secret's text as the key, as it is",
	SecretPrefixLost:  "use the whole secret, with the prefix that the sender shows",
	SecretBase64URL:   "write the secret in standard base64, with + and / instead of - and _ and with its padding",
	SecretHex:         "do not decode the secret from hex: use it as the sender shows it",
	SecretLineBreak:   "cut the line break off after reading the secret from its file or variable",
	SecretQuotes:      "take the quotes off the secret: they belong to the file or the variable that it stands in",
	OldSecret:         "the sender signs with another secret than the first one given: let the receiver use that one, or wait until the rotation is through on both sides",
	JSONCompact:       rawBody,
	JSONPretty:        rawBody,
	JSONSpaced:        rawBody,
	JSONSorted:        rawBody,
	JSONOrder:         rawBody,
	JSONEscapes:       rawBody,
	JSONNumbers:       rawBody,
	JSONEmpty:         rawBody,
	NewlineAdded:      "do not add a line break to the body (an editor, echo and here-documents do); verify exactly the bytes that came",
	NewlineRemoved:    "do not trim the body; verify exactly the bytes that came",
	LineEndings:       "read and store the body in binary mode, without changing line ends",
	ByteOrderMark:     "keep the body's first bytes as they are, with a byte order mark only if one came",
	Base64Body:        "on gateways that hand the body over in base64 (isBase64Encoded), decode it before verifying, and only then",
	QuotedBody:        "verify the body itself, not a JSON text that holds it",
	Charset:           "handle the body as bytes; if it must become a text, read it as UTF-8",
	EmptyBody:         "something has read the body before the verifier: read it once, keep the bytes, and give them to both",
}

// Kinds are all known mistakes, sorted.
func Kinds() []Kind { return slices.Sorted(maps.Keys(advice)) }
