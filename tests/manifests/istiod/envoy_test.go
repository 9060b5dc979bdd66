package istiod

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapapi "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterapi "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	coreapi "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointapi "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerapi "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routeapi "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	luaapi "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	wasmapi "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmapi "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsapi "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	wasmcommon "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// out is the folder for the files that other tests load: built manifests, and Envoy configurations.
var out = flag.String("out", "", "write what was built and generated into this folder")

// istioAlone are filters that only Istio's build of Envoy has. None of them changes what the gate sees.
var istioAlone = []string{"istio.metadata_exchange", "istio.alpn", "istio.stats", "istio_authn"}

// bootstrap joins what istiod sends piece by piece into one static configuration in the form of envoy-local/envoy.yaml,
// with its paths and its names of listeners and clusters. Everything else is as generated.
func (g gateway) bootstrap(t *testing.T) *bootstrapapi.Bootstrap {
	t.Helper()
	made := &bootstrapapi.Bootstrap{
		Admin:           &bootstrapapi.Admin{Address: address("127.0.0.1", 9901)},
		StaticResources: &bootstrapapi.Bootstrap_StaticResources{},
		StatsConfig:     g.stats,
	}
	for port, name := range map[uint32]string{4317: "otlp_grpc", 4318: "otlp_http"} {
		made.StaticResources.Listeners = append(made.StaticResources.Listeners, g.listener(t, port, name))
	}
	slices.SortFunc(made.StaticResources.Listeners, func(one, other *listenerapi.Listener) int {
		return strings.Compare(one.Name, other.Name)
	})
	for _, cluster := range g.clusters {
		if name, found := local(cluster.Name); found {
			made.StaticResources.Clusters = append(made.StaticResources.Clusters, static(cluster, name))
		}
	}
	for _, backend := range backends {
		if !slices.ContainsFunc(made.StaticResources.Clusters, func(cluster *clusterapi.Cluster) bool { return cluster.Name == backend.cluster }) {
			t.Fatalf("no cluster for %s", backend.cluster)
		}
	}
	return made
}

func (g gateway) listener(t *testing.T, port uint32, name string) *listenerapi.Listener {
	t.Helper()
	at := slices.IndexFunc(g.listeners, func(listener *listenerapi.Listener) bool {
		return listener.GetAddress().GetSocketAddress().GetPortValue() == port
	})
	if at < 0 {
		t.Fatalf("nothing listens on %d", port)
	}
	listener := proto.Clone(g.listeners[at]).(*listenerapi.Listener)
	listener.Name = name
	manager := connectionManager(t, listener)
	route, found := g.routes[manager.GetRds().GetRouteConfigName()]
	if !found {
		t.Fatalf("no routes for port %d", port)
	}
	manager.RouteSpecifier = &hcmapi.HttpConnectionManager_RouteConfig{RouteConfig: proto.Clone(route).(*routeapi.RouteConfiguration)}
	// As with discovered routes: a cluster may be missing.
	manager.GetRouteConfig().ValidateClusters = wrapperspb.Bool(false)
	for _, host := range manager.GetRouteConfig().VirtualHosts {
		for _, route := range host.Routes {
			name, found := local(route.GetRoute().GetCluster())
			if !found && !closed(route) {
				t.Fatalf("a route leads to %v", route.GetRoute().GetClusterSpecifier())
			}
			if found {
				route.GetRoute().ClusterSpecifier = &routeapi.RouteAction_Cluster{Cluster: name}
			}
		}
	}
	var filters []*hcmapi.HttpFilter
	for _, filter := range manager.HttpFilters {
		if !slices.Contains(istioAlone, filter.Name) {
			filters = append(filters, g.filter(t, filter))
		}
	}
	manager.HttpFilters = filters
	chain := listener.FilterChains[0]
	chain.Filters = []*listenerapi.Filter{{Name: chain.Filters[len(chain.Filters)-1].Name, ConfigType: &listenerapi.Filter_TypedConfig{TypedConfig: packed(t, manager)}}}
	tls := &tlsapi.DownstreamTlsContext{}
	must(t, chain.TransportSocket.GetTypedConfig().UnmarshalTo(tls))
	withFiles(t, tls)
	chain.TransportSocket.ConfigType = &coreapi.TransportSocket_TypedConfig{TypedConfig: packed(t, tls)}
	return listener
}

// filter inserts an extension where Istio discovers it, with the names of files in envoy-local.
func (g gateway) filter(t *testing.T, filter *hcmapi.HttpFilter) *hcmapi.HttpFilter {
	t.Helper()
	filter = proto.Clone(filter).(*hcmapi.HttpFilter)
	if extension := g.extensions[filter.Name]; extension != nil {
		filter.ConfigType = &hcmapi.HttpFilter_TypedConfig{TypedConfig: extension.TypedConfig}
	}
	switch content := message(t, filter.GetTypedConfig()).(type) {
	case *wasmapi.Wasm:
		filter.Name = "sluice"
		remote := content.Config.GetVmConfig().Code.GetRemote()
		if remote.GetHttpUri().GetUri() != image || remote.Sha256 != digest {
			t.Errorf("the module comes from %v, not from %s", remote, image)
		}
		content.Config.GetVmConfig().Code.Specifier = &coreapi.AsyncDataSource_Local{Local: file("/etc/sluice/sluice.wasm")}
		if content.Config.AllowOnHeadersStopIteration == nil {
			content.Config.AllowOnHeadersStopIteration = wrapperspb.Bool(false)
		}
		if content.Config.GetFailurePolicy() != wasmcommon.FailurePolicy_FAIL_RELOAD {
			t.Errorf("the failure policy is %v", content.Config.GetFailurePolicy())
		}
		filter.ConfigType = &hcmapi.HttpFilter_TypedConfig{TypedConfig: packed(t, content)}
	case *luaapi.Lua:
		// The Lua filter of a TrafficExtension is discovered under a name that Istio chooses.
		if strings.Contains(content.DefaultSourceCode.GetInlineString(), "x-sluice-header-only") {
			filter.Name = "header_only"
			content.DefaultSourceCode = file("/etc/sluice/header-only.lua")
			filter.ConfigType = &hcmapi.HttpFilter_TypedConfig{TypedConfig: packed(t, content)}
		}
	}
	return filter
}

// withFiles replaces the Secret that istiod would send by files.
func withFiles(t *testing.T, tls *tlsapi.DownstreamTlsContext) {
	t.Helper()
	common := tls.CommonTlsContext
	if len(common.TlsCertificateSdsSecretConfigs) != 1 {
		t.Fatal("the listener does not take its certificate from a Secret")
	}
	common.TlsCertificateSdsSecretConfigs = nil
	common.TlsCertificates = []*tlsapi.TlsCertificate{{CertificateChain: file("/etc/sluice/tls/server.pem"), PrivateKey: file("/etc/sluice/tls/server.key")}}
	if !tls.RequireClientCertificate.GetValue() {
		if common.ValidationContextType != nil {
			t.Fatal("the listener looks at certificates, and does not ask for one")
		}
		return
	}
	if common.GetCombinedValidationContext().GetValidationContextSdsSecretConfig() == nil {
		t.Fatal("the listener does not take the senders' authority from a Secret")
	}
	validation := common.GetCombinedValidationContext().DefaultValidationContext
	validation.TrustedCa = file("/etc/sluice/tls/ca.pem")
	common.ValidationContextType = &tlsapi.CommonTlsContext_ValidationContext{ValidationContext: validation}
}

// static is a cluster with a fixed address instead of the endpoints that istiod would send. It has no TLS, because the
// stand-ins do not support it and the certificates would come from a Secret.
func static(cluster *clusterapi.Cluster, name string) *clusterapi.Cluster {
	made := proto.Clone(cluster).(*clusterapi.Cluster)
	made.Name = name
	made.ClusterDiscoveryType = &clusterapi.Cluster_Type{Type: clusterapi.Cluster_STATIC}
	made.EdsClusterConfig, made.TransportSocketMatches, made.Filters, made.TransportSocket = nil, nil, nil, nil
	made.LoadAssignment = &endpointapi.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointapi.LocalityLbEndpoints{{
		LbEndpoints: []*endpointapi.LbEndpoint{{HostIdentifier: &endpointapi.LbEndpoint_Endpoint{Endpoint: &endpointapi.Endpoint{Address: address("127.0.0.1", 1)}}}},
	}}}
	return made
}

// local is the name in envoy-local of one of Istio's clusters, like `outbound|80||loki-gateway.loki.svc.cluster.local`.
func local(cluster string) (string, bool) {
	for _, backend := range backends {
		if cluster == fmt.Sprintf("outbound|%d||%s.%s.svc.cluster.local", backend.port, backend.name, backend.namespace) {
			return backend.cluster, true
		}
	}
	for host, name := range external {
		if cluster == "outbound|443||"+host {
			return name, true
		}
	}
	return "", false
}

func message(t *testing.T, packed *anypb.Any) proto.Message {
	t.Helper()
	if packed == nil {
		t.Fatal("a filter has no configuration")
	}
	content, err := packed.UnmarshalNew()
	must(t, err)
	return content
}

func packed(t *testing.T, content proto.Message) *anypb.Any {
	t.Helper()
	made, err := anypb.New(content)
	must(t, err)
	return made
}

func file(path string) *coreapi.DataSource {
	return &coreapi.DataSource{Specifier: &coreapi.DataSource_Filename{Filename: path}}
}

func address(host string, port uint32) *coreapi.Address {
	socket := &coreapi.SocketAddress{Address: host, PortSpecifier: &coreapi.SocketAddress_PortValue{PortValue: port}}
	return &coreapi.Address{Address: &coreapi.Address_SocketAddress{SocketAddress: socket}}
}

// onIstio are the kustomizations with a gateway of Istio.
func onIstio(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(kustomizations(t), func(folder string) bool {
		return folder != "base" && !strings.HasPrefix(folder, "overlays/") && !strings.HasPrefix(folder, "with/")
	})
}

func TestIstiodMakesOfEveryOverlayAGatewayThatTheGateGuards(t *testing.T) {
	for _, folder := range onIstio(t) {
		t.Run(folder, func(t *testing.T) {
			made := generated(t, folder)
			ports := map[uint32]bool{}
			for _, listener := range made.listeners {
				ports[listener.GetAddress().GetSocketAddress().GetPortValue()] = true
				guarded(t, made, listener, folder == tokensAlone)
				// Over OTLP, each request is logged a second time on purpose.
				if logs := len(connectionManager(t, listener).AccessLog); logs != 1 && folder != "with/access-log-otlp" || len(listener.AccessLog) != 1 {
					t.Errorf("%s: a request is logged %d times, a failed handshake %d times", listener.Name, logs, len(listener.AccessLog))
				}
			}
			for _, port := range []uint32{443, 4317, 4318} {
				if !ports[port] {
					t.Errorf("nothing listens on %d: %v", port, slices.Collect(maps.Keys(ports)))
				}
			}
			for name, routes := range made.routes {
				for _, host := range routes.VirtualHosts {
					for _, route := range host.Routes {
						headers := route.Match.GetHeaders()
						if !closed(route) && (len(headers) != 1 || headers[0].Name != "x-sluice-backend") {
							t.Errorf("%s: a request can reach %v without the gate", name, route.GetRoute().GetCluster())
						}
					}
				}
			}
			var tags []string
			for _, tag := range made.stats.StatsTags {
				tags = append(tags, tag.TagName)
			}
			for _, tag := range []string{"sender", "signal", "reason", "outcome"} {
				if !slices.Contains(tags, tag) && folder != "overlays/existing-gateway" {
					t.Errorf("no tag %s: %v", tag, tags)
				}
			}
			bootstrap := made.bootstrap(t)
			must(t, bootstrap.ValidateAll())
			// The other patches change nothing of Envoy's own configuration.
			switch {
			case !strings.HasPrefix(folder, "with/") || folder == "with/default-deny":
				write(t, folder, "envoy.json", marshalled(t, bootstrap))
			case folder == "with/access-log-otlp":
				// Its collector is not there, so not every test can start it.
				write(t, folder, "collector.json", marshalled(t, bootstrap))
			}
		})
	}
}

// closed tells whether a route has no cluster on purpose.
func closed(route *routeapi.Route) bool {
	return strings.HasSuffix(route.GetRoute().GetCluster(), "||closed.invalid")
}

// tokensAlone is the overlay whose senders show no certificate.
const tokensAlone = "overlays/jwt"

// guarded checks one listener: mutual TLS, or tokens that are verified before the gate reads them, and an order of the
// filters in which nothing gets around the gate.
func guarded(t *testing.T, made gateway, listener *listenerapi.Listener, tokens bool) {
	t.Helper()
	tls := &tlsapi.DownstreamTlsContext{}
	must(t, listener.FilterChains[0].TransportSocket.GetTypedConfig().UnmarshalTo(tls))
	if tls.RequireClientCertificate.GetValue() == tokens || !tls.GetDisableStatelessSessionResumption() || !tls.DisableStatefulSessionResumption {
		t.Errorf("%s: TLS: %v", listener.Name, tls)
	}
	manager := connectionManager(t, listener)
	if details := manager.ForwardClientCertDetails; details != hcmapi.HttpConnectionManager_SANITIZE_SET {
		t.Errorf("%s: what a sender says of its certificate is dealt with as %v", listener.Name, details)
	}
	if manager.CommonHttpProtocolOptions.GetHeadersWithUnderscoresAction() != coreapi.HttpProtocolOptions_DROP_HEADER {
		t.Errorf("%s: names of headers with underscores pass", listener.Name)
	}
	var order []string
	for _, filter := range manager.HttpFilters {
		if !slices.Contains(istioAlone, filter.Name) {
			order = append(order, made.filter(t, filter).Name)
		}
	}
	position := func(name string) int { return slices.Index(order, name) }
	if position("closed") != 0 || position("sluice") < 0 || position("header_only") < position("sluice") {
		t.Errorf("%s: the filters stand in the order %v", listener.Name, order)
	}
	if verified := position("envoy.filters.http.jwt_authn"); (verified >= 0) != tokens || verified > position("sluice") {
		t.Errorf("%s: tokens are verified in the place %d of %v", listener.Name, verified, order)
	}
	if strings.Count(strings.Join(order, " "), "sluice") != 1 {
		t.Errorf("%s: the gate is there more than once: %v", listener.Name, order)
	}
}

func TestWhatIsBuiltIsWrittenForTheOtherTests(t *testing.T) {
	for _, folder := range kustomizations(t) {
		write(t, folder, "yaml", text(t, built(t, folder)))
	}
}

// marshalled is a message with the names of fields in Envoy's own files.
func marshalled(t *testing.T, content proto.Message) string {
	t.Helper()
	encoded, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(content)
	must(t, err)
	// protojson varies its white space on purpose.
	var value any
	must(t, json.Unmarshal(encoded, &value))
	pretty, err := json.MarshalIndent(value, "", " ")
	must(t, err)
	return string(pretty)
}

func write(t *testing.T, folder, ending, content string) {
	t.Helper()
	if *out == "" {
		return
	}
	must(t, os.MkdirAll(*out, 0o755))
	name := strings.ReplaceAll(folder, string(filepath.Separator), "-") + "." + ending
	must(t, os.WriteFile(filepath.Join(*out, name), []byte(content), 0o644))
}
