package istiod

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"
	"istio.io/istio/pilot/pkg/config/kube/crd"
	crdvalidation "istio.io/istio/pkg/config/crd"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// definitions are patterns of files with CustomResourceDefinitions, by their module.
var definitions = map[string][]string{
	"istio.io/istio":                       {"manifests/charts/base/files/crd-all.gen.yaml"},
	"sigs.k8s.io/gateway-api":              {"config/crd/standard/gateway.networking.k8s.io_*.yaml"},
	"github.com/argoproj/argo-cd/v3":       {"manifests/crds/application-crd.yaml"},
	"github.com/cert-manager/cert-manager": {"deploy/crds/cert-manager.io_certificates.yaml"},
	"github.com/envoyproxy/gateway":        {"charts/gateway-helm/charts/crds/crds/generated/*.yaml"},
	"github.com/external-secrets/external-secrets": {
		"config/crds/bases/external-secrets.io_externalsecrets.yaml",
		"config/crds/bases/external-secrets.io_secretstores.yaml",
		"config/crds/bases/generators.external-secrets.io_vaultdynamicsecrets.yaml",
	},
	"github.com/fluxcd/kustomize-controller":             {"config/crd/bases/*.yaml"},
	"github.com/fluxcd/source-controller":                {"config/crd/bases/*repositories.yaml"},
	"github.com/prometheus-operator/prometheus-operator": {"example/prometheus-operator-crd/monitoring.coreos.com_p*.yaml"},
}

// validator checks manifests with the real CustomResourceDefinitions, as an API server does, unknown fields included.
var validator = sync.OnceValues(func() (*crdvalidation.Validator, error) {
	folders, err := moduleFolders()
	if err != nil {
		return nil, err
	}
	var files []string
	for module, patterns := range definitions {
		for _, pattern := range patterns {
			found, err := filepath.Glob(filepath.Join(folders[module], pattern))
			if err != nil || len(found) == 0 || folders[module] == "" {
				return nil, fmt.Errorf("%s has no %s (any more)", module, pattern)
			}
			files = append(files, found...)
		}
	}
	return crdvalidation.NewValidatorFromFilesWithOptions(files, crdvalidation.WithoutCRDValidation())
})

// moduleFolders returns the folders of the modules with definitions.
func moduleFolders() (map[string]string, error) {
	folders, err := listed(exec.Command("go", "list", "-mod=readonly", "-m", "-json", "istio.io/istio", "sigs.k8s.io/gateway-api"), nil)
	if err != nil {
		return nil, err
	}
	sums, err := os.ReadFile("schemas/go.sum")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("schemas/go.mod")
	if err != nil {
		return nil, err
	}
	file, err := modfile.Parse("schemas/go.mod", text, nil)
	if err != nil {
		return nil, err
	}
	download := exec.Command("go", "mod", "download", "-json")
	download.Dir = "schemas"
	for _, require := range file.Require {
		download.Args = append(download.Args, require.Mod.String())
	}
	others, err := listed(download, sums)
	if err != nil {
		return nil, err
	}
	for module, folder := range others {
		folders[module] = folder
	}
	return folders, nil
}

// listed runs a go command that prints modules as JSON, and returns their folders. If sums is not empty, each module
// must be in it.
func listed(command *exec.Cmd, sums []byte) (map[string]string, error) {
	var problems bytes.Buffer
	command.Stderr = &problems
	output, err := command.Output()
	folders := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); decoder.More(); {
		var module struct{ Path, Version, Dir, Error, Sum string }
		if err := decoder.Decode(&module); err != nil {
			return nil, err
		}
		if module.Error != "" {
			return nil, fmt.Errorf("%s", module.Error)
		}
		line := fmt.Sprintf("%s %s %s\n", module.Path, module.Version, module.Sum)
		if sums != nil && !bytes.Contains(sums, []byte(line)) {
			return nil, fmt.Errorf("%s %s is not in schemas/go.sum with the hash %s", module.Path, module.Version, module.Sum)
		}
		folders[module.Path] = module.Dir
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w: %s", command.Args, err, problems.String())
	}
	return folders, nil
}

func TestEveryManifestMeetsTheSchemaOfItsKind(t *testing.T) {
	kinds := map[string]bool{}
	for _, folder := range kustomizations(t) {
		t.Run(folder, func(t *testing.T) {
			for _, resource := range built(t, folder).Resources() {
				kinds[resource.GetKind()] = true
				document, err := resource.AsYAML()
				if err != nil {
					t.Fatal(err)
				}
				if err := meetsSchema(document); err != nil {
					t.Errorf("%s %s: %v", resource.GetKind(), resource.GetName(), err)
				}
			}
		})
	}
	for _, kind := range []string{
		"WasmPlugin", "TrafficExtension", "EnvoyFilter", "Gateway", "VirtualService", "DestinationRule", "NetworkPolicy",
		"PodDisruptionBudget", "HorizontalPodAutoscaler", "EnvoyExtensionPolicy", "ClientTrafficPolicy", "HTTPRoute",
		"AuthorizationPolicy", "Certificate", "Telemetry", "ExternalSecret", "VaultDynamicSecret", "Application", "Kustomization", "PodMonitor", "PrometheusRule",
	} {
		if !kinds[kind] {
			t.Errorf("no kustomization has a %s", kind)
		}
	}
}

// meetsSchema checks one document with the definition of its kind, or with Kubernetes' own type. Then Istio's webhook
// checks it; a warning is an error.
func meetsSchema(document []byte) error {
	var object unstructured.Unstructured
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		return err
	}
	if scheme.Scheme.Recognizes(object.GroupVersionKind()) {
		decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
		_, _, err := decoder.Decode(document, nil, nil)
		return err
	}
	validator, err := validator()
	if err != nil {
		return err
	}
	if err := validator.ValidateCustomResource(&object); err != nil {
		return err
	}
	kubernetesKind := object.GroupVersionKind()
	kind := resource.FromKubernetesGVK(&kubernetesKind)
	if schema, isIstio := collections.Pilot.FindByGroupVersionAliasesKind(kind); isIstio {
		configs, _, err := crd.ParseInputs(string(document))
		if err != nil {
			return err
		}
		for _, config := range configs {
			warning, err := schema.ValidateConfig(config)
			if err != nil {
				return fmt.Errorf("Istio: %w", err)
			}
			// Istio gives this warning for every EnvoyFilter.
			if warning != nil && warning.Error() != "EnvoyFilter exposes internal implementation details that may change at any time. "+
				"Prefer other APIs if possible, and exercise extreme caution, especially around upgrades." {
				return fmt.Errorf("Istio warns: %w", warning)
			}
		}
	}
	return nil
}

func TestAKeyThatASchemaDoesNotKnowIsRefused(t *testing.T) {
	yaml := text(t, built(t, "base"))
	for _, document := range strings.Split(yaml, "\n---\n") {
		broken := strings.Replace(document, "\nspec:\n", "\nspec:\n  noSuchKey: 1\n", 1)
		if broken != document && meetsSchema([]byte(broken)) == nil {
			t.Errorf("an unknown key passes in %s", strings.SplitN(document, "\nspec:", 2)[0])
		}
	}
	plugin := `{apiVersion: extensions.istio.io/v1alpha1, kind: WasmPlugin, metadata: {name: x}, spec: {url: "oci://x", failStrategy: FAIL_SOMETIMES}}`
	if meetsSchema([]byte(plugin)) == nil {
		t.Error("an unknown failStrategy passes")
	}
	filter := `{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: x}, spec: {workloadSelector: {labels: {a: b}}, configPatches: [{applyTo: HTTP_FILTER, match: {context: GATEWAY}, patch: {operation: INSERT_FIRST, value: {name: x, noSuchKey: 1}}}]}}`
	if meetsSchema([]byte(filter)) == nil {
		t.Error("a patch with a key that Envoy does not know passes")
	}
}
