package config_test

import (
	"strings"
	"testing"
	"time"

	"grapnel/internal/config"
)

func TestAssemble(t *testing.T) {
	t.Parallel()
	c := config.Serve()
	err := c.Assemble(func(setting string) ([]string, string) {
		switch setting {
		case "drain":
			return []string{"soon"}, "GRAPNEL_DRAIN"
		case "max-in-flight":
			return []string{"many"}, "flag"
		case "retention":
			return []string{"7d"}, "a.yaml:3"
		case "egress-allow":
			return []string{"10.0.0.0/8", "fd00::/8"}, "flag"
		}
		return nil, ""
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`--drain (from GRAPNEL_DRAIN): "soon" is not a time span`, `--max-in-flight: "many" is not a whole number`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %s", err, want)
		}
	}
	if c.Retention.Std() != 7*24*time.Hour || len(c.EgressAllow) != 2 || c.Drain != config.Serve().Drain {
		t.Errorf("%+v", c)
	}
}
