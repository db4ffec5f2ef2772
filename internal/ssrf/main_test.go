package ssrf_test

import (
	"testing"

	"grapnel/internal/convert"
)

func TestMain(m *testing.M) {
	convert.Child() // servers run converters in children
	m.Run()
}
