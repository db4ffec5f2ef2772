package hook

// AuthType is a way in which requests say to an endpoint who sends them, beside their
// signature.
type AuthType string

// The ways.
const (
	AuthBasic  AuthType = "basic"  // a user name and a password (RFC 7617)
	AuthBearer AuthType = "bearer" // a token that does not change (RFC 6750)
	AuthOAuth2 AuthType = "oauth2" // a token got by client credentials (RFC 6749, section 4.4)
)

// EndpointAuth is what the Authorization header of an endpoint's requests is made of.
type EndpointAuth struct {
	Type AuthType
	Name string // of basic the user, of oauth2 the client's id
	// Sealed is the password, the token, or the client's secret.
	Sealed Sealed

	// The rest is of oauth2.
	TokenURL string // as it was given
	Scope    string // "": none is asked for
	Audience string // "": none is named
	InBody   bool   // id and secret go in the body of the token request, not in its Authorization header
}

// EndpointTLS is what connections to an endpoint are made with, instead of what all are.
// Both parts are PEM texts without anything but their blocks.
type EndpointTLS struct {
	Certificate string // chain, the tenant's own first; "": none is shown
	Key         Sealed // of the first certificate, PKCS #8 in PEM
	CA          string // authorities that the endpoint's certificate must come from; "": the system's
}
