package main

import (
	"fmt"
	"path/filepath"

	"github.com/BurntSushi/toml"
	"github.com/github/go-spdx/v2/spdxexp"
)

// table lists the allowed licences and the exceptions.
type table struct {
	// allowed are the SPDX ids in deny.toml.
	allowed []string
	// exceptions, by "ecosystem: name".
	exceptions map[string]*exception
}

// exception allows one dependency to have licences that are not allowed in general.
type exception struct {
	Package  string   `toml:"package"`
	Licences []string `toml:"licences"`
	// Licence replaces the package's own statement, if that is missing or unreadable.
	Licence string `toml:"licence"`
	Reason  string `toml:"reason"`
	used    bool
}

func readTable(root string) (*table, error) {
	var deny struct {
		Licenses struct{ Allow []string }
	}
	path := filepath.Join(root, "deny.toml")
	if _, err := toml.DecodeFile(path, &deny); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(deny.Licenses.Allow) == 0 {
		return nil, fmt.Errorf("%s: licenses.allow has no licence", path)
	}
	var written struct {
		Exception []*exception
	}
	path = filepath.Join(root, "tests/licences/exceptions.toml")
	meta, err := toml.DecodeFile(path, &written)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: unknown keys: %v", path, unknown)
	}
	made := &table{allowed: deny.Licenses.Allow, exceptions: map[string]*exception{}}
	for _, exception := range written.Exception {
		if exception.Reason == "" || (len(exception.Licences) == 0) == (exception.Licence == "") {
			return nil, fmt.Errorf("%s: %s needs a reason, and either licences or licence", path, exception.Package)
		}
		if made.exceptions[exception.Package] != nil {
			return nil, fmt.Errorf("%s: %s is there twice", path, exception.Package)
		}
		made.exceptions[exception.Package] = exception
	}
	return made, nil
}

// complaints returns what is wrong with a dependency's licences.
func (t *table) complaints(found dependency) []string {
	allowed, licences := t.allowed, found.licences
	if exception := t.exceptions[found.ecosystem+": "+found.name]; exception != nil {
		exception.used = true
		allowed = append(append([]string{}, allowed...), exception.Licences...)
		if exception.Licence != "" {
			if len(licences) > 0 {
				return []string{fmt.Sprintf("%v says %q in %s: take its licence out of tests/licences/exceptions.toml", found, licences, found.source)}
			}
			licences = []string{exception.Licence}
		}
	}
	const wayOut = "take it out; or, where its licence is permissive, add that to licenses.allow in deny.toml; or except it, with the reason, in tests/licences/exceptions.toml"
	if len(licences) == 0 {
		return []string{fmt.Sprintf("%v has no licence that can be recognised (%s): %s", found, found.source, wayOut)}
	}
	var complaints []string
	for _, licence := range licences {
		switch fits, err := spdxexp.Satisfies(licence, allowed); {
		case err != nil:
			complaints = append(complaints, fmt.Sprintf("%v is under %q (%s), which is no SPDX expression: %s", found, licence, found.source, wayOut))
		case !fits:
			complaints = append(complaints, fmt.Sprintf("%v is under %s (%s), which is not allowed: %s", found, licence, found.source, wayOut))
		}
	}
	return complaints
}

// unused reports exceptions that are no longer needed.
func (t *table) unused() []string {
	var complaints []string
	for name, exception := range t.exceptions {
		if !exception.used {
			complaints = append(complaints, fmt.Sprintf("%s is not depended on: take it out of tests/licences/exceptions.toml", name))
		}
	}
	return complaints
}
