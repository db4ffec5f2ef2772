package manage

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"grapnel/internal/hook"
	"grapnel/internal/store"
)

// The form of a key that we make: keyPrefix, keyRandom base62 characters (190
// bits), and the CRC-32 of all that in keyCheck base62 characters, by which
// scanners of leaked secrets tell a key from anything else (case 102).
const (
	keyPrefix = "gk_"
	keyRandom = 32
	keyCheck  = 6
	base62    = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	keyHint      = 7 // characters of our own keys that are kept to recognise them by
	givenKeyHint = 4 // of a key that was made elsewhere, and may be shorter

	minGivenKey    = 16
	maxGivenKey    = 512
	maxKeyTenants  = 100
	maxKeysAtOnce  = 10_000
	adminKeyReason = "the admin key from the environment"
)

var scopes = []hook.Scope{hook.ScopePublish, hook.ScopeManage, hook.ScopeRead, hook.ScopeAdmin}

// KeyInput says what key to make.
type KeyInput struct {
	Tenants   []string // that it is bound to; none: all tenants
	Scopes    []hook.Scope
	Key       *hook.Secret // one to take over from elsewhere; nil: make one
	ExpiresAt *time.Time
	Keep      Keep[hook.Key]
}

// CreateKey makes a key, or takes over one that callers have already. Its
// text is to be shown this once.
func (m *Manager) CreateKey(ctx context.Context, in KeyInput) (*hook.Key, hook.Secret, error) {
	return m.createKeyUnless(ctx, in, func(time.Time) (bool, error) { return false, nil })
}

// createKeyUnless is CreateKey, and makes no key if there says that it is not needed:
// it is asked of the configuration that the change is made from.
func (m *Manager) createKeyUnless(ctx context.Context, in KeyInput, there func(now time.Time) (bool, error)) (*hook.Key, hook.Secret, error) {
	text, err := keyText(in.Key)
	if err != nil {
		return nil, "", err
	}
	var k *hook.Key
	err = m.commit(ctx, "create a key", func(now time.Time) (*store.Change, error) {
		k = nil
		if done, err := there(now); done || err != nil {
			return nil, err
		}
		if err := m.checkKey(in, now); err != nil {
			return nil, err
		}
		k = newKey(text, in.Key != nil, now)
		k.Tenants, k.Scopes = slices.Clone(in.Tenants), slices.Clone(in.Scopes)
		if in.ExpiresAt != nil {
			k.ExpiresAt = in.ExpiresAt.UTC().Truncate(time.Millisecond)
		}
		if _, taken := m.Directory.Key(k.Hash); taken {
			return nil, &hook.Error{Code: hook.CodeConflict, Field: "/key", Message: "this key is in use already"}
		}
		return in.Keep.join(&store.Change{Keys: []*hook.Key{k}}, k, text), nil
	})
	if err != nil || k == nil {
		return nil, "", err
	}
	m.Logger.Info("key created", "key_id", k.ID, "scopes", k.Scopes, "tenants", k.Tenants)
	return k, text, nil
}

func (m *Manager) checkKey(in KeyInput, now time.Time) error {
	err := checkKeyTerms(in, now, func(id string) bool { _, ok := m.Directory.Tenant(id); return ok })
	if err == nil && len(m.Directory.Keys()) >= maxKeysAtOnce {
		return hook.Errorf(hook.CodeConflict, "there are %d keys already, which is the limit: revoke some", maxKeysAtOnce)
	}
	return err
}

// checkKeyTerms checks what a key is to cover, where isTenant knows the tenants.
func checkKeyTerms(in KeyInput, now time.Time, isTenant func(id string) bool) error {
	if len(in.Scopes) == 0 {
		return hook.Invalid("/scopes", "is missing: want some of publish, manage, read, admin")
	}
	for i, s := range in.Scopes {
		if !slices.Contains(scopes, s) {
			return hook.Invalid(fmt.Sprintf("/scopes/%d", i), "%q is not a scope: want publish, manage, read or admin", hook.Clip(string(s)))
		}
		if slices.Contains(in.Scopes[:i], s) {
			return hook.Invalid(fmt.Sprintf("/scopes/%d", i), "%q is there twice", s)
		}
	}
	if len(in.Tenants) > 0 && slices.Contains(in.Scopes, hook.ScopeAdmin) {
		return hook.Invalid("/scopes", "an admin key covers all tenants: leave them out, or give it manage")
	}
	if len(in.Tenants) > maxKeyTenants {
		return hook.Invalid("/tenants", "holds %d tenants, at most %d are allowed", len(in.Tenants), maxKeyTenants)
	}
	for i, t := range in.Tenants {
		if !isTenant(t) {
			return hook.Invalid(fmt.Sprintf("/tenants/%d", i), "there is no tenant %q", hook.Clip(t))
		}
		if slices.Contains(in.Tenants[:i], t) {
			return hook.Invalid(fmt.Sprintf("/tenants/%d", i), "%q is there twice", hook.Clip(t))
		}
	}
	if in.ExpiresAt != nil && !in.ExpiresAt.After(now) {
		return hook.Invalid("/expires_at", "is in the past")
	}
	return nil
}

// RevokeKey ends a key at once. The last key that can make others stays.
func (m *Manager) RevokeKey(ctx context.Context, id string, terms Terms[hook.Key]) error {
	err := m.commitOr(ctx, terms.DryRun, "revoke a key", func(now time.Time) (*store.Change, error) {
		k, ok := m.Directory.KeyByID(id)
		if !ok {
			return nil, hook.Errorf(hook.CodeNotFound, "there is no key %q", hook.Clip(id))
		}
		if err := terms.check(k); err != nil {
			return nil, err
		}
		if isAdmin(k, now) && m.admins(now) == 1 {
			return nil, hook.Errorf(hook.CodeConflict, "this is the last admin key: make another one first")
		}
		revoked := *k
		revoked.Deleted = true
		return &store.Change{Keys: []*hook.Key{&revoked}}, nil
	})
	if err == nil && !terms.DryRun {
		m.Logger.Info("key revoked", "key_id", id)
	}
	return err
}

// EnsureAdmin makes sure that somebody can configure the server. A given key
// (from the environment) becomes an admin key if it is not yet. Without one,
// and only while there is no admin key, it makes one and returns it, to be
// shown this once. Of several servers that start at once on an empty store one makes it.
func (m *Manager) EnsureAdmin(ctx context.Context, given hook.Secret) (made hook.Secret, err error) {
	if given != "" {
		return "", m.adoptAdmin(ctx, given)
	}
	_, made, err = m.createKeyUnless(ctx, KeyInput{Scopes: []hook.Scope{hook.ScopeAdmin}}, func(now time.Time) (bool, error) { return m.admins(now) > 0, nil })
	return made, err
}

func (m *Manager) adoptAdmin(ctx context.Context, given hook.Secret) error {
	_, _, err := m.createKeyUnless(ctx, KeyInput{Key: &given, Scopes: []hook.Scope{hook.ScopeAdmin}}, func(now time.Time) (bool, error) {
		k, ok := m.Directory.Key(sha256.Sum256([]byte(given)))
		if ok && !isAdmin(k, now) {
			return false, hook.Errorf(hook.CodeConflict, "it is in use already for other scopes (key %s): choose another", k.ID)
		}
		return ok, nil
	})
	if err != nil {
		return fmt.Errorf("take over %s: %w", adminKeyReason, err)
	}
	return nil
}

// admins counts the keys that can make others.
func (m *Manager) admins(now time.Time) int {
	n := 0
	for _, k := range m.Directory.Keys() {
		if isAdmin(k, now) {
			n++
		}
	}
	return n
}

func isAdmin(k *hook.Key, now time.Time) bool {
	return slices.Contains(k.Scopes, hook.ScopeAdmin) && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

func newKey(text hook.Secret, given bool, now time.Time) *hook.Key {
	hint := keyHint
	if given {
		hint = givenKeyHint
	}
	return &hook.Key{
		ID: hook.NewID("key_"), Hash: sha256.Sum256([]byte(text)), Hint: strings.ToValidUTF8(string(text)[:hint], ""), CreatedAt: now,
	}
}

// keyText checks a key from elsewhere, or makes one.
func keyText(given *hook.Secret) (hook.Secret, error) {
	if given == nil {
		return newKeyText(), nil
	}
	s := string(*given)
	switch {
	case len(s) < minGivenKey || len(s) > maxGivenKey:
		return "", hook.Invalid("/key", "has %d bytes; a key has %d to %d", len(s), minGivenKey, maxGivenKey)
	case !utf8.ValidString(s):
		return "", hook.Invalid("/key", "is not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", hook.Invalid("/key", "holds a control character, such as a line break")
	case strings.TrimSpace(s) != s:
		return "", hook.Invalid("/key", "begins or ends with white space, which would be lost on the way")
	}
	return *given, nil
}

func newKeyText() hook.Secret {
	b := make([]byte, 0, len(keyPrefix)+keyRandom+keyCheck)
	b = append(b, keyPrefix...)
	var random [2 * keyRandom]byte
	for len(b) < len(keyPrefix)+keyRandom {
		rand.Read(random[:])
		for _, r := range random {
			// 248 is the greatest multiple of 62 that a byte can hold: what lies
			// above would make some characters more likely.
			if r < 248 && len(b) < len(keyPrefix)+keyRandom {
				b = append(b, base62[r%62])
			}
		}
	}
	return hook.Secret(appendCheck(b))
}

func appendCheck(b []byte) []byte {
	sum := crc32.ChecksumIEEE(b)
	check := make([]byte, keyCheck)
	for i := range check {
		check[keyCheck-1-i] = base62[sum%62]
		sum /= 62
	}
	return append(b, check...)
}
