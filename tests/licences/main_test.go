package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// written puts files into a new folder.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		path := filepath.Join(folder, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return folder
}

const (
	allowed = "[licenses]\nallow = [\"Apache-2.0\", \"MIT\", \"BSD-3-Clause\"]\n"
	// The notices that the two licences require.
	affero = "This program is free software: you can redistribute it and/or modify it under the terms of the GNU Affero General Public License as published by the Free Software Foundation, either version 3 of the License, or (at your option) any later version.\n"
	apache = "Licensed under the Apache License, Version 2.0 (the \"License\"); you may not use this file except in compliance with the License. You may obtain a copy of the License at\n\n    http://www.apache.org/licenses/LICENSE-2.0\n\nUnless required by applicable law or agreed to in writing, software distributed under the License is distributed on an \"AS IS\" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for the specific language governing permissions and limitations under the License.\n"
)

func tableOf(t *testing.T, exceptions string) *table {
	t.Helper()
	made, err := readTable(written(t, map[string]string{"deny.toml": allowed, "tests/licences/exceptions.toml": exceptions}))
	must(t, err)
	return made
}

func TestWhatIsNotAllowedIsNamedWithItsLicenceAndTheWayOut(t *testing.T) {
	table := tableOf(t, "")
	for licence, fits := range map[string]bool{
		"Apache-2.0": true, "MIT OR GPL-3.0-only": true, "(MIT AND Apache-2.0)": true,
		"AGPL-3.0-only": false, "AGPL-3.0": false, "GPL-2.0-or-later": false, "MIT AND LGPL-2.1-only": false, "MPL-2.0": false,
		"BSD": false, "License :: OSI Approved :: BSD License": false, "see the web page": false,
	} {
		found := table.complaints(dependency{"npm", "left-pad", "1.0.0", []string{licence}, "package-lock.json"})
		if (len(found) == 0) != fits {
			t.Errorf("%s: %v", licence, found)
		}
		for _, complaint := range found {
			for _, part := range []string{"npm: left-pad 1.0.0", licence, "package-lock.json", "take it out", "deny.toml", "exceptions.toml"} {
				if !strings.Contains(complaint, part) {
					t.Errorf("%q has no %q", complaint, part)
				}
			}
		}
	}
	if found := table.complaints(dependency{"go", "example.com/x", "v1.0.0", nil, "no file"}); len(found) != 1 {
		t.Errorf("no licence at all: %v", found)
	}
	// If there are several, all apply.
	if found := table.complaints(dependency{"go", "example.com/x", "v1.0.0", []string{"MIT", "GPL-3.0"}, "COPYING"}); len(found) != 1 {
		t.Errorf("one of two: %v", found)
	}
}

func TestAnExceptionIsForOnePackageAndItsLicenceAlone(t *testing.T) {
	table := tableOf(t, "[[exception]]\npackage = \"go: example.com/x\"\nlicences = [\"MPL-2.0\"]\nreason = \"tests only\"\n")
	if len(table.unused()) != 1 {
		t.Error("an exception that nothing needs is not told of")
	}
	for _, found := range []struct {
		dependency
		fits bool
	}{
		{dependency{"go", "example.com/x", "v1", []string{"MPL-2.0", "MIT"}, ""}, true},
		{dependency{"go", "example.com/x", "v1", []string{"AGPL-3.0"}, ""}, false},
		{dependency{"go", "example.com/y", "v1", []string{"MPL-2.0"}, ""}, false},
		{dependency{"npm", "example.com/x", "v1", []string{"MPL-2.0"}, ""}, false},
	} {
		if complaints := table.complaints(found.dependency); (len(complaints) == 0) != found.fits {
			t.Errorf("%v: %v", found.dependency, complaints)
		}
	}
	if len(table.unused()) != 0 {
		t.Error("an exception that is needed is called unused")
	}
}

func TestAnExceptionWithoutAReasonIsRefused(t *testing.T) {
	for _, exception := range []string{
		"package = \"go: x\"\nlicences = [\"MPL-2.0\"]", "package = \"go: x\"\nreason = \"r\"",
		"package = \"go: x\"\nlicences = [\"MPL-2.0\"]\nlicence = \"MIT\"\nreason = \"r\"", "package = \"go: x\"\nlicenses = [\"MPL-2.0\"]\nreason = \"r\"",
	} {
		folder := written(t, map[string]string{"deny.toml": allowed, "tests/licences/exceptions.toml": "[[exception]]\n" + exception + "\n"})
		if _, err := readTable(folder); err == nil {
			t.Errorf("passes: %s", exception)
		}
	}
}

func TestALicenceIsRecognisedByItsText(t *testing.T) {
	for text, expected := range map[string]string{affero: "AGPL-3.0-or-later", apache: "Apache-2.0"} {
		for _, name := range []string{"LICENSE", "COPYING.txt", "Licence.md"} {
			licences, source, err := ofFolder(written(t, map[string]string{name: text, "README": "nothing"}))
			must(t, err)
			if len(licences) != 1 || licences[0] != expected || source != name {
				t.Errorf("%s: %v in %s", expected, licences, source)
			}
		}
	}
	if licences := ofText([]byte(strings.Repeat("All rights reserved. ", 300) + apache)); len(licences) != 0 {
		t.Errorf("a text that mentions a licence passes for it: %v", licences)
	}
	licences, _, err := ofFolder(written(t, map[string]string{"README": apache}))
	must(t, err)
	if len(licences) != 0 {
		t.Errorf("a README is no licence: %v", licences)
	}
}

func TestMetadataOfPythonIsReadByItsMostExactField(t *testing.T) {
	for metadata, expected := range map[string]string{
		"License-Expression: AGPL-3.0-only\nClassifier: License :: OSI Approved :: MIT License": "AGPL-3.0-only",
		"License: whatever\nClassifier: License :: OSI Approved :: MIT License":                 "MIT",
		"License: MPL-2.0":                                   "MPL-2.0",
		"License: 3-Clause BSD License":                      "BSD-3-Clause",
		"Classifier: License :: OSI Approved :: BSD License": "License :: OSI Approved :: BSD License",
		"Summary: x\n\nLicense: MIT":                         "",
	} {
		folder := written(t, map[string]string{"METADATA": "Metadata-Version: 2.4\nName: x\nVersion: 1\n" + metadata + "\n"})
		found, err := pythonPackage(filepath.Join(folder, "METADATA"))
		must(t, err)
		if found.name != "x" || found.version != "1" || strings.Join(found.licences, ", ") != expected {
			t.Errorf("%q: %v", metadata, found)
		}
	}
}

func TestAJarHasTheLicenceOfItsParent(t *testing.T) {
	parent := "<project><artifactId>parent</artifactId><version>2</version><licenses><license><name>The Apache  License, Version 2.0</name></license></licenses></project>"
	child := "<project><artifactId>child</artifactId><parent><artifactId>parent</artifactId><version>2</version></parent></project>"
	root := written(t, map[string]string{".cache/java/poms/parent-2.pom": parent, ".cache/java/poms/child-2.pom": child, ".cache/java/lib/child-2.jar": ""})
	found, err := mavenArtifacts(root)
	must(t, err)
	if len(found) != 1 || found[0].name != "child" || found[0].version != "2" || strings.Join(found[0].licences, ", ") != "Apache-2.0" {
		t.Errorf("%v", found)
	}
	root = written(t, map[string]string{".cache/java/poms/child-2.pom": child, ".cache/java/lib/child-2.jar": ""})
	if _, err := mavenArtifacts(root); err == nil {
		t.Error("a parent that is not there goes unnoticed")
	}
}
