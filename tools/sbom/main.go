// Command sbom writes the bill of materials of a Go program as CycloneDX JSON,
// from what the compiler recorded in it: nothing is guessed from a source tree,
// and the same program gives the same bytes.
//
//	go run -C tools ./sbom -o FILE PROGRAM
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

func main() {
	out := flag.String("o", "", "write to this file")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(out string, args []string) error {
	if len(args) != 1 || out == "" {
		return errors.New("usage: sbom -o FILE PROGRAM")
	}
	program, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	bom, err := describe(program)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	var b bytes.Buffer
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// describe makes the bill of a program's bytes.
func describe(program []byte) (*cdx.BOM, error) {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return nil, fmt.Errorf("read what was built in: %w", err)
	}
	sum := sha256.Sum256(program)
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	self := module(&info.Main)
	self.Type = cdx.ComponentTypeApplication
	self.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	self.Properties = &[]cdx.Property{
		{Name: "go:platform", Value: settings["GOOS"] + "/" + settings["GOARCH"]},
		{Name: "go:vcs.revision", Value: settings["vcs.revision"]},
	}
	std := debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}
	parts := []cdx.Component{module(&std)}
	needs := []string{parts[0].BOMRef}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		parts = append(parts, module(dep))
		needs = append(needs, parts[len(parts)-1].BOMRef)
	}
	bom := cdx.NewBOM()
	bom.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, sum[:]).URN()
	bom.Metadata = &cdx.Metadata{Timestamp: settings["vcs.time"], Component: &self}
	bom.Components = &parts
	bom.Dependencies = &[]cdx.Dependency{{Ref: self.BOMRef, Dependencies: &needs}}
	return bom, nil
}

// module is a Go module as a component. A module's sum is the SHA-256 of the
// list of its files' sums, in base64 after "h1:".
func module(m *debug.Module) cdx.Component {
	url := "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	c := cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url}
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) == sha256.Size {
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}
	}
	return c
}
