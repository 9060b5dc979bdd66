// Command image packs the module as a container image for Istio and Envoy Gateway, with a software bill of materials
// and checksums. It needs no container engine, and packs the same module into the same bytes every time.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	options := options{}
	flag.StringVar(&options.root, "root", ".", "the workspace's folder, with Cargo.toml and Cargo.lock")
	flag.StringVar(&options.module, "module", "dist/sluice.wasm", "the module to pack")
	flag.StringVar(&options.out, "out", "dist", "the folder that everything is written to")
	flag.StringVar(&options.revision, "revision", "", "the commit that the module was built from, for a label (left out if empty)")
	flag.Parse()
	if flag.NArg() > 0 {
		fail(fmt.Errorf("what is %q? Only flags are taken, see -help", flag.Arg(0)))
	}
	digest, err := pack(options)
	if err != nil {
		fail(err)
	}
	fmt.Printf(`%[1]s/sluice.oci           OCI layout, digest %[2]s
%[1]s/sluice-image.tar     the same for docker load
%[1]s/sluice.cdx.json      software bill of materials, CycloneDX
%[1]s/SHA256SUMS           sha256sum --check SHA256SUMS
Push it, then set it in istio/image/image.yaml: oci://YOUR-REGISTRY/sluice@%[2]s
`, options.out, digest)
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "image: %v\n", err)
	os.Exit(1)
}

// options says what to pack, and where to.
type options struct {
	root, module, out, revision string
}

// pack writes the image's layout and tar, the bill of materials and the checksums into options.out. It returns the
// digest of the image's manifest, by which a registry and Istio know the image.
func pack(options options) (string, error) {
	module, err := os.ReadFile(options.module)
	if err != nil {
		return "", fmt.Errorf("the module: %w: build it with `make wasm`", err)
	}
	workspace, err := readWorkspace(options.root)
	if err != nil {
		return "", err
	}
	materials, err := workspace.billOfMaterials(module)
	if err != nil {
		return "", err
	}
	image, err := newImage(module, workspace.labels(options.revision))
	if err != nil {
		return "", err
	}
	digest, err := image.Digest()
	if err != nil {
		return "", fmt.Errorf("the image's digest: %w", err)
	}
	if err := writeLayout(image, filepath.Join(options.out, "sluice.oci"), workspace.version()); err != nil {
		return "", err
	}
	if err := writeTar(image, filepath.Join(options.out, "sluice-image.tar"), workspace.version()); err != nil {
		return "", err
	}
	files := []string{"sluice.wasm", "sluice-image.tar", "sluice.cdx.json"}
	if err := writeNew(filepath.Join(options.out, "sluice.cdx.json"), materials); err != nil {
		return "", err
	}
	if filepath.Clean(options.module) != filepath.Join(options.out, "sluice.wasm") {
		if err := writeNew(filepath.Join(options.out, "sluice.wasm"), module); err != nil {
			return "", err
		}
	}
	sums, err := checksums(options.out, files)
	if err != nil {
		return "", err
	}
	return digest.String(), writeNew(filepath.Join(options.out, "SHA256SUMS"), []byte(sums))
}

// checksums are the lines that `sha256sum` prints for the files.
func checksums(folder string, names []string) (string, error) {
	var sums strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), name)
	}
	return sums.String(), nil
}

// writeNew puts a complete file in place, or none.
func writeNew(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, content, 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}
