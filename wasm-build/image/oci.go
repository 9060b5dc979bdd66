package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// pluginFile is the only file in the image. Istio and Envoy Gateway look for this name.
// Source: https://github.com/solo-io/wasm/blob/master/spec/spec-compat.md
const pluginFile = "plugin.wasm"

// epoch is the time of everything in the image, because its bytes must not depend on the time of the build.
var epoch = time.Unix(0, 0).UTC()

// newImage is an OCI image with one gzipped layer, which has the module. Its labels are also annotations of the
// manifest, where registries look for them.
func newImage(module []byte, labels map[string]string) (v1.Image, error) {
	content, err := compressedLayer(module)
	if err != nil {
		return nil, fmt.Errorf("the layer: %w", err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("the layer: %w", err)
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "COPY sluice.wasm /" + pluginFile},
	})
	if err != nil {
		return nil, fmt.Errorf("the image: %w", err)
	}
	image, err = mutate.ConfigFile(image, configuration(image, labels))
	if err != nil {
		return nil, fmt.Errorf("the image's configuration: %w", err)
	}
	return mutate.Annotations(image, labels).(v1.Image), nil
}

// configuration names a platform because an image must have one. The module runs on any platform; linux/amd64 is the
// default of clients that select by platform.
func configuration(image v1.Image, labels map[string]string) *v1.ConfigFile {
	file, err := image.ConfigFile()
	if err != nil {
		file = &v1.ConfigFile{}
	}
	file = file.DeepCopy()
	file.Created = v1.Time{Time: epoch}
	file.OS, file.Architecture = "linux", "amd64"
	file.Config.Labels = labels
	return file
}

// compressedLayer is a gzipped tar with the module. The compressor is a pinned module and not Go's own, whose output
// may change with the Go version. Neither Istio nor older releases of Docker support zstd.
func compressedLayer(module []byte) ([]byte, error) {
	var layer bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&layer, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(compressed)
	header := tar.Header{
		Typeflag: tar.TypeReg, Name: pluginFile, Size: int64(len(module)), Mode: 0o644, ModTime: epoch,
		Format: tar.FormatUSTAR,
	}
	if err := archive.WriteHeader(&header); err != nil {
		return nil, err
	}
	if _, err := archive.Write(module); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}

// writeLayout writes the image as an OCI image layout, and replaces an existing one.
func writeLayout(image v1.Image, folder, version string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	reference := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": version})
	if err := path.AppendImage(image, reference); err != nil {
		return fmt.Errorf("%s: %w", folder, err)
	}
	return nil
}

// writeTar writes the image as `docker save` would.
func writeTar(image v1.Image, path, version string) error {
	tag, err := name.NewTag("sluice:" + version)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := tarball.Write(tag, image, &archive); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeNew(path, archive.Bytes())
}
