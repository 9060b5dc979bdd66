package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
	"golang.org/x/mod/modfile"
)

// unbuilt is a go.mod of modules that are downloaded and read, but never built.
const unbuilt = "tests/manifests/istiod/schemas/go.mod"

// module is the output of `go list` and `go mod download` for a module.
type module struct {
	Path, Version, Dir string
	Main               bool
}

// goModules finds the modules of all packages with which each of the project's own modules is built and tested.
func goModules(root string) ([]dependency, error) {
	files, err := tracked(root, "*go.mod")
	if err != nil {
		return nil, err
	}
	modules := map[string]module{}
	for _, file := range files {
		var command *exec.Cmd
		if file == unbuilt {
			text, err := os.ReadFile(filepath.Join(root, file))
			if err != nil {
				return nil, err
			}
			parsed, err := modfile.Parse(file, text, nil)
			if err != nil {
				return nil, err
			}
			command = exec.Command("go", "mod", "download", "-json")
			for _, require := range parsed.Require {
				command.Args = append(command.Args, require.Mod.String())
			}
		} else {
			command = exec.Command("go", "list", "-mod=readonly", "-deps", "-test", "-json=Module", "./...")
			command.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		command.Dir = filepath.Join(root, filepath.Dir(file))
		var problems bytes.Buffer
		command.Stderr = &problems
		output, err := command.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %v: %w: %s", file, command.Args, err, problems.String())
		}
		for decoder := json.NewDecoder(bytes.NewReader(output)); decoder.More(); {
			// A package contains its module; a package of Go's own library has none.
			var found struct {
				module
				Module *module
			}
			if err := decoder.Decode(&found); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if found := cmp.Or(found.Module, &found.module); found.Path != "" && !found.Main {
				modules[found.Path+" "+found.Version] = *found
			}
		}
	}
	var made []dependency
	for _, found := range modules {
		licences, source, err := ofFolder(found.Dir)
		if err != nil {
			return nil, err
		}
		made = append(made, dependency{"go", found.Path, found.Version, licences, source})
	}
	return made, nil
}

// tracked lists the project's own files whose path matches.
func tracked(root, pattern string) ([]string, error) {
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "--", pattern)
	list.Dir = root
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%v: %w", list.Args, err)
	}
	return strings.Fields(string(output)), nil
}

// licenceFile matches the names of files with a licence.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicen[cs]e)([-_.].*)?$`)

// ofFolder recognises the licences in a folder by their text.
func ofFolder(folder string) (licences []string, source string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, "", err
	}
	var sources []string
	for _, entry := range entries {
		if !licenceFile.MatchString(entry.Name()) || entry.Type()&fs.ModeType != 0 {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, "", err
		}
		sources = append(sources, entry.Name())
		licences = append(licences, ofText(text)...)
	}
	slices.Sort(licences)
	source = "no file with a licence in its root"
	if len(sources) > 0 {
		source = strings.Join(sources, ", ")
	}
	return slices.Compact(licences), source, nil
}

// leastCoverage is the part of a licence file, in percent, that must match a known licence. The rest is copyright
// lines.
const leastCoverage = 75

// ofText recognises the licences in a text. It returns none if too much of the text is something else.
func ofText(text []byte) []string {
	coverage := licensecheck.Scan(text)
	var licences []string
	for _, match := range coverage.Match {
		licences = append(licences, match.ID)
	}
	if coverage.Percent < leastCoverage {
		return nil
	}
	return licences
}
