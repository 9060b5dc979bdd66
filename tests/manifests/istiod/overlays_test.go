package istiod

import (
	"os"
	"reflect"
	"slices"
	"testing"

	clusterapi "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	jwtapi "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	proxyprotocolapi "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	tlsapi "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpapi "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// upstream is a gateway's cluster outside of the cluster, with its protocol and its TLS.
func upstream(t *testing.T, folder, name string) (*httpapi.HttpProtocolOptions, *tlsapi.UpstreamTlsContext) {
	t.Helper()
	made := generated(t, folder)
	at := slices.IndexFunc(made.clusters, func(cluster *clusterapi.Cluster) bool {
		found, _ := local(cluster.Name)
		return found == name
	})
	if at < 0 {
		t.Fatalf("%s has no cluster for %s", folder, name)
	}
	return protocol(t, made.clusters[at]), message(t, made.clusters[at].GetTransportSocket().GetTypedConfig()).(*tlsapi.UpstreamTlsContext)
}

func protocol(t *testing.T, cluster *clusterapi.Cluster) *httpapi.HttpProtocolOptions {
	t.Helper()
	return message(t, cluster.TypedExtensionProtocolOptions["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]).(*httpapi.HttpProtocolOptions)
}

// answers checks that only the host with this name is accepted.
func answers(t *testing.T, tls *tlsapi.UpstreamTlsContext, host, authority string) {
	t.Helper()
	validation := tls.CommonTlsContext.GetCombinedValidationContext()
	names := validation.GetDefaultValidationContext().GetMatchSubjectAltNames() //nolint:staticcheck // what Istio sets
	if tls.Sni != host || len(names) != 1 || names[0].GetExact() != host || validation.GetValidationContextSdsSecretConfig().GetName() != authority {
		t.Errorf("whoever answers for %s: %v", host, tls)
	}
}

func TestAWorkerClustersGateSpeaksHTTP2AndMutualTLSWithTheManagements(t *testing.T) {
	speaks, tls := upstream(t, "overlays/gateway-chain/worker", "management")
	if speaks.GetExplicitHttpConfig().GetHttp2ProtocolOptions() == nil {
		t.Errorf("gRPC cannot go on: %v", speaks)
	}
	own := tls.CommonTlsContext.TlsCertificateSdsSecretConfigs
	if len(own) != 1 || own[0].Name != "kubernetes://sluice-to-management" {
		t.Errorf("its own certificate: %v", own)
	}
	answers(t, tls, "otlp.management.example", "kubernetes://sluice-to-management-cacert")
}

func TestWhatGoesToAmazonIsSignedAsInEnvoyLocal(t *testing.T) {
	speaks, tls := upstream(t, "overlays/remote-write", "amazon-managed-prometheus")
	answers(t, tls, "aps-workspaces.eu-central-1.amazonaws.com", "file-root:system")
	text, err := os.ReadFile("../../../envoy-local/amazon-managed-prometheus.yaml")
	must(t, err)
	json, err := yaml.YAMLToJSON(text)
	must(t, err)
	tested := &clusterapi.Cluster{}
	must(t, protojson.Unmarshal(json, tested))
	if expected := protocol(t, tested); !proto.Equal(speaks, expected) {
		t.Errorf("%v\nis not what is tested: %v", speaks, expected)
	}
}

func TestEveryPortBehindTheLoadBalancerWantsPROXYProtocol(t *testing.T) {
	for _, listener := range generated(t, "overlays/api-gateway").listeners {
		first := listener.ListenerFilters[0]
		settings, wants := message(t, first.GetTypedConfig()).(*proxyprotocolapi.ProxyProtocol)
		if !wants || settings.AllowRequestsWithoutProxyProtocol {
			t.Errorf("%s begins with %v", listener.Name, first)
		}
	}
}

func TestATokenIsVerifiedEndsHereAndIsKeptForTheGate(t *testing.T) {
	for _, listener := range generated(t, tokensAlone).listeners {
		found := 0
		for _, filter := range connectionManager(t, listener).HttpFilters {
			if filter.Name != "envoy.filters.http.jwt_authn" {
				continue
			}
			for name, provider := range message(t, filter.GetTypedConfig()).(*jwtapi.JwtAuthentication).Providers {
				found++
				if provider.Issuer == "" || len(provider.Audiences) == 0 || provider.PayloadInMetadata != "payload" || provider.Forward ||
					provider.GetLocalJwks().GetInlineString() != keys {
					t.Errorf("%s: %s: %v", listener.Name, name, provider)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s verifies no tokens", listener.Name)
		}
	}
}

func TestTheAccessLogIsTheOneThatIsTested(t *testing.T) {
	text, err := os.ReadFile(envoyLocal + "envoy.yaml")
	must(t, err)
	var envoy struct {
		StaticResources struct {
			Listeners []struct {
				AccessLog    any `json:"access_log"`
				FilterChains []struct {
					Filters []struct {
						TypedConfig struct {
							AccessLog any `json:"access_log"`
						} `json:"typed_config"`
					}
				} `json:"filter_chains"`
			}
		} `json:"static_resources"`
	}
	must(t, yaml.Unmarshal(text, &envoy))
	var filter struct {
		Spec struct {
			ConfigPatches []struct {
				ApplyTo string `json:"applyTo"`
				Patch   struct {
					Value struct {
						AccessLog   any `json:"access_log"`
						TypedConfig struct {
							AccessLog any `json:"access_log"`
						} `json:"typed_config"`
					}
				}
			} `json:"configPatches"`
		}
	}
	for _, resource := range built(t, "base").Resources() {
		if resource.GetName() == "sluice-connections" {
			document, err := resource.AsYAML()
			must(t, err)
			must(t, yaml.Unmarshal(document, &filter))
		}
	}
	compared := 0
	for _, listener := range envoy.StaticResources.Listeners {
		for _, patch := range filter.Spec.ConfigPatches {
			var ours, tested any
			switch patch.ApplyTo {
			case "NETWORK_FILTER":
				ours, tested = patch.Patch.Value.TypedConfig.AccessLog, listener.FilterChains[0].Filters[0].TypedConfig.AccessLog
			case "LISTENER":
				ours, tested = patch.Patch.Value.AccessLog, listener.AccessLog
			default:
				continue
			}
			compared++
			if ours == nil || !reflect.DeepEqual(ours, tested) {
				t.Errorf("%s: %v\nis not %v", patch.ApplyTo, ours, tested)
			}
		}
	}
	if compared != 4 {
		t.Errorf("%d compared", compared)
	}
}
