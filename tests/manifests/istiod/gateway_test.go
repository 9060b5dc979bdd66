package istiod

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	clusterapi "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	coreapi "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerapi "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	metricsapi "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	routeapi "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmapi "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	meshconfig "istio.io/api/mesh/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"istio.io/istio/pilot/pkg/config/kube/extensions"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking/core"
	"istio.io/istio/pilot/pkg/serviceregistry/kube"
	"istio.io/istio/pkg/bootstrap"
	"istio.io/istio/pkg/cluster"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/kube/krt"
	istiomodel "istio.io/istio/pkg/model"
	"sigs.k8s.io/yaml"
)

// istioVersion is the version of the gateway for which istiod's code generates.
const istioVersion = "1.31.0"

// gateway is what istiod sends to a pod of the gateway.
type gateway struct {
	listeners  []*listenerapi.Listener
	routes     map[string]*routeapi.RouteConfiguration
	clusters   []*clusterapi.Cluster
	extensions map[string]*coreapi.TypedExtensionConfig
	// stats says which metrics Envoy has, and their labels, as in the pod's own bootstrap.
	stats *metricsapi.StatsConfig
	// overload are the limits of the whole process, from there too.
	overload json.RawMessage
	// settings are those of the pod's annotation, over Istio's own.
	settings *meshconfig.ProxyConfig
}

// backend is a port of a Service in the cluster, as a chart would install it.
type backend struct {
	name, namespace, portName string
	port                      int32
	// cluster is its name in envoy-local.
	cluster string
}

var backends = []backend{
	{"loki-gateway", "loki", "http-metrics", 80, "loki"},
	{"mimir-gateway", "mimir", "http-metrics", 80, "mimir"},
	// A protocol that Istio does not know.
	{"tempo-distributor", "tempo", "otlp-http", 4318, "tempo"},
	{"tempo-distributor", "tempo", "otlp-grpc", 4317, "tempo-grpc"},
	{"pyroscope", "pyroscope", "http-metrics", 4040, "pyroscope"},
}

// external are the hosts outside of the cluster to which an overlay sends, by the name of their backend.
var external = map[string]string{
	"otlp.management.example":                   "management",
	"aps-workspaces.eu-central-1.amazonaws.com": "amazon-managed-prometheus",
}

// keys are those of tests/e2e/src/token.rs, and issuerKeys is their URL in the manifest.
const (
	keys       = `{"keys": [{"kty": "oct", "alg": "HS256", "k": "YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcyBvciBtb3Jl"}]}`
	issuerKeys = "https://keycloak.example/realms/telemetry/protocol/openid-connect/certs"
)

// generated runs istiod's own code to generate what it would send to the gateway of a kustomization.
func generated(t *testing.T, folder string) gateway {
	t.Helper()
	resources := built(t, folder)
	var istio []string
	var deployment appsv1.Deployment
	namespace := "istio-ingress"
	labels := map[string]string{"istio": "ingressgateway"}
	services := []*model.Service{}
	ports := map[string][]corev1.ServicePort{}
	namespaces := map[string]string{}
	for _, backend := range backends {
		port := corev1.ServicePort{Name: backend.portName, Port: backend.port, Protocol: corev1.ProtocolTCP}
		ports[backend.name] = append(ports[backend.name], port)
		namespaces[backend.name] = backend.namespace
	}
	for name, namespace := range namespaces {
		services = append(services, service(corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
			Spec:       corev1.ServiceSpec{ClusterIP: "10.0.0.1", Ports: ports[name]},
		}))
	}
	var own *model.Service
	for _, resource := range resources.Resources() {
		document, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.Contains(resource.GetApiVersion(), "istio.io/"):
			istio = append(istio, string(document))
		case resource.GetKind() == "Deployment":
			must(t, yaml.UnmarshalStrict(document, &deployment))
			namespace, labels = deployment.Namespace, deployment.Spec.Template.Labels
		case resource.GetKind() == "Service":
			var found corev1.Service
			must(t, yaml.UnmarshalStrict(document, &found))
			found.Spec.ClusterIP = "10.0.0.2"
			own = service(found)
			services = append(services, own)
		}
	}
	var instances []*model.ServiceInstance
	if own != nil {
		for _, port := range own.Ports {
			instances = append(instances, &model.ServiceInstance{
				Service: own, ServicePort: port,
				Endpoint: &model.IstioEndpoint{Addresses: []string{"10.1.0.1"}, EndpointPort: uint32(port.Port), ServicePortName: port.Name, Labels: labels, Namespace: namespace},
			})
		}
	}
	// istiod fetches an issuer's keys.
	issuer := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		_, _ = answer.Write([]byte(keys))
	}))
	defer issuer.Close()
	if folder == "with/default-deny" {
		istio = append(istio, "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: none, namespace: istio-system}, spec: {}}")
	}
	documents := strings.ReplaceAll(strings.Join(istio, "\n---\n"), issuerKeys, issuer.URL)
	istiod := istiodWith(t, documents, services, instances)
	annotations := deployment.Spec.Template.Annotations
	// As the injector does with a pod's own annotations.
	settings, err := mesh.MergeProxyConfig(annotations["proxy.istio.io/config"], mesh.DefaultProxyConfig())
	must(t, err)
	proxy := istiod.SetupProxy(&model.Proxy{
		Type: model.Router, ConfigNamespace: namespace, Labels: labels, IPAddresses: []string{"10.1.0.1"},
		Metadata: &model.NodeMetadata{
			Namespace: namespace, Labels: labels, IstioVersion: istioVersion, ClusterID: "Kubernetes",
			ProxyConfig: (*model.NodeMetaProxyConfig)(settings), Raw: map[string]any{},
		},
	})
	made := gateway{
		listeners: istiod.Listeners(proxy), clusters: istiod.Clusters(proxy),
		routes: map[string]*routeapi.RouteConfiguration{}, extensions: map[string]*coreapi.TypedExtensionConfig{},
	}
	for _, route := range istiod.RoutesFromListeners(proxy, made.listeners) {
		made.routes[route.Name] = route
	}
	for _, listener := range made.listeners {
		for _, filter := range connectionManager(t, listener).HttpFilters {
			if filter.GetConfigDiscovery() != nil && made.extensions[filter.Name] == nil {
				found := istiod.ConfigGen.BuildExtensionConfiguration(proxy, istiod.PushContext(), []string{filter.Name}, nil)
				if len(found) != 1 {
					t.Fatalf("%s: the filter %s is discovered as %v", folder, filter.Name, found)
				}
				made.extensions[filter.Name] = found[0]
			}
		}
	}
	made.settings = settings
	made.stats, made.overload = podBootstrap(t, annotations, settings)
	return made
}

// podBootstrap has two parts of the bootstrap that the Istio agent's own code makes for a pod with these annotations.
func podBootstrap(t *testing.T, annotations map[string]string, settings *meshconfig.ProxyConfig) (*metricsapi.StatsConfig, json.RawMessage) {
	t.Helper()
	folders, err := listed(exec.Command("go", "list", "-mod=readonly", "-m", "-json", "istio.io/istio"), nil)
	must(t, err)
	node := &istiomodel.Node{
		ID:       "router~10.1.0.1~sluice-gateway.sluice~sluice.svc.cluster.local",
		Locality: &coreapi.Locality{},
		Metadata: &istiomodel.BootstrapNodeMetadata{NodeMetadata: istiomodel.NodeMetadata{
			Annotations: annotations, InstanceIPs: []string{"10.1.0.1"}, ProxyConfig: (*istiomodel.NodeMetaProxyConfig)(settings),
		}},
	}
	var written bytes.Buffer
	must(t, bootstrap.New(bootstrap.Config{Node: node}).WriteTo(folders["istio.io/istio"]+"/tools/packaging/common/envoy_bootstrap.json", &written))
	var parts struct {
		StatsConfig     json.RawMessage `json:"stats_config"`
		OverloadManager json.RawMessage `json:"overload_manager"`
	}
	if err := json.Unmarshal(written.Bytes(), &parts); err != nil {
		t.Fatalf("the bootstrap: %v: %s", err, written.String())
	}
	made := &metricsapi.StatsConfig{}
	must(t, protojson.Unmarshal(parts.StatsConfig, made))
	return made, parts.OverloadManager
}

// istiodWith is istiod's own code with these resources. The conversion of a WasmPlugin into a TrafficExtension runs in
// parallel, so the function waits for it.
func istiodWith(t *testing.T, yaml string, services []*model.Service, instances []*model.ServiceInstance) *core.ConfigGenTest {
	t.Helper()
	var translator *extensions.Controller
	// Many meshes log every request. The gateway's own log must stay the only one.
	meshSettings := mesh.DefaultMeshConfig()
	meshSettings.AccessLogFile = "/dev/stdout"
	istiod := core.NewConfigGenTest(t, core.TestOptions{
		MeshConfig: meshSettings, ConfigString: yaml, Services: services, Instances: instances, SkipRun: true,
		CreateConfigStore: func(store model.ConfigStoreController) model.ConfigStoreController {
			translator = extensions.NewController(store, nil, krt.GlobalDebugHandler)
			return translator
		},
	})
	istiod.Run()
	plugins := len(istiod.Store().List(gvk.WasmPlugin, model.NamespaceAll))
	for deadline := time.Now().Add(time.Minute); len(translator.List(gvk.TrafficExtension, model.NamespaceAll)) < plugins; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the WasmPlugin was not translated")
		}
	}
	must(t, istiod.Env().InitNetworksManager(model.NewEndpointIndexUpdater(istiod.Env().EndpointIndex)))
	istiod.PushContext().InitContext(istiod.Env(), nil, nil)
	resolver := model.NewJwksResolver(model.JwtPubKeyEvictionDuration, model.JwtPubKeyRefreshInterval, model.JwtPubKeyRefreshIntervalOnFailure, time.Second)
	t.Cleanup(resolver.Close)
	istiod.PushContext().JwtKeyResolver = resolver
	return istiod
}

func service(found corev1.Service) *model.Service {
	return kube.ConvertService(found, nil, constants.DefaultClusterLocalDomain, cluster.ID("Kubernetes"), "cluster.local")
}

// connectionManager is the last network filter of the listener's only filter chain.
func connectionManager(t *testing.T, listener *listenerapi.Listener) *hcmapi.HttpConnectionManager {
	t.Helper()
	if len(listener.FilterChains) != 1 {
		t.Fatalf("%s has %d filter chains", listener.Name, len(listener.FilterChains))
	}
	filters := listener.FilterChains[0].Filters
	manager := &hcmapi.HttpConnectionManager{}
	must(t, filters[len(filters)-1].GetTypedConfig().UnmarshalTo(manager))
	return manager
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
