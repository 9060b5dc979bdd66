package main

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const scope = "sluice.e2e"

// batch is the content of one export. The SDK's providers make it; nothing is written by hand.
type batch struct {
	*arguments
	// first is the number of the first record.
	first int
	// lacking is the number of records that lack source.name.
	lacking int
}

// half is a resource of a batch, and the number of its records.
type half struct {
	resource *resource.Resource
	records  int
}

func (b batch) halves() []half {
	return []half{{b.resource(true), b.records - b.lacking}, {b.resource(false), b.lacking}}
}

func (b batch) resource(named bool) *resource.Resource {
	attributes := []attribute.KeyValue{attribute.String("service.name", "e2e"), attribute.String("run.id", b.runID)}
	if b.padding > 0 {
		attributes = append(attributes, attribute.String("padding", strings.Repeat("x", b.padding)))
	}
	if named {
		attributes = append(attributes, attribute.String("source.name", "go"))
	}
	return resource.NewSchemaless(attributes...)
}

func (b batch) spans(ctx context.Context) []sdktrace.ReadOnlySpan {
	collected := tracetest.NewSpanRecorder()
	for _, half := range b.halves() {
		provider := sdktrace.NewTracerProvider(sdktrace.WithResource(half.resource), sdktrace.WithSpanProcessor(collected))
		tracer := provider.Tracer(scope)
		for number := b.first; number < b.first+half.records; number++ {
			_, span := tracer.Start(ctx, fmt.Sprint("span ", number))
			span.End()
		}
	}
	return collected.Ended()
}

func (b batch) logs(ctx context.Context) []sdklog.Record {
	collected := &logRecorder{}
	for _, half := range b.halves() {
		provider := sdklog.NewLoggerProvider(sdklog.WithResource(half.resource), sdklog.WithProcessor(collected))
		logger := provider.Logger(scope)
		for number := b.first; number < b.first+half.records; number++ {
			var record log.Record
			record.SetBody(attribute.StringValue(fmt.Sprint("log ", number)))
			record.SetSeverity(log.SeverityInfo)
			record.SetSeverityText("INFO")
			logger.Emit(ctx, record)
		}
	}
	return collected.records
}

func (b batch) metrics(ctx context.Context) (*metricdata.ResourceMetrics, error) {
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(b.resource(false)), sdkmetric.WithReader(reader))
	gauge, err := provider.Meter(scope).Int64Gauge("e2e.gauge")
	if err != nil {
		return nil, err
	}
	for index := range b.records {
		attributes := []attribute.KeyValue{attribute.Int("point", b.first+index)}
		if index < b.records-b.lacking {
			attributes = append(attributes, attribute.String("source.name", "go"))
		}
		gauge.Record(ctx, 1, metric.WithAttributes(attributes...))
	}
	collected := &metricdata.ResourceMetrics{}
	return collected, reader.Collect(ctx, collected)
}

// logRecorder is a processor that keeps the records that it gets.
type logRecorder struct {
	records []sdklog.Record
}

func (r *logRecorder) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

func (r *logRecorder) OnEmit(_ context.Context, record *sdklog.Record) error {
	r.records = append(r.records, record.Clone())
	return nil
}

func (r *logRecorder) Shutdown(context.Context) error { return nil }

func (r *logRecorder) ForceFlush(context.Context) error { return nil }
