package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"
	cdx "github.com/CycloneDX/cyclonedx-go"
)

// modulePackage is the crate from which sluice.wasm is built.
const modulePackage = "sluice-module"

// workspace is cargo's metadata of the workspace's crates.
type workspace struct {
	packages map[string]cratePackage
	// edges are the ids of the crates with which each crate is linked.
	edges map[string][]string
	// checksums are from Cargo.lock, SHA-256 in hex, by name and version. Crates of the workspace have none.
	checksums map[string]string
	module    cratePackage
}

// cratePackage is a package of `cargo metadata`.
type cratePackage struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Version     string  `json:"version"`
	License     string  `json:"license"`
	Description string  `json:"description"`
	Source      *string `json:"source"`
	Targets     []struct {
		Kind []string `json:"kind"`
	} `json:"targets"`
}

// isMacro tells whether the compiler runs the crate; then the module has no code of it.
func (p cratePackage) isMacro() bool {
	return slices.ContainsFunc(p.Targets, func(target struct {
		Kind []string `json:"kind"`
	}) bool {
		return slices.Contains(target.Kind, "proc-macro")
	})
}

func (p cratePackage) url() string {
	return "pkg:cargo/" + p.Name + "@" + p.Version
}

// readWorkspace asks cargo for the crates of the module as they are built, and takes their checksums from Cargo.lock.
func readWorkspace(root string) (workspace, error) {
	command := exec.Command("cargo", "metadata", "--format-version", "1", "--locked",
		"--filter-platform", "wasm32-unknown-unknown", "--manifest-path", filepath.Join(root, "Cargo.toml"))
	command.Stderr = os.Stderr
	output, err := command.Output()
	if err != nil {
		return workspace{}, fmt.Errorf("cargo metadata: %w", err)
	}
	var metadata struct {
		Packages []cratePackage `json:"packages"`
		Resolve  struct {
			Nodes []struct {
				ID   string `json:"id"`
				Deps []struct {
					Package string `json:"pkg"`
					Kinds   []struct {
						Kind *string `json:"kind"`
					} `json:"dep_kinds"`
				} `json:"deps"`
			} `json:"nodes"`
		} `json:"resolve"`
	}
	if err := json.Unmarshal(output, &metadata); err != nil {
		return workspace{}, fmt.Errorf("what cargo metadata says: %w", err)
	}
	found := workspace{packages: map[string]cratePackage{}, edges: map[string][]string{}}
	for _, crate := range metadata.Packages {
		found.packages[crate.ID] = crate
		if crate.Name == modulePackage {
			found.module = crate
		}
	}
	if found.module.ID == "" {
		return workspace{}, fmt.Errorf("%s is not in the workspace: has the module's crate another name now?", modulePackage)
	}
	for _, node := range metadata.Resolve.Nodes {
		for _, dependency := range node.Deps {
			for _, kind := range dependency.Kinds {
				// Normal dependencies have no kind; the others are for builds and tests.
				if kind.Kind == nil {
					found.edges[node.ID] = append(found.edges[node.ID], dependency.Package)
					break
				}
			}
		}
	}
	found.checksums, err = lockedChecksums(filepath.Join(root, "Cargo.lock"))
	return found, err
}

func lockedChecksums(path string) (map[string]string, error) {
	var lock struct {
		Package []struct{ Name, Version, Checksum string }
	}
	if _, err := toml.DecodeFile(path, &lock); err != nil {
		return nil, err
	}
	checksums := map[string]string{}
	for _, crate := range lock.Package {
		checksums[crate.Name+" "+crate.Version] = crate.Checksum
	}
	return checksums, nil
}

func (w workspace) version() string {
	return w.module.Version
}

// labels are the image's labels, with names from the OCI image specification, "Pre-Defined Annotation Keys".
func (w workspace) labels(revision string) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       "sluice",
		"org.opencontainers.image.description": "A gate for telemetry: OTLP over mutual TLS, as a WebAssembly module for Envoy.",
		"org.opencontainers.image.licenses":    w.module.License,
		"org.opencontainers.image.version":     w.version(),
	}
	if revision != "" {
		labels["org.opencontainers.image.revision"] = revision
	}
	return labels
}

// linked returns the ids of the crates whose code is in the module, the module's own crate first, the others by name.
func (w workspace) linked() []string {
	seen := map[string]bool{w.module.ID: true}
	for next := []string{w.module.ID}; len(next) > 0; next = next[1:] {
		for _, id := range w.edges[next[0]] {
			if !seen[id] && !w.packages[id].isMacro() {
				seen[id] = true
				next = append(next, id)
			}
		}
	}
	delete(seen, w.module.ID)
	ids := slices.SortedFunc(maps.Keys(seen), func(one, other string) int {
		return bytes.Compare([]byte(w.packages[one].url()), []byte(w.packages[other].url()))
	})
	return append([]string{w.module.ID}, ids...)
}

// billOfMaterials is a CycloneDX document of the crates in the module. It has no time and no serial number, because
// these would differ in every build.
func (w workspace) billOfMaterials(module []byte) ([]byte, error) {
	document := cdx.NewBOM()
	ids := w.linked()
	var components []cdx.Component
	var dependencies []cdx.Dependency
	for _, id := range ids {
		crate := w.packages[id]
		component := cdx.Component{
			Type: cdx.ComponentTypeLibrary, BOMRef: crate.url(), Name: crate.Name, Version: crate.Version,
			Description: crate.Description, PackageURL: crate.url(),
		}
		if crate.License != "" {
			component.Licenses = &cdx.Licenses{{Expression: crate.License}}
		}
		if checksum := w.checksums[crate.Name+" "+crate.Version]; checksum != "" {
			component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: checksum}}
		} else if crate.Source != nil {
			return nil, fmt.Errorf("Cargo.lock has no checksum of %s %s", crate.Name, crate.Version)
		}
		var on []string
		for _, dependency := range w.edges[id] {
			if slices.Contains(ids, dependency) {
				on = append(on, w.packages[dependency].url())
			}
		}
		slices.Sort(on)
		on = slices.Compact(on)
		dependencies = append(dependencies, cdx.Dependency{Ref: crate.url(), Dependencies: &on})
		components = append(components, component)
	}
	if len(components) < 2 {
		return nil, errors.New("the module is linked with nothing, which cannot be")
	}
	root := components[0]
	root.Type = cdx.ComponentTypeApplication
	root.Name = "sluice.wasm"
	root.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sha256.Sum256(module))}}
	document.Metadata = &cdx.Metadata{Component: &root}
	rest := components[1:]
	document.Components = &rest
	document.Dependencies = &dependencies
	var text bytes.Buffer
	encoder := cdx.NewBOMEncoder(&text, cdx.BOMFileFormatJSON).SetPretty(true)
	if err := encoder.EncodeVersion(document, cdx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("the bill of materials: %w", err)
	}
	return text.Bytes(), nil
}
