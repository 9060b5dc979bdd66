package istiod

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

// envoyLocal is the folder with what runs on one machine.
const envoyLocal = "../../../envoy-local/"

func composeProject(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{envoyLocal + "docker-compose.yaml"})
	must(t, err)
	project, err := options.LoadProject(t.Context())
	must(t, err)
	return project
}

func TestComposeReadsTheFileAndWhatItMountsIsThere(t *testing.T) {
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+$`)
	for name, service := range composeProject(t).Services {
		if !pinned.MatchString(service.Image) {
			t.Errorf("%s: the image %s is not pinned to a release", name, service.Image)
		}
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeBind {
				if _, err := os.Stat(volume.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open on %q, not on loopback alone", name, port.Published, port.HostIP)
			}
		}
	}
}

// Envoy's configuration is that of `make run`. Its hosts and ports, and those that Grafana queries, must be in the
// file.
func TestEnvoyAndGrafanaAskServicesThatAreThere(t *testing.T) {
	services := composeProject(t).Services
	// The ports in the backends' configurations.
	ports := map[string][]string{}
	for _, name := range []string{"loki", "mimir", "tempo"} {
		text, err := os.ReadFile(envoyLocal + "compose/" + name + ".yaml")
		must(t, err)
		for _, match := range regexp.MustCompile(`(?:http_listen_port: |endpoint: "0\.0\.0\.0:)(\d+)`).FindAllStringSubmatch(string(text), -1) {
			ports[name] = append(ports[name], match[1])
		}
	}
	ports["envoy"] = []string{"9090"} // Prometheus' default port, in Envoy's network
	var envoy struct {
		StaticResources struct {
			Clusters []struct {
				Name           string
				LoadAssignment struct {
					Endpoints []struct {
						LbEndpoints []struct {
							Endpoint struct {
								Address struct {
									SocketAddress struct {
										Address   string
										PortValue json.Number `json:"port_value"`
									} `json:"socket_address"`
								}
							}
						} `json:"lb_endpoints"`
					}
				} `json:"load_assignment"`
			}
		} `json:"static_resources"`
	}
	text, err := os.ReadFile(envoyLocal + "envoy.yaml")
	must(t, err)
	must(t, yaml.Unmarshal(text, &envoy))
	asked := map[string]string{}
	for _, cluster := range envoy.StaticResources.Clusters {
		socket := cluster.LoadAssignment.Endpoints[0].LbEndpoints[0].Endpoint.Address.SocketAddress
		// There is no Pyroscope, because no sender there sends profiles.
		if cluster.Name != "pyroscope" {
			asked["cluster "+cluster.Name] = socket.Address + ":" + socket.PortValue.String()
		}
	}
	var sources struct {
		Datasources []struct{ Name, URL string }
	}
	text, err = os.ReadFile(envoyLocal + "compose/datasources.yaml")
	must(t, err)
	must(t, yaml.UnmarshalStrict(text, &struct {
		APIVersion  int `json:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool              `json:"isDefault"`
			JSONData                     map[string]string `json:"jsonData"`
			SecureJSONData               map[string]string `json:"secureJsonData"`
		}
	}{}))
	must(t, yaml.Unmarshal(text, &sources))
	for _, source := range sources.Datasources {
		parsed, err := url.Parse(source.URL)
		must(t, err)
		asked["data source "+source.Name] = parsed.Host
	}
	for _, ready := range services["backends-ready"].Command {
		if parsed, err := url.Parse(ready); err == nil && parsed.Host != "" {
			asked["ready "+ready] = parsed.Host
		}
	}
	if len(asked) < 12 {
		t.Errorf("only these are asked: %v", asked)
	}
	for who, what := range asked {
		host, port, _ := strings.Cut(what, ":")
		if _, there := services[host]; !there || !slices.Contains(ports[host], port) {
			t.Errorf("%s asks %s, which no service is", who, what)
		}
	}
}

func TestTheScriptsCertificatesAreThoseThatEnvoyAndTheGateTake(t *testing.T) {
	folder := t.TempDir()
	script, err := filepath.Abs(envoyLocal + "compose/certificates.sh")
	must(t, err)
	run := func(command ...string) string {
		t.Helper()
		made := exec.Command(command[0], command[1:]...)
		made.Dir = folder
		output, err := made.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", command, err, output)
		}
		return string(output)
	}
	run("sh", script, folder)
	for name, sans := range map[string][]string{
		"server":    {"DNS:envoy", "DNS:localhost"},
		"payments":  {"DNS:*.payments", "DNS:otel.payments.svc"},
		"team-blue": {"URI:spiffe://prod.example/ns/team-blue/sa/otel-collector"},
	} {
		run("openssl", "verify", "-CAfile", "ca.pem", name+".pem")
		shown := run("openssl", "x509", "-in", name+".pem", "-noout", "-ext", "subjectAltName")
		for _, san := range sans {
			if !strings.Contains(shown, san) {
				t.Errorf("%s has no %s: %s", name, san, shown)
			}
		}
	}
	before, err := os.ReadFile(folder + "/ca.pem")
	must(t, err)
	run("sh", script, folder)
	if after, err := os.ReadFile(folder + "/ca.pem"); err != nil || string(after) != string(before) {
		t.Error("a second run makes others")
	}
}

// block is a part of a program's configuration: its keys, with the block of each. A key with nil accepts any value.
type block map[string]block

// unknown lists the keys of a configuration that a block does not have.
func (b block) unknown(path string, value any) []string {
	var found []string
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			found = append(found, b.unknown(path, item)...)
		}
	case map[string]any:
		for key, below := range value {
			inner, known := b[key]
			if !known {
				found = append(found, path+"."+key)
			} else if inner != nil {
				found = append(found, inner.unknown(path+"."+key, below)...)
			}
		}
	}
	return found
}

// readBlock reads a list of keys: a key without further keys accepts any value.
func readBlock(value any) (block, error) {
	if value == nil {
		return nil, nil
	}
	keys, is := value.(map[string]any)
	if !is {
		return nil, fmt.Errorf("%v is neither keys nor nothing", value)
	}
	made := block{}
	for key, below := range keys {
		inner, err := readBlock(below)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		made[key] = inner
	}
	return made, nil
}

// The lists in keys/ name their sources. Both programs are under the AGPL, so nothing of them is downloaded.
func TestLokiAndMimirKnowEveryKeyOfTheirConfiguration(t *testing.T) {
	for _, name := range []string{"loki", "mimir"} {
		var list, configuration map[string]any
		for path, into := range map[string]*map[string]any{
			"keys/" + name + ".yaml": &list, envoyLocal + "compose/" + name + ".yaml": &configuration,
		} {
			text, err := os.ReadFile(path)
			must(t, err)
			must(t, yaml.UnmarshalStrict(text, into))
		}
		known, err := readBlock(list)
		must(t, err)
		if unknown := known.unknown(name, configuration); len(unknown) > 0 {
			t.Errorf("not in keys/%s.yaml: %v: look them up where it says, and add them if they are there", name, unknown)
		}
		configuration["server"].(map[string]any)["http_listen_prot"] = 1
		if len(known.unknown(name, configuration)) != 1 {
			t.Errorf("%s: an unknown key passes", name)
		}
	}
}
