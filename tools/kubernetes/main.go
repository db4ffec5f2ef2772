// Command kubernetes reads manifests from standard input and decodes each
// strictly as what it says it is, by Kubernetes' own types: a field that does
// not exist, stands twice or has another form is an error.
//
//	helm template … | go run .
//
// It is a module of its own, with Helm as its tool, for both are large:
// scripts/chart uses them when the chart has changed, and no test waits for them.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	syaml "sigs.k8s.io/yaml"
)

// foreign are kinds that Kubernetes does not know by itself.
var foreign = map[string]bool{"ServiceMonitor": true}

func main() {
	n, err := check(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "%d manifests are well-formed\n", n)
}

func check(in io.Reader) (n int, err error) {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for docs := yaml.NewYAMLReader(bufio.NewReader(in)); ; {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		var head struct{ Kind string }
		if err := syaml.Unmarshal(doc, &head); err != nil {
			return n, err
		}
		if head.Kind == "" {
			continue // comments alone
		}
		if !foreign[head.Kind] {
			if _, _, err := decoder.Decode(doc, nil, nil); err != nil {
				return n, fmt.Errorf("%s: %w", head.Kind, err)
			}
		}
		n++
	}
}
