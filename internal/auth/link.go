package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/hook"
)

// linkPrefix begins the token of a portal link.
const linkPrefix = "gp_"

// linkPurpose is authenticated with each token, so that nothing else that the
// same key may sign is one.
const linkPurpose = "grapnel portal link 1\x00"

// Links is what portal links are made and recognised with. Their tokens are
// stored nowhere: a token says whose it is and until when, under a MAC. One
// algorithm, one purpose, and no choice of either in the token (case 103).
type Links struct {
	// Secrets authenticate tokens, the first one those that are made; the same on
	// all servers and after a restart.
	Secrets [][]byte
	Known   LinkRecords
}

// LinkRecords are what a portal link rests on. The directory has them.
type LinkRecords interface {
	KeyByID(id string) (*hook.Key, bool)
	TenantByNum(num hook.TenantNum) (*hook.Tenant, bool)
}

// Link is what a portal link says.
type Link struct {
	ID        string // begins with pl_, and names it in logs
	Tenant    hook.TenantNum
	Maker     string // id of the key that made it, with which it ends
	ExpiresAt time.Time
}

// MakeLink makes a portal link for the people of a tenant: its token is a
// credential for the tenant's own endpoints and deliveries. It ends at its time,
// with the key that it was made with, with the tenant, and with all links of the
// tenant (hook.Tenant.LinkEpoch). p is who makes it, and has to manage the tenant.
func (a *Authenticator) MakeLink(p *Principal, t *hook.Tenant, lifetime time.Duration) (Link, hook.Secret, error) {
	if a.links == nil {
		return Link{}, "", hook.Errorf(hook.CodeInternal, "portal links are not set up")
	}
	if err := p.May(hook.ScopeManage, t.ID); err != nil {
		return Link{}, "", err
	}
	l := Link{ID: hook.NewID("pl_"), Tenant: t.Num, Maker: p.KeyID(), ExpiresAt: time.Now().Add(lifetime).UTC().Truncate(time.Second)}
	text := strings.Join([]string{
		l.ID, l.Maker, strconv.FormatInt(int64(l.Tenant), 10), strconv.FormatInt(t.LinkEpoch, 10), strconv.FormatInt(l.ExpiresAt.Unix(), 10),
	}, " ")
	token := append([]byte(text), linkMAC(a.links.Secrets[0], text)...)
	return l, hook.Secret(linkPrefix + base64.RawURLEncoding.EncodeToString(token)), nil
}

func linkMAC(secret []byte, text string) []byte {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(linkPurpose))
	m.Write([]byte(text))
	return m.Sum(nil)
}

// byLink recognises the holder of a portal link. ok is false for what is no token
// of ours: a key from elsewhere may begin like one.
func (a *Authenticator) byLink(token string, now time.Time) (p *Principal, ok bool, err error) {
	if a.links == nil {
		return nil, false, nil
	}
	encoded, ok := strings.CutPrefix(token, linkPrefix)
	if !ok {
		return nil, false, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) <= sha256.Size {
		return nil, false, nil
	}
	text, mac := string(b[:len(b)-sha256.Size]), b[len(b)-sha256.Size:]
	genuine := false
	for _, secret := range a.links.Secrets {
		genuine = hmac.Equal(mac, linkMAC(secret, text)) || genuine
	}
	if !genuine {
		return nil, false, nil
	}
	p, err = a.linked(text, now)
	return p, true, err
}

// linked holds what a genuine token says against what is so now.
func (a *Authenticator) linked(text string, now time.Time) (*Principal, error) {
	var l Link
	var epoch, until int64
	if _, err := fmt.Sscanf(text, "%s %s %d %d %d", &l.ID, &l.Maker, &l.Tenant, &epoch, &until); err != nil {
		return nil, fmt.Errorf("read a portal link: %w", err)
	}
	l.ExpiresAt = time.Unix(until, 0).UTC()
	if !now.Before(l.ExpiresAt) {
		return nil, hook.Errorf(hook.CodeUnauthorized, "this portal link expired at %s: ask for a new one", l.ExpiresAt.Format(time.RFC3339))
	}
	t, ok := a.links.Known.TenantByNum(l.Tenant)
	if !ok || t.Deleted || t.LinkEpoch != epoch {
		return nil, hook.Errorf(hook.CodeUnauthorized, endedLink)
	}
	maker, ok := a.links.Known.KeyByID(l.Maker)
	if !ok || maker.Deleted || expired(maker, now) {
		return nil, hook.Errorf(hook.CodeUnauthorized, endedLink)
	}
	if (&Principal{key: maker}).May(hook.ScopeManage, t.ID) != nil { // its rights have been narrowed since
		return nil, hook.Errorf(hook.CodeUnauthorized, endedLink)
	}
	return &Principal{
		key:  &hook.Key{ID: l.ID, Hint: maker.Hint, Tenants: []string{t.ID}, Scopes: []hook.Scope{hook.ScopePortal}, ExpiresAt: l.ExpiresAt},
		link: true,
	}, nil
}

const endedLink = "this portal link has been ended: ask for a new one"

func expired(k *hook.Key, now time.Time) bool {
	return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)
}
