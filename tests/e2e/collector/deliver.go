package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap/zapcore"
)

// account is printed for batches that went through the exporter's queue and retries. It has what the exporter itself
// counted, in the metrics of a collector.
type account struct {
	Batches int `json:"batches"`
	// Given is the number of log records, data points, spans or samples that the exporter was given.
	Given int64 `json:"given"`
	// Sent is otelcol_exporter_sent_*, including what a partial success rejected.
	Sent int64 `json:"sent"`
	// FailedPermanent is otelcol_exporter_send_failed_* with error.permanent, FailedRetryable the rest.
	FailedPermanent int64 `json:"failed_permanent"`
	FailedRetryable int64 `json:"failed_retryable"`
	// EnqueueFailed is otelcol_exporter_enqueue_failed_*.
	EnqueueFailed int64 `json:"enqueue_failed"`
	// Attempts are the requests by their answer, an HTTP status or the name of a gRPC code; "none" is for requests without
	// an answer. The numbers come from the instruments of the exporters' HTTP and gRPC clients.
	Attempts map[string]uint64 `json:"attempts"`
	// PartialSuccess is the sum of the partial successes that the exporter logged.
	PartialSuccess *partialSuccess `json:"partial_success"`
	// LastError is the last line that the exporter logged at level error.
	LastError string `json:"last_error"`
}

// settled tells whether the exporter has reported the result of everything.
func (a *account) settled() bool {
	return a.Sent+a.FailedPermanent+a.FailedRetryable+a.EnqueueFailed == a.Given
}

// look is the interval between readings of the exporter's counters while it still has batches.
const look = 10 * time.Millisecond

// deliver gives the batches to an exporter with its queue and retries, waits until it has finished, and reads its
// counters. It returns an error if the run did not complete.
func (a *arguments) deliver(ctx context.Context) (*account, error) {
	log := &exporterLog{LevelEnabler: zapcore.WarnLevel}
	reader := sdkmetric.NewManualReader()
	pipeline, err := a.pipeline(ctx, log, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	if err != nil {
		return nil, err
	}
	if err := pipeline.exporter.Start(ctx, host{}); err != nil {
		return nil, fmt.Errorf("the exporter does not start: %w", err)
	}
	account := &account{}
	until := time.Now().Add(a.duration)
	for account.Batches == 0 || time.Now().Before(until) {
		if account.Batches > 0 {
			time.Sleep(a.every)
		}
		batch := pipeline.next()
		account.Batches++
		account.Given += int64(batch.items)
		// The exporter itself counts what the queue does not accept.
		_ = batch.export(ctx)
	}
	patience := time.Now().Add(a.patience)
	for {
		if err := account.read(ctx, reader); err != nil {
			return nil, err
		}
		if account.settled() || time.Now().After(patience) {
			break
		}
		time.Sleep(look)
	}
	if !account.settled() {
		return nil, fmt.Errorf("the exporter still has batches after %s: %+v; last error: %s",
			a.patience, *account, log.lastError)
	}
	if err := pipeline.exporter.Shutdown(ctx); err != nil {
		return nil, fmt.Errorf("the exporter does not stop: %w", err)
	}
	// One reading is not atomic: it may count a batch as sent, but not yet the request that sent it.
	if err := account.read(ctx, reader); err != nil {
		return nil, err
	}
	account.PartialSuccess, account.LastError = log.partialSuccess, log.lastError
	return account, nil
}

// read reads the current counters.
func (a *account) read(ctx context.Context, reader sdkmetric.Reader) error {
	var found metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &found); err != nil {
		return fmt.Errorf("the exporter's metrics: %w", err)
	}
	a.Sent, a.FailedPermanent, a.FailedRetryable, a.EnqueueFailed = 0, 0, 0, 0
	a.Attempts = map[string]uint64{}
	for _, scope := range found.ScopeMetrics {
		for _, metric := range scope.Metrics {
			switch data := metric.Data.(type) {
			case metricdata.Sum[int64]:
				for _, point := range data.DataPoints {
					a.count(metric.Name, point.Attributes, point.Value)
				}
			case metricdata.Histogram[float64]:
				for _, point := range data.DataPoints {
					a.attempted(metric.Name, point.Attributes, point.Count)
				}
			}
		}
	}
	return nil
}

func (a *account) count(name string, attributes attribute.Set, value int64) {
	switch {
	case strings.HasPrefix(name, "otelcol_exporter_sent_"):
		a.Sent += value
	case strings.HasPrefix(name, "otelcol_exporter_send_failed_"):
		if permanent, _ := attributes.Value("error.permanent"); permanent.AsBool() {
			a.FailedPermanent += value
		} else {
			a.FailedRetryable += value
		}
	case strings.HasPrefix(name, "otelcol_exporter_enqueue_failed_"):
		a.EnqueueFailed += value
	}
}

// attempted counts requests. Both clients have a histogram of the duration of each.
func (a *account) attempted(name string, attributes attribute.Set, count uint64) {
	var status attribute.Key
	switch name {
	case "http.client.request.duration":
		status = "http.response.status_code"
	case "rpc.client.call.duration":
		status = "rpc.response.status_code"
	default:
		return
	}
	answer := "none"
	if value, ok := attributes.Value(status); ok {
		answer = value.Emit()
	}
	a.Attempts[answer] += count
}
