package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// npmPackages reads the packages in each lock file.
func npmPackages(root string) ([]dependency, error) {
	files, err := tracked(root, "*package-lock.json")
	if err != nil {
		return nil, err
	}
	var made []dependency
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return nil, err
		}
		var lock struct {
			Packages map[string]struct{ Version, License string }
		}
		if err := json.Unmarshal(text, &lock); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for path, found := range lock.Packages {
			if path == "" {
				continue // the project itself
			}
			_, name, _ := strings.Cut(path, "node_modules/")
			made = append(made, dependency{"npm", name, found.Version, some(found.License), file})
		}
	}
	return made, nil
}

func some(licence string) []string {
	if licence == "" {
		return nil
	}
	return []string{licence}
}

// pythonPackages reads what pip has installed, in all the folders of the Makefile.
func pythonPackages(root string) ([]dependency, error) {
	var made []dependency
	for _, pattern := range []string{
		".cache/venv/lib/python*/site-packages/*.dist-info/METADATA", ".cache/*/*.dist-info/METADATA", ".cache/envoy/*/*.dist-info/METADATA",
	} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			return nil, errors.Join(err, fmt.Errorf("there is no %s: run `make deny`", pattern))
		}
		for _, file := range files {
			found, err := pythonPackage(file)
			if err != nil {
				return nil, err
			}
			found.source = shown(root, file)
			made = append(made, found)
		}
	}
	return made, nil
}

// classifiers are PyPI's names of licences that correspond to one SPDX licence. "BSD License" does not, because there
// are several.
var classifiers = map[string]string{
	"License :: OSI Approved :: Apache Software License":                       "Apache-2.0",
	"License :: OSI Approved :: MIT License":                                   "MIT",
	"License :: OSI Approved :: ISC License (ISCL)":                            "ISC",
	"License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)":          "MPL-2.0",
	"License :: OSI Approved :: Python Software Foundation License":            "PSF-2.0",
	"License :: OSI Approved :: GNU Affero General Public License v3":          "AGPL-3.0-only",
	"License :: OSI Approved :: GNU General Public License v3 (GPLv3)":         "GPL-3.0-only",
	"License :: OSI Approved :: GNU General Public License v2 (GPLv2)":         "GPL-2.0-only",
	"License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
}

// pythonPackage reads one METADATA (PyPA, "Core metadata specifications"): the expression, or the classifiers, or the
// old field with free text.
func pythonPackage(file string) (dependency, error) {
	opened, err := os.Open(file)
	if err != nil {
		return dependency{}, err
	}
	defer opened.Close()
	found := dependency{ecosystem: "python"}
	var expression, free string
	var classified []string
	scanner := bufio.NewScanner(opened)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() && scanner.Text() != "" {
		key, value, _ := strings.Cut(scanner.Text(), ": ")
		switch key {
		case "Name":
			found.name = value
		case "Version":
			found.version = value
		case "License-Expression":
			expression = value
		case "License":
			free = value
		case "Classifier":
			if strings.HasPrefix(value, "License :: ") {
				if known := classifiers[value]; known != "" {
					value = known
				}
				classified = append(classified, value)
			}
		}
	}
	switch {
	case expression != "":
		found.licences = some(expression)
	case len(classified) > 0:
		found.licences = classified
	default:
		found.licences = some(spdx(free))
	}
	return found, scanner.Err()
}

// pom is the part of a Maven project's description that is read.
type pom struct {
	GroupID    string `xml:"groupId"`
	ArtifactID string `xml:"artifactId"`
	Version    string `xml:"version"`
	Parent     *struct {
		GroupID    string `xml:"groupId"`
		ArtifactID string `xml:"artifactId"`
		Version    string `xml:"version"`
	} `xml:"parent"`
	Licenses []struct {
		Name string `xml:"name"`
	} `xml:"licenses>license"`
}

// names are common names of SPDX licences in free text, in lower case and without a leading "the".
var names = map[string]string{
	"apache license version 2.0":           "Apache-2.0",
	"apache license, version 2.0":          "Apache-2.0",
	"apache software license, version 2.0": "Apache-2.0",
	"apache 2.0":                           "Apache-2.0",
	"bsd-3-clause":                         "BSD-3-Clause",
	"3-clause bsd license":                 "BSD-3-Clause",
	"mit license":                          "MIT",
	"gnu general public license":           "GPL-2.0-or-later",
	"gnu affero general public license":    "AGPL-3.0-only",
	"gnu lesser general public license":    "LGPL-2.1-or-later",
	"eclipse public license - v 2.0":       "EPL-2.0",
}

var blanks = regexp.MustCompile(`\s+`)

// spdx converts a licence's name in free text to SPDX, if it is a known one.
func spdx(name string) string {
	name = blanks.ReplaceAllString(strings.TrimSpace(name), " ")
	if known := names[strings.TrimPrefix(strings.ToLower(name), "the ")]; known != "" {
		return known
	}
	return name
}

// mavenArtifacts reads the descriptions of the jars, which Maven stores next to the jars, and those of their parents.
func mavenArtifacts(root string) ([]dependency, error) {
	folder := filepath.Join(root, ".cache/java")
	files, err := filepath.Glob(filepath.Join(folder, "poms/*.pom"))
	if err != nil {
		return nil, err
	}
	poms := map[string]pom{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var read pom
		if err := xml.Unmarshal(text, &read); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		poms[strings.TrimSuffix(filepath.Base(file), ".pom")] = read
	}
	jars, err := filepath.Glob(filepath.Join(folder, "lib/*.jar"))
	if err != nil {
		return nil, err
	}
	var made []dependency
	for _, jar := range jars {
		base := strings.TrimSuffix(filepath.Base(jar), ".jar")
		described, known := poms[base]
		if !known {
			return nil, fmt.Errorf("%s has no description in .cache/java/poms: rm -r .cache/java, and run `make deny`", base)
		}
		name, version := described.ArtifactID, described.Version
		if version == "" && described.Parent != nil {
			version = described.Parent.Version
		}
		source := base + ".pom"
		for len(described.Licenses) == 0 && described.Parent != nil {
			parent := described.Parent.ArtifactID + "-" + described.Parent.Version
			if described, known = poms[parent]; !known {
				return nil, fmt.Errorf("%s: its parent %s has no description in .cache/java/poms", base, parent)
			}
			source = parent + ".pom"
		}
		var licences []string
		for _, licence := range described.Licenses {
			licences = append(licences, spdx(licence.Name))
		}
		made = append(made, dependency{"maven", name, version, licences, source})
	}
	return made, nil
}

// debianPackages reads the copyright files of the stores' packages (Debian's machine-readable format 1.0). Every
// licence in such a file applies to some of the program's files.
func debianPackages(root string) ([]dependency, error) {
	files, err := filepath.Glob(filepath.Join(root, ".cache/stores/*/usr/share/doc/*/copyright"))
	if err != nil {
		return nil, err
	}
	var made []dependency
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found := dependency{ecosystem: "debian", name: filepath.Base(filepath.Dir(file)), source: shown(root, file)}
		for _, line := range strings.Split(string(text), "\n") {
			if licence, is := strings.CutPrefix(line, "License: "); is {
				found.licences = append(found.licences, debians(strings.TrimSpace(licence)))
			}
		}
		slices.Sort(found.licences)
		found.licences = slices.Compact(found.licences)
		made = append(made, found)
	}
	return made, nil
}

// debians converts one of Debian's expressions to SPDX.
func debians(licence string) string {
	if known := map[string]string{"Expat": "MIT", "BSD-3-clause": "BSD-3-Clause", "BSD-2-clause": "BSD-2-Clause"}[licence]; known != "" {
		return known
	}
	return licence
}
