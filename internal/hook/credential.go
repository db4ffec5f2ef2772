package hook

// Hidden stands where the value of a credential was.
const Hidden = redacted

// credentials are the words by which the name of a header says that its value
// is a credential.
var credentials = [...]string{"authorization", "token", "secret", "password", "api-key", "apikey", "credential"}

// Confidential reports whether a header's value is a credential of the receiver,
// by its name: one that holds a word such as token, or Cookie.
func Confidential[T string | []byte](name T) bool {
	if len(name) == len("cookie") && beginsWith(name, "cookie") {
		return true
	}
	for i := range len(name) {
		for _, word := range &credentials {
			if lower(name[i]) == word[0] && beginsWith(name[i:], word) {
				return true
			}
		}
	}
	return false
}

// beginsWith compares without regard to case. word is in lower case.
func beginsWith[T string | []byte](text T, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if lower(text[i]) != word[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
