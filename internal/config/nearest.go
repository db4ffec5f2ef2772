package config

import (
	"slices"
	"strings"

	"grapnel/internal/spelling"
)

// MistypedEnv finds the variables of an environment ("NAME=value" each) that
// are meant for the server and misspelt: those that begin with GRAPNEL_, are
// none of known, and are like one of them. Others with that beginning are left
// alone: Kubernetes makes some for a service of the name grapnel.
func MistypedEnv(environ, known []string) []*Error {
	var out []*Error
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "GRAPNEL_") || slices.Contains(known, name) {
			continue
		}
		bare := make([]string, len(known))
		for i, k := range known {
			bare[i] = strings.TrimPrefix(k, "GRAPNEL_")
		}
		if near := spelling.Nearest(strings.TrimPrefix(name, "GRAPNEL_"), bare); near != "" {
			out = append(out, &Error{Setting: name, Source: name, Reason: "is no setting, and changes nothing", Remedy: "did you mean GRAPNEL_" + near + "?"})
		}
	}
	return out
}
