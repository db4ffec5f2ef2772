package directory

import "grapnel/internal/hook"

func (p *packer) auth(a *hook.EndpointAuth) {
	p.text(string(a.Type))
	p.text(a.Name)
	p.text(string(a.Sealed))
	p.text(a.TokenURL)
	p.text(a.Scope)
	p.text(a.Audience)
	var inBody uint64
	if a.InBody {
		inBody = 1
	}
	p.uint(inBody)
}

func (u *unpacker) auth() *hook.EndpointAuth {
	return &hook.EndpointAuth{
		Type: hook.AuthType(u.text()), Name: u.text(), Sealed: hook.Sealed(u.text()), TokenURL: u.text(), Scope: u.text(), Audience: u.text(), InBody: u.uint() == 1,
	}
}
