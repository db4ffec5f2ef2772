package why

// classRemedies say what the endpoint's owner can do about an attempt without an answer,
// by its class, as egress names them.
var classRemedies = map[string]string{
	"request":         "Correct the endpoint's URL or its headers.",
	"blocked":         "Give the endpoint a public address. If it is one of your own network, the operator opens its range with --egress-allow.",
	"dns":             "See that the name of the endpoint's URL exists and its name servers answer.",
	"refused":         "See that the receiver runs and listens on the port in the endpoint's URL.",
	"connect":         "See that the receiver's host can be reached from outside.",
	"timeout_connect": "See that a firewall lets the requests in: they come from the address that this server has outside.",
	"timeout_tls":     "See that the port in the endpoint's URL speaks TLS.",
	"timeout_write":   "See that the receiver reads its requests, and whether a proxy before it holds them up.",
	"timeout_header":  "Have the receiver answer at once and do its work afterwards.",
	"timeout_body":    "Have the receiver end its answer.",
	"tls":             "Renew or correct the receiver's certificate: it must be valid for the name in the URL, with its whole chain.",
	"reset":           "See why the receiver, or a proxy before it, closes the connection: its log at this time says it.",
	"auth":            "Correct the endpoint's auth: its token_url, client id and secret, or scope.",
	"protocol":        "See that the endpoint's URL leads to an HTTP server.",
}

// mendEndpoint is what the owner of the endpoint can do about the last attempt.
func (f *Facts) mendEndpoint() string {
	if f.Last == nil {
		return "See that the receiver answers."
	}
	if f.Last.Class != "" {
		if remedy, ok := classRemedies[f.Last.Class]; ok {
			return remedy
		}
		return "Nothing is to be done at the receiver."
	}
	switch s := f.Last.Status; {
	case s >= 200 && s < 300:
		return "Have the receiver answer as the contract wants it."
	case s >= 300 && s < 400:
		return "Set the endpoint's URL to where the redirect leads."
	case s == 401, s == 403:
		return "See that the receiver lets the request in: its secret for the signature, and what it asks for besides."
	case s == 404, s == 405, s == 410:
		return "See that the path in the endpoint's URL is the receiver's, and takes this method."
	case s == 413:
		return "Have the receiver, or the proxy before it, take larger bodies."
	case s == 429:
		return "Give the endpoint a rate_limit that the receiver can keep up with."
	case s >= 500:
		return "Look into the receiver's log at this time: it broke while it handled the request."
	}
	return "Look into the receiver's log at this time: it did not take the request as it was."
}
