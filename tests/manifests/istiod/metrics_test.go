package istiod

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

// selector is a metric in an expression.
type selector struct {
	Expression string `json:"expression"`
	Metric     string `json:"metric"`
	// Selector selects the metric, with all matchers except that on the outcome.
	Selector string `json:"selector"`
	// Labels are the labels in matchers and groupings.
	Labels []string `json:"labels"`
	// Values are the values in matchers with `=`, `!=`, or as alternatives in `=~` and `!~`, by label.
	Values map[string][]string `json:"values"`
}

// shown is an expression of a panel.
type shown struct {
	Panel      string `json:"panel"`
	Expression string `json:"expression"`
}

// variables are those of the dashboard, with the values that they have when nothing is chosen, and a duration in place
// of Grafana's own.
var variables = strings.NewReplacer("$__rate_interval", "5s", "$__range", "5m", "$cluster", ".*", "$pod", ".*", "$sender", ".*", "$signal", ".*")

// expressions are the expressions of the alerts and of the dashboard.
func expressions(t *testing.T) ([]string, []shown) {
	t.Helper()
	var found []string
	var panels []shown
	var alerts struct {
		Spec struct {
			Groups []struct {
				Rules []struct{ Alert, Expr string }
			}
		}
	}
	document, err := os.ReadFile(manifests + "/monitoring/alerts.yaml")
	must(t, err)
	must(t, yaml.Unmarshal(document, &alerts))
	for _, group := range alerts.Spec.Groups {
		for _, rule := range group.Rules {
			found = append(found, rule.Expr)
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	document, err = os.ReadFile(manifests + "/monitoring/dashboard.json")
	must(t, err)
	must(t, json.Unmarshal(document, &dashboard))
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			expression := variables.Replace(target.Expr)
			if strings.Contains(expression, "$") {
				t.Errorf("the panel %q has a variable that no test knows: %s", panel.Title, expression)
			}
			found = append(found, expression)
			panels = append(panels, shown{panel.Title, expression})
		}
	}
	return found, panels
}

func TestEveryExpressionIsPromQL(t *testing.T) {
	var selectors []selector
	all, panels := expressions(t)
	for _, expression := range all {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		var grouped []string
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			if aggregate, is := node.(*parser.AggregateExpr); is {
				grouped = append(grouped, aggregate.Grouping...)
			}
			return nil
		})
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			vector, is := node.(*parser.VectorSelector)
			if !is {
				return nil
			}
			made := selector{Expression: expression, Metric: vector.Name, Labels: append([]string{}, grouped...), Values: map[string][]string{}}
			// Not every outcome can be brought about here.
			asked := &parser.VectorSelector{Name: vector.Name}
			for _, matcher := range vector.LabelMatchers {
				if matcher.Name != "outcome" {
					asked.LabelMatchers = append(asked.LabelMatchers, matcher)
				}
			}
			made.Selector = asked.String()
			for _, matcher := range vector.LabelMatchers {
				if matcher.Name != labels.MetricName {
					made.Labels = append(made.Labels, matcher.Name)
					made.Values[matcher.Name] = strings.Split(matcher.Value, "|")
				}
			}
			selectors = append(selectors, made)
			return nil
		})
	}
	if len(selectors) < 15 {
		t.Errorf("only %d metrics are asked for", len(selectors))
	}
	listed, err := json.MarshalIndent(selectors, "", " ")
	must(t, err)
	write(t, "monitoring", "selectors.json", string(listed))
	listed, err = json.MarshalIndent(panels, "", " ")
	must(t, err)
	write(t, "monitoring", "panels.json", string(listed))
}

// The PodMonitor finds the gateway's pods only by a port that their container declares, and the NetworkPolicy must let
// it in.
func TestThePodMonitorsPortIsThePods(t *testing.T) {
	var monitor struct {
		Spec struct {
			Selector            struct{ MatchLabels map[string]string }
			PodMetricsEndpoints []struct {
				Port, Path  string
				Relabelings []struct{ TargetLabel, Replacement string }
			}
		}
	}
	var deployment appsv1.Deployment
	var policy networkingv1.NetworkPolicy
	for folder, kinds := range map[string]map[string]any{
		"monitoring": {"PodMonitor": &monitor},
		"base":       {"Deployment": &deployment, "NetworkPolicy": &policy},
	} {
		for _, resource := range built(t, folder).Resources() {
			if into := kinds[resource.GetKind()]; into != nil {
				document, err := resource.AsYAML()
				must(t, err)
				must(t, yaml.Unmarshal(document, into))
			}
		}
	}
	endpoint := monitor.Spec.PodMetricsEndpoints[0]
	if relabeled := endpoint.Relabelings[0]; relabeled.TargetLabel != "job" || relabeled.Replacement != "sluice-gateway" {
		t.Errorf("the job is not the one that is asked for: %v", relabeled)
	}
	for name, value := range monitor.Spec.Selector.MatchLabels {
		if deployment.Spec.Template.Labels[name] != value {
			t.Errorf("the pods have no label %s=%s", name, value)
		}
	}
	for name := range deployment.Spec.Template.Annotations {
		if strings.HasPrefix(name, "prometheus.io/") {
			t.Errorf("the gateway is scraped in a second way: %s", name)
		}
	}
	var number int32
	for _, port := range deployment.Spec.Template.Spec.Containers[0].Ports {
		if port.Name == endpoint.Port {
			number = port.ContainerPort
		}
	}
	allowed := false
	for _, rule := range policy.Spec.Ingress {
		for _, port := range rule.Ports {
			allowed = allowed || port.Port.IntVal == number
		}
	}
	if number == 0 || !allowed {
		t.Errorf("nothing can be scraped on the port %s (%d)", endpoint.Port, number)
	}
}
