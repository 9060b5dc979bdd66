package istiod

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	otlpapi "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	streamapi "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	credentials "istio.io/istio/pilot/pkg/credentials/kube"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/wasm"
	"sigs.k8s.io/yaml"
)

// find reads the only resource of a kind, in the usual overlay with a component.
func find(t *testing.T, component, kind string, into any) {
	t.Helper()
	for _, resource := range built(t, "with/"+component).Resources() {
		if resource.GetKind() == kind {
			document, err := resource.AsYAML()
			must(t, err)
			must(t, yaml.UnmarshalStrict(document, into))
			return
		}
	}
	t.Fatalf("%s: no %s", component, kind)
}

func TestEachPatchOfTheNetworkPolicyOpensOnePlace(t *testing.T) {
	for component, expected := range map[string]string{
		"node-local-dns": "169.254.20.10/32: 53 53",
		"openshift":      "openshift-dns: 5353 5353",
		"registry":       "registry: 5000",
		// And a place for the log.
		"access-log-otlp": "observability: 4317",
	} {
		var before, after networkingv1.NetworkPolicy
		find(t, "revision", "NetworkPolicy", &before)
		find(t, component, "NetworkPolicy", &after)
		count := len(before.Spec.Egress)
		if len(after.Spec.Egress) != count+1 {
			t.Fatalf("%s: %v", component, after.Spec.Egress)
		}
		added := after.Spec.Egress[count]
		place := ""
		for _, to := range added.To {
			if to.IPBlock != nil {
				place += to.IPBlock.CIDR
			} else {
				place += to.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]
			}
		}
		place += ":"
		for _, port := range added.Ports {
			place += fmt.Sprintf(" %d", port.Port.IntVal)
		}
		if place != expected {
			t.Errorf("%s opens %s", component, place)
		}
	}
}

func TestARevisionInjectsAlone(t *testing.T) {
	var namespace corev1.Namespace
	find(t, "revision", "Namespace", &namespace)
	if _, both := namespace.Labels["istio-injection"]; both || namespace.Labels["istio.io/rev"] != "stable" {
		t.Errorf("%v", namespace.Labels)
	}
}

// Each worker may use workerBytes, and Envoy half of that beside it, and 200 MiB are Envoy's own (filters/README.md).
func TestTheMemoryIsEnoughForTheWorkers(t *testing.T) {
	const workerBytes = 512 << 20 // the default, which no manifest changes
	for _, folder := range onIstio(t) {
		var deployment appsv1.Deployment
		found := false
		for _, resource := range built(t, folder).Resources() {
			if resource.GetKind() == "Deployment" {
				document, err := resource.AsYAML()
				must(t, err)
				must(t, yaml.UnmarshalStrict(document, &deployment))
				found = true
			}
			if text, err := resource.AsYAML(); err != nil || strings.Contains(string(text), "workerBytes") {
				t.Errorf("%s sets workerBytes: %v", folder, err)
			}
		}
		if !found {
			continue
		}
		made := generated(t, folder)
		workers := int64(made.settings.GetConcurrency().GetValue())
		memory := deployment.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().Value()
		if needed := workers*workerBytes*3/2 + 200<<20; workers == 0 || memory < needed {
			t.Errorf("%s: %d workers need %d bytes, and have %d", folder, workers, needed, memory)
		}
		if !strings.Contains(string(made.overload), "10000") {
			t.Errorf("%s: connections are not limited: %s", folder, made.overload)
		}
	}
}

// The same of what Envoy Gateway is given.
func TestTheMemoryIsEnoughForTheWorkersOfEnvoyGateway(t *testing.T) {
	found := false
	for _, resource := range built(t, "envoy-gateway").Resources() {
		if resource.GetKind() != "EnvoyProxy" {
			continue
		}
		found = true
		var proxy struct {
			Spec struct {
				Concurrency int64
				Provider    struct {
					Kubernetes struct {
						EnvoyDeployment struct {
							Container struct{ Resources corev1.ResourceRequirements }
						}
					}
				}
			}
		}
		document, err := resource.AsYAML()
		must(t, err)
		must(t, yaml.Unmarshal(document, &proxy))
		workers := proxy.Spec.Concurrency
		memory := proxy.Spec.Provider.Kubernetes.EnvoyDeployment.Container.Resources.Limits.Memory().Value()
		if needed := workers*(512<<20)*3/2 + 200<<20; workers == 0 || memory < needed {
			t.Errorf("%d workers need %d bytes, and have %d", workers, needed, memory)
		}
	}
	if !found {
		t.Error("no EnvoyProxy")
	}
}

// Istio's own code looks for the Secret with -cacert first. Without it, it takes the authority that cert-manager writes
// beside the certificate.
func TestTheSendersAuthorityIsThatOfItsOwnSecret(t *testing.T) {
	secret := func(name, authority string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "sluice"},
			Data:       map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("x"), "ca.crt": []byte(authority)},
		}
	}
	own, senders := secret("sluice-tls", "the gateway's"), secret("sluice-tls-cacert", "the senders'")
	for expected, secrets := range map[string][]*corev1.Secret{"the senders'": {own, senders}, "the gateway's": {own}} {
		client := kube.NewFakeClient()
		for _, secret := range secrets {
			_, err := client.Kube().CoreV1().Secrets("sluice").Create(t.Context(), secret, metav1.CreateOptions{})
			must(t, err)
		}
		controller := credentials.NewCredentialsController(client, nil, true)
		client.RunAndWait(test.NewStop(t))
		taken, err := controller.GetCaCert("sluice-tls-cacert", "sluice")
		must(t, err)
		if string(taken.Cert) != expected {
			t.Errorf("taken: %s, not %s", taken.Cert, expected)
		}
	}
}

func TestTheAgentShowsTheRegistryThePasswordOfTheMountedFile(t *testing.T) {
	var deployment appsv1.Deployment
	find(t, "private-registry", "Deployment", &deployment)
	container := deployment.Spec.Template.Spec.Containers[0]
	folder := ""
	for _, variable := range container.Env {
		if variable.Name == "DOCKER_CONFIG" {
			folder = variable.Value
		}
	}
	volume := deployment.Spec.Template.Spec.Volumes[0]
	if folder == "" || container.VolumeMounts[0].MountPath != folder || container.VolumeMounts[0].Name != volume.Name {
		t.Fatalf("%q is not mounted: %v", folder, container.VolumeMounts)
	}
	item := volume.Secret.Items[0]
	if item.Key != corev1.DockerConfigJsonKey {
		t.Errorf("the Secret's key is %s", item.Key)
	}

	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	open := true
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if user, password, shown := request.BasicAuth(); !open && !(shown && user == "sluice" && password == "word") {
			answer.Header().Set("WWW-Authenticate", "Basic")
			answer.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(answer, request)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	index, err := layout.ImageIndexFromPath(dist + "sluice.oci")
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	image, err := index.Image(manifest.Manifests[0].Digest)
	must(t, err)
	reference, err := name.ParseReference(host+"/sluice:tag", name.Insecure)
	must(t, err)
	must(t, remote.Write(reference, image))
	open = false

	mounted := t.TempDir()
	t.Setenv("DOCKER_CONFIG", mounted)
	fetch := func() error {
		fetcher := wasm.NewImageFetcher(t.Context(), wasm.ImageFetcherOption{Insecure: true})
		_, _, err := fetcher.PrepareFetch(host + "/sluice:tag")
		return err
	}
	if err := fetch(); err == nil {
		t.Error("the registry asks for no password")
	}
	word := base64.StdEncoding.EncodeToString([]byte("sluice:word"))
	config := fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, host, word)
	must(t, os.WriteFile(filepath.Join(mounted, item.Path), []byte(config), 0o600))
	if err := fetch(); err != nil {
		t.Errorf("with the password: %v", err)
	}
}

// The attributes that are sent are the fields that are written.
func TestTheAccessLogOverOTLPHasTheSameFields(t *testing.T) {
	made := generated(t, "with/access-log-otlp")
	for _, listener := range made.listeners {
		logs := connectionManager(t, listener).AccessLog
		written, sent := map[string]string{}, map[string]string{}
		for _, log := range logs {
			switch config := message(t, log.GetTypedConfig()).(type) {
			case *streamapi.StdoutAccessLog:
				flatten("sluice.", config.GetLogFormat().GetJsonFormat().AsMap(), written)
			case *otlpapi.OpenTelemetryAccessLogConfig:
				for _, attribute := range config.Attributes.Values {
					sent[attribute.Key] = attribute.Value.GetStringValue()
				}
			}
		}
		// A log record has its own time.
		delete(written, "sluice.start")
		if len(logs) != 2 || len(sent) < 20 || !maps.Equal(written, sent) {
			t.Errorf("%s: written: %v\nsent: %v", listener.Name, written, sent)
		}
	}
}

func flatten(prefix string, fields map[string]any, into map[string]string) {
	for name, value := range fields {
		switch value := value.(type) {
		case string:
			into[prefix+name] = value
		case map[string]any:
			flatten(prefix+name+".", value, into)
		}
	}
}
