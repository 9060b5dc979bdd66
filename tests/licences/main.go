// Licences checks everything that the project is built from and tested with, except crates, and reports every
// dependency with a licence that deny.toml does not allow. cargo-deny checks the crates, with the same table.
//
//	go run . -root ../..
//
// It reads what `make tools` and similar targets have downloaded, and does not access a registry.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// dependency is one package of one ecosystem.
type dependency struct {
	// ecosystem is go, npm, python, maven or debian.
	ecosystem, name, version string
	// licences are SPDX expressions, all of which apply. The list is empty if none was found.
	licences []string
	// source is the file that names the licence.
	source string
}

func (d dependency) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s", d.ecosystem, d.name, d.version))
}

// collector finds the dependencies of one ecosystem below the project's root. Finding none is an error, because
// packages that were not downloaded cannot be checked.
type collector struct {
	ecosystem string
	collect   func(root string) ([]dependency, error)
}

var collectors = []collector{
	{"go", goModules}, {"npm", npmPackages}, {"python", pythonPackages}, {"maven", mavenArtifacts}, {"debian", debianPackages},
}

func main() {
	root := flag.String("root", ".", "the project's root")
	verbose := flag.Bool("verbose", false, "list every dependency with its licences")
	flag.Parse()
	complaints, looked, err := look(*root, *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "licences:", err)
		os.Exit(2)
	}
	for _, complaint := range complaints {
		fmt.Fprintln(os.Stderr, "licences:", complaint)
	}
	if len(complaints) > 0 {
		os.Exit(1)
	}
	fmt.Printf("licences: %s\n", looked)
}

// look returns what is wrong, and a line that says how much was checked.
func look(root string, verbose bool) (complaints []string, looked string, err error) {
	table, err := readTable(root)
	if err != nil {
		return nil, "", err
	}
	var counts []string
	for _, from := range collectors {
		found, err := from.collect(root)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", from.ecosystem, err)
		}
		if len(found) == 0 {
			return nil, "", fmt.Errorf("%s: nothing found: run `make deny`, which fetches it first", from.ecosystem)
		}
		slices.SortFunc(found, func(a, b dependency) int { return cmp.Compare(a.String(), b.String()) })
		for _, dependency := range found {
			if verbose {
				fmt.Printf("%v: %s\n", dependency, strings.Join(dependency.licences, ", "))
			}
			complaints = append(complaints, table.complaints(dependency)...)
		}
		counts = append(counts, fmt.Sprintf("%d of %s", len(found), from.ecosystem))
	}
	complaints = append(complaints, table.unused()...)
	return complaints, strings.Join(counts, ", ") + ": all under licences that deny.toml allows, or excepted", nil
}

// shown is a path relative to the root.
func shown(root, path string) string {
	if short, err := filepath.Rel(root, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}
