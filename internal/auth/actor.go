package auth

import "grapnel/internal/hook"

// Actor is the caller as the audit log names it. A portal link has the name of the
// key that it was made with.
func (p *Principal) Actor() hook.Actor {
	kind := hook.ActorKey
	if p.link {
		kind = hook.ActorPortal
	}
	return hook.Actor{Kind: kind, KeyID: p.key.ID, KeyName: p.key.Hint}
}
