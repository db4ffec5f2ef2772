package auth

import "grapnel/internal/hook"

// Actor is the caller as the audit log names it.
func (p *Principal) Actor() hook.Actor {
	return hook.Actor{Kind: hook.ActorKey, KeyID: p.key.ID, KeyName: p.key.Hint}
}
