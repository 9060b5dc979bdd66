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

func TestAKeyThatComposeDoesNotKnowIsRefused(t *testing.T) {
	text, err := os.ReadFile(envoyLocal + "docker-compose.yaml")
	must(t, err)
	broken := filepath.Join(t.TempDir(), "docker-compose.yaml")
	must(t, os.WriteFile(broken, []byte(strings.Replace(string(text), "    healthcheck:", "    healthchek:", 1)), 0o644))
	options, err := cli.NewProjectOptions([]string{broken})
	must(t, err)
	if _, err := options.LoadProject(t.Context()); err == nil || !strings.Contains(err.Error(), "healthchek") {
		t.Errorf("an unknown key: %v", err)
	}
}

// asked is a command of the file, as Compose runs it.
type asked struct {
	Service string   `json:"service"`
	Command []string `json:"command"`
}

// What waits for another service waits for ever if that service's check never succeeds. So the other tests run each
// check's very command; here they are read as Compose reads them.
func TestTheHealthChecksAreWrittenForTheOtherTests(t *testing.T) {
	services := composeProject(t).Services
	checks, waited := []asked{}, 0
	for name, service := range services {
		if service.HealthCheck != nil {
			test := service.HealthCheck.Test
			if test[0] != "CMD" {
				t.Fatalf("%s: %v is not run without a shell", name, test)
			}
			checks = append(checks, asked{name, test[1:]})
		}
		for other, on := range service.DependsOn {
			switch on.Condition {
			case types.ServiceConditionHealthy:
				waited++
				if services[other].HealthCheck == nil {
					t.Errorf("%s waits for %s, which has no health check", name, other)
				}
			case types.ServiceConditionCompletedSuccessfully:
				if services[other].Restart != "" {
					t.Errorf("%s waits for the end of %s, which is started again", name, other)
				}
			default:
				t.Errorf("%s waits for %s until %q", name, other, on.Condition)
			}
		}
	}
	if len(checks) < 3 || waited < 3 {
		t.Errorf("only these are checked: %v", checks)
	}
	// Not a health check, and yet what all senders wait for.
	checks = append(checks, asked{"backends-ready", append([]string{"curl"}, services["backends-ready"].Command...)})
	slices.SortFunc(checks, func(one, other asked) int { return strings.Compare(one.Service, other.Service) })
	listed, err := json.MarshalIndent(checks, "", " ")
	must(t, err)
	write(t, "compose", "checks.json", string(listed))
	write(t, "compose", "prometheus.json", `{"command": `+marshalledText(t, services["prometheus"].Entrypoint)+"}")
}

func marshalledText(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	return string(text)
}

// Grafana begins with the dashboard, and the dashboard with the data source that has the gate's metrics. A variable for
// data sources that names none begins with the first by name, and one that names "default" with the default (Grafana,
// public/app/features/dashboard-scene/utils/variables.ts: `defaultOptionEnabled`).
func TestGrafanaOpensOnTheGatesMetrics(t *testing.T) {
	project := composeProject(t)
	grafana := project.Services["grafana"]
	home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	var mounted string
	for _, volume := range grafana.Volumes {
		if home != nil && volume.Target == *home {
			mounted = volume.Source
		}
	}
	dashboard, err := os.ReadFile(manifests + "/monitoring/dashboard.json")
	must(t, err)
	if shown, err := os.ReadFile(mounted); err != nil || string(shown) != string(dashboard) {
		t.Errorf("Grafana begins with %q: %v", mounted, err)
	}
	var variables struct {
		Templating struct {
			List []struct {
				Type    string
				Query   any
				Current struct{ Text, Value string }
			}
		}
	}
	must(t, json.Unmarshal(dashboard, &variables))
	chosen := variables.Templating.List[0]
	if chosen.Type != "datasource" || chosen.Query != "prometheus" || chosen.Current.Text != "default" || chosen.Current.Value != "default" {
		t.Errorf("the dashboard begins with the data source %v", chosen)
	}
	var sources struct {
		Datasources []struct {
			Type, URL string
			IsDefault bool `json:"isDefault"`
		}
	}
	text, err := os.ReadFile(envoyLocal + "compose/datasources.yaml")
	must(t, err)
	must(t, yaml.Unmarshal(text, &sources))
	for _, source := range sources.Datasources {
		// Prometheus is in Envoy's network.
		if gate := source.URL == "http://envoy:9090" && source.Type == "prometheus"; gate != source.IsDefault {
			t.Errorf("the default is %v", source)
		}
	}
	if mode := project.Services["prometheus"].NetworkMode; mode != "service:envoy" {
		t.Errorf("Prometheus is in the network %q", mode)
	}
}

// Envoy's configuration is that of `make run`. Its hosts and ports, and those that Grafana queries, must be in the
// file.
func TestEnvoyAndGrafanaAskServicesThatAreThere(t *testing.T) {
	services := composeProject(t).Services
	// The ports in the backends' configurations.
	ports := map[string][]string{}
	for _, name := range []string{"loki", "mimir", "tempo", "pyroscope"} {
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
		asked["cluster "+cluster.Name] = socket.Address + ":" + socket.PortValue.String()
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
	if len(asked) < 16 {
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
		"orders":    {"DNS:*.orders"},
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

// The lists in keys/ name their sources. The programs are under the AGPL, so nothing of them is downloaded.
func TestLokiMimirAndPyroscopeKnowEveryKeyOfTheirConfiguration(t *testing.T) {
	for _, name := range []string{"loki", "mimir", "pyroscope"} {
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
