package istiod

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// selector is a metric in an expression.
type selector struct {
	Expression string `json:"expression"`
	Metric     string `json:"metric"`
	// Labels are the labels in matchers and groupings.
	Labels []string `json:"labels"`
	// Values are the values in matchers with `=`, `!=`, or as alternatives in `=~` and `!~`, by label.
	Values map[string][]string `json:"values"`
}

// expressions are the expressions of the alerts and of the dashboard.
func expressions(t *testing.T) []string {
	t.Helper()
	var found []string
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
			// A variable of Grafana, which Grafana replaces by a duration.
			found = append(found, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
		}
	}
	return found
}

func TestEveryExpressionIsPromQL(t *testing.T) {
	var selectors []selector
	for _, expression := range expressions(t) {
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
}
