package istiod

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"istio.io/istio/pkg/wasm"
)

// dist is the folder with the output of `make image`.
const dist = "../../../dist/"

func TestIstiosAgentUnpacksTheModuleFromTheImage(t *testing.T) {
	module, err := os.ReadFile(dist + "sluice.wasm")
	if err != nil {
		t.Fatalf("%v: run `make image`", err)
	}
	index, err := layout.ImageIndexFromPath(dist + "sluice.oci")
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	fromLayout, err := index.Image(manifest.Manifests[0].Digest)
	must(t, err)
	fromTar, err := tarball.ImageFromPath(dist+"sluice-image.tar", nil)
	must(t, err)

	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for tag, image := range map[string]v1.Image{"layout": fromLayout, "tar": fromTar} {
		reference, err := name.ParseReference(host+"/sluice:"+tag, name.Insecure)
		must(t, err)
		must(t, remote.Write(reference, image))
		digest, err := image.Digest()
		must(t, err)
		// By its digest, as in the manifests.
		fetcher := wasm.NewImageFetcher(t.Context(), wasm.ImageFetcherOption{Insecure: true})
		fetch, actual, err := fetcher.PrepareFetch(host + "/sluice@" + digest.String())
		must(t, err)
		if actual != digest.Hex {
			t.Errorf("%s: Istio takes the digest for %s, not %s", tag, actual, digest.Hex)
		}
		unpacked, err := fetch()
		must(t, err)
		if !bytes.Equal(unpacked, module) {
			t.Errorf("%s: Istio unpacks %d bytes that are not dist/sluice.wasm: run `make image`", tag, len(unpacked))
		}
	}
}
