// Modules of which only the CustomResourceDefinitions are read. They are fetched, checked against go.sum and never built,
// so this is not for `go mod tidy`: a new version goes in by hand, and its hash by `go mod download MODULE@VERSION`.
module sluice/tests/manifests/schemas

go 1.26.0

require (
	github.com/argoproj/argo-cd/v3 v3.4.13
	github.com/cert-manager/cert-manager v1.21.2
	github.com/envoyproxy/gateway v1.9.1
	github.com/external-secrets/external-secrets v1.3.2
	github.com/fluxcd/kustomize-controller v1.9.6
	github.com/fluxcd/source-controller v1.9.6
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
