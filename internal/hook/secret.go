package hook

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is the clear text of a secret. It hides itself from logs, errors and
// JSON; only a plain conversion to string shows it.
type Secret string

const redacted = "[secret]"

// Format hides the secret whatever the verb is: fmt shows the text itself for one that
// does not fit a string, such as %d, without asking for String.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String hides the secret.
func (Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return redacted }

// MarshalText hides the secret from JSON and other encodings.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
