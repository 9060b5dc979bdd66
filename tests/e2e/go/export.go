package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Each exporter has its own type for these settings, with the same fields.
type retryConfig struct {
	Enabled         bool
	InitialInterval time.Duration
	MaxInterval     time.Duration
	MaxElapsedTime  time.Duration
}

// exportFunc exports a batch once, with the exporter's own retries.
type exportFunc func(context.Context, batch) error

// exporter makes the SDK's exporter for a signal and a protocol.
func (a *arguments) exporter(w *watch) (exportFunc, error) {
	identity, err := a.identity()
	if err != nil {
		return nil, err
	}
	// The SDK's defaults, except for the first pause, which is 5 s there.
	retry := retryConfig{true, 50 * time.Millisecond, 30 * time.Second, a.timeout}
	dial := grpc.WithUnaryInterceptor(w.intercept)
	tlsCredentials := credentials.NewTLS(identity)
	client := &http.Client{Transport: watched{w, &http.Transport{TLSClientConfig: identity}}, Timeout: a.timeout}
	ctx := context.Background()

	if a.encoding != "proto" && a.signal+a.protocol+a.encoding != "traceshttpjson" {
		return nil, fmt.Errorf("-encoding %q: this SDK has json for traces over HTTP alone", a.encoding)
	}
	switch a.signal + " " + a.protocol {
	case "logs grpc":
		options := []otlploggrpc.Option{
			otlploggrpc.WithEndpoint(a.endpoint), otlploggrpc.WithTLSCredentials(tlsCredentials),
			otlploggrpc.WithDialOption(dial), otlploggrpc.WithHeaders(a.headers), otlploggrpc.WithTimeout(a.timeout),
			otlploggrpc.WithRetry(otlploggrpc.RetryConfig(retry)),
		}
		if a.gzip {
			options = append(options, otlploggrpc.WithCompressor("gzip"))
		}
		return logs(otlploggrpc.New(ctx, options...))
	case "logs http":
		options := []otlploghttp.Option{
			otlploghttp.WithEndpoint(a.endpoint), otlploghttp.WithHTTPClient(client), otlploghttp.WithHeaders(a.headers),
			otlploghttp.WithRetry(otlploghttp.RetryConfig(retry)),
		}
		if a.gzip {
			options = append(options, otlploghttp.WithCompression(otlploghttp.GzipCompression))
		}
		return logs(otlploghttp.New(ctx, options...))
	case "metrics grpc":
		options := []otlpmetricgrpc.Option{
			otlpmetricgrpc.WithEndpoint(a.endpoint), otlpmetricgrpc.WithTLSCredentials(tlsCredentials),
			otlpmetricgrpc.WithDialOption(dial), otlpmetricgrpc.WithHeaders(a.headers),
			otlpmetricgrpc.WithTimeout(a.timeout), otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig(retry)),
		}
		if a.gzip {
			options = append(options, otlpmetricgrpc.WithCompressor("gzip"))
		}
		return metrics(otlpmetricgrpc.New(ctx, options...))
	case "metrics http":
		options := []otlpmetrichttp.Option{
			otlpmetrichttp.WithEndpoint(a.endpoint), otlpmetrichttp.WithHTTPClient(client),
			otlpmetrichttp.WithHeaders(a.headers), otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig(retry)),
		}
		if a.gzip {
			options = append(options, otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
		}
		return metrics(otlpmetrichttp.New(ctx, options...))
	case "traces grpc":
		options := []otlptracegrpc.Option{
			otlptracegrpc.WithEndpoint(a.endpoint), otlptracegrpc.WithTLSCredentials(tlsCredentials),
			otlptracegrpc.WithDialOption(dial), otlptracegrpc.WithHeaders(a.headers),
			otlptracegrpc.WithTimeout(a.timeout), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig(retry)),
		}
		if a.gzip {
			options = append(options, otlptracegrpc.WithCompressor("gzip"))
		}
		return traces(otlptrace.New(ctx, otlptracegrpc.NewClient(options...)))
	case "traces http":
		options := []otlptracehttp.Option{
			otlptracehttp.WithEndpoint(a.endpoint), otlptracehttp.WithHTTPClient(client),
			otlptracehttp.WithHeaders(a.headers), otlptracehttp.WithRetry(otlptracehttp.RetryConfig(retry)),
		}
		if a.gzip {
			options = append(options, otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
		}
		if a.encoding == "json" {
			options = append(options, otlptracehttp.WithEncoding(otlptracehttp.EncodingJSON))
		}
		return traces(otlptrace.New(ctx, otlptracehttp.NewClient(options...)))
	}
	return nil, fmt.Errorf("-signal %q -protocol %q: there is no such exporter", a.signal, a.protocol)
}

func logs(exporter sdklog.Exporter, err error) (exportFunc, error) {
	return func(ctx context.Context, b batch) error { return exporter.Export(ctx, b.logs(ctx)) }, err
}

func metrics(exporter sdkmetric.Exporter, err error) (exportFunc, error) {
	return func(ctx context.Context, b batch) error {
		collected, err := b.metrics(ctx)
		if err != nil {
			return err
		}
		return exporter.Export(ctx, collected)
	}, err
}

func traces(exporter sdktrace.SpanExporter, err error) (exportFunc, error) {
	return func(ctx context.Context, b batch) error { return exporter.ExportSpans(ctx, b.spans(ctx)) }, err
}

// identity is a TLS configuration that only trusts the CA and shows the sender's certificate.
func (a *arguments) identity() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(a.cert, a.key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(a.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", a.ca)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}, nil
}
