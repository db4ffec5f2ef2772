package egress

// CanonicalURL is the form of an endpoint's URL that is checked and dialled:
// host in lower-case ASCII (IDNA for names in other scripts) without a
// trailing dot, path and query percent-encoded where they must be. The error
// is a *hook.Error about the field "/url".
func CanonicalURL(raw string) (string, error) {
	t, err := parseTarget(raw)
	if err != nil {
		return "", err
	}
	return t.url.String(), nil
}

// DialNameServer is how the resolver of a client reaches a name server.
var DialNameServer = dialNameServer
