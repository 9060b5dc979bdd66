package istiod

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// manifests is the folder with the manifests.
const manifests = "../../../istio"

// digest stands for the digest that `make image` prints.
const digest = "39c16d4c91d6e1d494b8fe435560971b289e310e772e7639d3554e4bf0a7437b"

// image is the image in image.yaml after a user has set it.
const image = "oci://ghcr.io/acme/sluice@sha256:" + digest

// kustomizations are the folders that a user builds, relative to the folder of the manifests.
func kustomizations(t *testing.T) []string {
	t.Helper()
	var folders []string
	err := filepath.WalkDir(manifests, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "kustomization.yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), "kind: Component") {
			return err
		}
		folder, err := filepath.Rel(manifests, filepath.Dir(path))
		folders = append(folders, folder)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range components(t) {
		folders = append(folders, "with/"+name)
	}
	if len(folders) < 5 {
		t.Fatalf("%s has only these kustomizations: %v", manifests, folders)
	}
	return folders
}

// components are the names of the patches for special clusters. The folder with/NAME, which is in memory only, is the
// overlay that most people use with one of them.
func components(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(manifests + "/components")
	if err != nil || len(entries) < 5 {
		t.Fatalf("%v: %v", entries, err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// tree is the folder of the manifests in memory, with the image set, or unchanged if image is empty.
func tree(t *testing.T, image string) filesys.FileSystem {
	t.Helper()
	memory := filesys.MakeFsInMemory()
	err := filepath.WalkDir(manifests, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(manifests, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if name == filepath.Join("image", "image.yaml") && image != "" {
			text = []byte(strings.Replace(string(text), "oci://registry.example/sluice", image, 1))
		}
		return memory.WriteFile("/istio/"+name, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range components(t) {
		with := "resources: [../../overlays/hold-headers]\ncomponents: [../../components/" + name + "]\n"
		must(t, memory.WriteFile("/istio/with/"+name+"/kustomization.yaml", []byte(with)))
	}
	return memory
}

// built is the output of kustomize for a folder.
func built(t *testing.T, folder string) resmap.ResMap {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(tree(t, image), "/istio/"+folder)
	if err != nil {
		t.Fatalf("%s: %v", folder, err)
	}
	return resources
}

func text(t *testing.T, resources resmap.ResMap) string {
	t.Helper()
	yaml, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(yaml)
}

func TestWhatRunsTheModuleHasTheDigestThatIsSetInOnePlace(t *testing.T) {
	var running []string
	for _, folder := range kustomizations(t) {
		yaml := text(t, built(t, folder))
		if !strings.Contains(yaml, "holdHeaders") {
			continue
		}
		running = append(running, folder)
		// Once in the URL and once alone; otherwise Istio would accept whatever the registry has.
		if count := strings.Count(yaml, digest); count != 2 {
			t.Errorf("%s has the digest %d times, not 2", folder, count)
		}
		if strings.Contains(yaml, "registry.example") || strings.Contains(yaml, "sluice-image") {
			t.Errorf("%s still has the image that is not set", folder)
		}
	}
	if !slices.Contains(running, "base") || len(running) < 4 {
		t.Errorf("only these run the module: %v", running)
	}
}

func TestWithoutADigestNothingBuilds(t *testing.T) {
	for _, folder := range []string{"base", "overlays/hold-headers", "overlays/trafficextension", "envoy-gateway"} {
		for _, unset := range []string{"", "oci://ghcr.io/acme/sluice:latest"} {
			_, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(tree(t, unset), "/istio/"+folder)
			if err == nil || !strings.Contains(err.Error(), "sluice") || !strings.Contains(err.Error(), "out of bounds") {
				t.Errorf("%s with the image %q: %v", folder, unset, err)
			}
		}
	}
}

func TestTheLuaFilterIsTheOneThatIsTestedWordForWord(t *testing.T) {
	script, err := os.ReadFile("../../../envoy-local/header-only.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"base", "overlays/trafficextension"} {
		found := false
		for _, resource := range built(t, folder).Resources() {
			if resource.GetName() == "sluice-header-only" {
				content, err := resource.Map()
				if err != nil {
					t.Fatal(err)
				}
				found = found || contains(content, string(script))
			}
		}
		if !found {
			t.Errorf("%s has another script than envoy-local/header-only.lua", folder)
		}
	}
}

// contains tells whether a text is anywhere in a document.
func contains(value any, text string) bool {
	switch value := value.(type) {
	case string:
		return value == text
	case []any:
		return slices.ContainsFunc(value, func(item any) bool { return contains(item, text) })
	case map[string]any:
		for _, item := range value {
			if contains(item, text) {
				return true
			}
		}
	}
	return false
}
