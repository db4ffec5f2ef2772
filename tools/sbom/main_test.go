package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// This test's own program is one with modules built in.
func bill(t *testing.T) []byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "bom.json")
	if err := run(file, []string{path}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The schema is the one that CycloneDX publishes; its Go library carries it.
func TestBillIsValid(t *testing.T) {
	t.Parallel()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	const at = "http://cyclonedx.org/schema/"
	c := jsonschema.NewCompiler()
	for url, file := range map[string]string{
		at + "bom-1.6.schema.json": "bom-1.6.schema.json", at + "spdx.schema.json": "spdx.schema.json",
		at + "jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "schema", file))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(url, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(at + "bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(b []byte) error {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(doc)
	}
	b := bill(t)
	if err := validate(b); err != nil {
		t.Error(err)
	}
	if validate(bytes.Replace(b, []byte(`"library"`), []byte(`"libary"`), 1)) == nil {
		t.Error("a wrong bill is valid, so the schema checks nothing")
	}
}

func TestBillNamesWhatIsBuiltIn(t *testing.T) {
	t.Parallel()
	b := bill(t)
	if !bytes.Equal(b, bill(t)) {
		t.Error("the same program gives another bill")
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(b), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, c := range *bom.Components {
		found[c.Name] = c.Version
	}
	if found["github.com/CycloneDX/cyclonedx-go"] != "v0.12.0" || found["std"] == "" {
		t.Errorf("%v", found)
	}
}
