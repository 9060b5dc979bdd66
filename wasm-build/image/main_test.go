package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// root is the path of the workspace from here.
const root = "../.."

// packed packs a module of a few bytes and returns the folder and the digest.
func packed(t *testing.T, module []byte) (string, string) {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(t.TempDir(), "any.wasm")
	if err := os.WriteFile(file, module, 0o644); err != nil {
		t.Fatal(err)
	}
	digest, err := pack(options{root: root, module: file, out: folder})
	if err != nil {
		t.Fatal(err)
	}
	return folder, digest
}

// module is the smallest WebAssembly module.
var module = []byte("\x00asm\x01\x00\x00\x00")

func TestTheSameModuleGivesTheSameBytes(t *testing.T) {
	one, digest := packed(t, module)
	other, again := packed(t, module)
	if digest != again {
		t.Errorf("the digests differ: %s, %s", digest, again)
	}
	if read, reread := files(t, one), files(t, other); len(read) == 0 {
		t.Error("nothing was written")
	} else {
		for name, content := range read {
			if !bytes.Equal(content, reread[name]) {
				t.Errorf("%s differs", name)
			}
		}
		if len(read) != len(reread) {
			t.Errorf("%d files, then %d", len(read), len(reread))
		}
	}
	if _, changed := packed(t, append(module, 0)); changed == digest {
		t.Error("another module has the same digest")
	}
}

func files(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		found[path], err = os.ReadFile(filepath.Join(folder, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestLayoutAndTarHoldOneImageWithThePluginInItsOnlyLayer(t *testing.T) {
	folder, digest := packed(t, module)
	index, err := layout.ImageIndexFromPath(filepath.Join(folder, "sluice.oci"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest.String() != digest {
		t.Fatalf("the layout does not hold %s alone: %v", digest, manifest.Manifests)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if kind, err := image.MediaType(); err != nil || kind != types.OCIManifestSchema1 {
		t.Errorf("media type %s, %v", kind, err)
	}
	check(t, image)
	loaded, err := tarball.ImageFromPath(filepath.Join(folder, "sluice-image.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	check(t, loaded)
}

// check validates every digest and size in the image, and reads the plugin back.
func check(t *testing.T, image v1.Image) {
	t.Helper()
	if err := validate.Image(image); err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	archive := tar.NewReader(content)
	header, err := archive.Next()
	if err != nil || header.Name != "plugin.wasm" {
		t.Fatalf("%v, %v", header, err)
	}
	if plugin, err := io.ReadAll(archive); err != nil || !bytes.Equal(plugin, module) {
		t.Errorf("the plugin is %q, %v", plugin, err)
	}
	if header, err := archive.Next(); err != io.EOF {
		t.Errorf("there is more in the layer: %v, %v", header, err)
	}
	configuration, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if labels := configuration.Config.Labels; labels["org.opencontainers.image.licenses"] != "Apache-2.0" || labels["org.opencontainers.image.version"] == "" {
		t.Errorf("labels: %v", labels)
	}
}

func TestTheBillOfMaterialsListsWhatIsInTheModuleAndNothingElse(t *testing.T) {
	folder, _ := packed(t, module)
	text, err := os.ReadFile(filepath.Join(folder, "sluice.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bill cdx.BOM
	if err := json.Unmarshal(text, &bill); err != nil {
		t.Fatal(err)
	}
	listed := map[string]cdx.Component{}
	for _, component := range *bill.Components {
		if _, twice := listed[component.Name+component.Version]; twice {
			t.Errorf("%s is there twice", component.PackageURL)
		}
		listed[component.Name+component.Version] = component
		listed[component.Name] = component
	}
	for _, name := range []string{"proxy-wasm", "serde", "sluice-gate"} {
		if _, there := listed[name]; !there {
			t.Errorf("%s is missing", name)
		}
	}
	if hashes := listed["proxy-wasm"].Hashes; hashes == nil || len((*hashes)[0].Value) != 64 {
		t.Errorf("proxy-wasm has no hash: %v", hashes)
	}
	// A macro, two dependencies of tests, and one of host programs.
	for _, name := range []string{"serde_derive", "proptest", "wasmtime", "clap"} {
		if _, there := listed[name]; there {
			t.Errorf("%s is not in the module", name)
		}
	}
	if strings.Contains(string(text), "file://") {
		t.Error("a path of this machine is in it")
	}
}

func TestTheChecksumsAreThoseOfTheFiles(t *testing.T) {
	folder, _ := packed(t, module)
	verify := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	verify.Dir = folder
	if output, err := verify.CombinedOutput(); err != nil || strings.Count(string(output), ": OK") != 3 {
		t.Errorf("%s%v", output, err)
	}
}

func TestAModuleThatIsNotThereIsAnErrorThatSaysHowToBuildIt(t *testing.T) {
	_, err := pack(options{root: root, module: filepath.Join(t.TempDir(), "none.wasm"), out: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "make wasm") {
		t.Errorf("%v", err)
	}
}
