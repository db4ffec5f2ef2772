package codec

import "grapnel/internal/hook"

func (d *document) auth() *hook.EndpointAuth {
	a := new(hook.EndpointAuth)
	d.members(func(name string) {
		switch name {
		case "Type":
			a.Type = hook.AuthType(d.text())
		case "Name":
			a.Name = d.text()
		case "Sealed":
			a.Sealed = hook.Sealed(d.text())
		case "TokenURL":
			a.TokenURL = d.text()
		case "Scope":
			a.Scope = d.text()
		case "Audience":
			a.Audience = d.text()
		case "InBody":
			a.InBody = d.bool()
		default:
			d.fail()
		}
	})
	return a
}

func (d *document) tls() *hook.EndpointTLS {
	t := new(hook.EndpointTLS)
	d.members(func(name string) {
		switch name {
		case "Certificate":
			t.Certificate = d.text()
		case "Key":
			t.Key = hook.Sealed(d.text())
		case "CA":
			t.CA = d.text()
		default:
			d.fail()
		}
	})
	return t
}
