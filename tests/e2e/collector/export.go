package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/exporter/xexporter"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	otelmetric "go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// exporterSettings are the settings from which the exporter's configuration is made.
type exporterSettings struct {
	protocol, endpoint    string
	ca, cert, key         string
	compression, encoding string
	timeout               time.Duration
	// retry enables the sending queue and the retries, which are enabled by default in a collector.
	retry bool
}

// outcome is printed for a batch that was sent once.
type outcome struct {
	// Sent is the export request in protobuf, in whatever format it was sent.
	Sent []byte `json:"sent"`
	// Error is what the exporter returned to the pipeline; nil if it considers the batch delivered.
	Error *failure `json:"error"`
	// PartialSuccess is the partial success that the exporter logged.
	PartialSuccess *partialSuccess `json:"partial_success"`
}

type failure struct {
	Message string `json:"message"`
	// Permanent errors are not retried by a collector.
	Permanent bool `json:"permanent"`
}

type partialSuccess struct {
	Rejected int64  `json:"rejected"`
	Message  string `json:"message"`
}

// send exports the batch once. It returns an error if nothing was sent. The gate's answer, or its absence, is in the
// outcome.
func (a *arguments) send(ctx context.Context) (*outcome, error) {
	log := &exporterLog{LevelEnabler: zapcore.WarnLevel}
	pipeline, err := a.pipeline(ctx, log, noopmetric.NewMeterProvider())
	if err != nil {
		return nil, err
	}
	if err := pipeline.exporter.Start(ctx, host{}); err != nil {
		return nil, fmt.Errorf("the exporter does not start: %w", err)
	}
	batch := pipeline.next()
	sent, err := batch.protobuf()
	if err != nil {
		return nil, err
	}
	exported := batch.export(ctx)
	if err := pipeline.exporter.Shutdown(ctx); err != nil {
		return nil, fmt.Errorf("the exporter does not stop: %w", err)
	}
	outcome := &outcome{Sent: sent, PartialSuccess: log.partialSuccess}
	if exported != nil {
		outcome.Error = &failure{Message: exported.Error(), Permanent: consumererror.IsPermanent(exported)}
	}
	return outcome, nil
}

// configured returns the exporter and its configuration, which is parsed as in a collector's file. Without queue and
// retries, an export is one request, and its error is that request's.
func (s *exporterSettings) configured() (exporter.Factory, component.Config, error) {
	keys := map[string]any{
		"endpoint":         "https://" + s.endpoint,
		"compression":      s.compression,
		"timeout":          s.timeout.String(),
		"tls":              map[string]any{"ca_file": s.ca, "cert_file": s.cert, "key_file": s.key},
		"retry_on_failure": s.retries(),
		"sending_queue":    map[string]any{"enabled": s.retry},
	}
	var factory exporter.Factory
	switch {
	case s.protocol == "grpc" && s.encoding == "proto":
		factory = otlpexporter.NewFactory()
	case s.protocol == "grpc":
		return nil, nil, fmt.Errorf("-encoding %s: OTLP/gRPC is protobuf alone", s.encoding)
	case s.protocol == "http":
		factory = otlphttpexporter.NewFactory()
		keys["encoding"] = s.encoding
	default:
		return nil, nil, fmt.Errorf("-protocol %q: write grpc or http", s.protocol)
	}
	config := factory.CreateDefaultConfig()
	if err := confmap.NewFromStringMap(keys).Unmarshal(config); err != nil {
		return nil, nil, err
	}
	return factory, config, nil
}

// retries are as short as a test needs them, and continue until the batch is accepted or permanently rejected.
func (s *exporterSettings) retries() map[string]any {
	if !s.retry {
		return map[string]any{"enabled": false}
	}
	return map[string]any{"initial_interval": "50ms", "max_interval": "500ms", "max_elapsed_time": "0s"}
}

// pipeline is an exporter and the batches that it exports.
type pipeline struct {
	exporter component.Component
	// next makes the next batch.
	next func() consignment
}

// consignment is one batch on its way.
type consignment struct {
	items    int
	export   func(context.Context) error
	protobuf func() ([]byte, error)
}

func (a *arguments) pipeline(ctx context.Context, log zapcore.Core, meters otelmetric.MeterProvider) (*pipeline, error) {
	factory, config, err := a.exporter.configured()
	if err != nil {
		return nil, err
	}
	settings := exporter.Settings{
		ID: component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{
			Logger:         zap.New(log),
			MeterProvider:  meters,
			TracerProvider: nooptrace.NewTracerProvider(),
		},
		BuildInfo: component.NewDefaultBuildInfo(),
	}
	b := &a.batch
	switch b.signal {
	case "logs":
		exporter, err := factory.CreateLogs(ctx, settings, config)
		return &pipeline{exporter, func() consignment {
			logs := b.logs()
			return consignment{
				items:    logs.LogRecordCount(),
				export:   func(ctx context.Context) error { return exporter.ConsumeLogs(ctx, logs) },
				protobuf: plogotlp.NewExportRequestFromLogs(logs).MarshalProto,
			}
		}}, err
	case "metrics":
		exporter, err := factory.CreateMetrics(ctx, settings, config)
		return &pipeline{exporter, func() consignment {
			metrics := b.metrics()
			return consignment{
				items:    metrics.DataPointCount(),
				export:   func(ctx context.Context) error { return exporter.ConsumeMetrics(ctx, metrics) },
				protobuf: pmetricotlp.NewExportRequestFromMetrics(metrics).MarshalProto,
			}
		}}, err
	case "traces":
		exporter, err := factory.CreateTraces(ctx, settings, config)
		return &pipeline{exporter, func() consignment {
			traces := b.traces()
			return consignment{
				items:    traces.SpanCount(),
				export:   func(ctx context.Context) error { return exporter.ConsumeTraces(ctx, traces) },
				protobuf: ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto,
			}
		}}, err
	case "profiles":
		experimental, ok := factory.(xexporter.Factory)
		if !ok {
			return nil, fmt.Errorf("the exporter %s has no profiles", factory.Type())
		}
		exporter, err := experimental.CreateProfiles(ctx, settings, config)
		return &pipeline{exporter, func() consignment {
			profiles := b.profiles()
			return consignment{
				items:    profiles.SampleCount(),
				export:   func(ctx context.Context) error { return exporter.ConsumeProfiles(ctx, profiles) },
				protobuf: pprofileotlp.NewExportRequestFromProfiles(profiles).MarshalProto,
			}
		}}, err
	default:
		return nil, fmt.Errorf("-signal %q: write logs, metrics, traces or profiles", b.signal)
	}
}

// host is a collector without extensions.
type host struct{}

func (host) GetExtensions() map[component.ID]component.Component { return nil }

// exporterLog is a log that keeps what an exporter only logs: partial successes, and why it dropped queued batches.
type exporterLog struct {
	zapcore.LevelEnabler
	mutex sync.Mutex
	// partialSuccess has the sum of all, and the message of the last one.
	partialSuccess *partialSuccess
	// lastError is the last line at level error.
	lastError string
}

func (l *exporterLog) With([]zapcore.Field) zapcore.Core { return l }

func (l *exporterLog) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !l.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, l)
}

func (l *exporterLog) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if entry.Level >= zapcore.ErrorLevel {
		l.lastError = entry.Message
		for _, field := range fields {
			if reason, ok := field.Interface.(error); ok {
				l.lastError += ": " + reason.Error()
			}
		}
	}
	if entry.Message != "Partial success response" {
		return nil
	}
	if l.partialSuccess == nil {
		l.partialSuccess = &partialSuccess{}
	}
	for _, field := range fields {
		switch field.Key {
		case "message":
			l.partialSuccess.Message = field.String
		case "dropped_log_records", "dropped_data_points", "dropped_spans", "dropped_profiles", "dropped_samples":
			l.partialSuccess.Rejected += field.Integer
		}
	}
	return nil
}

func (l *exporterLog) Sync() error { return nil }
