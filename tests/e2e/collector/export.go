package main

import (
	"context"
	"errors"
	"fmt"
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
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// exporterSettings are what the exporter's configuration is made from.
type exporterSettings struct {
	protocol, endpoint    string
	ca, cert, key         string
	compression, encoding string
	timeout               time.Duration
}

// outcome is what is printed.
type outcome struct {
	// Sent is the export request in protobuf, whatever it was sent as.
	Sent []byte `json:"sent"`
	// Error is what the exporter gave back to the pipeline; nil if it took the batch as delivered.
	Error *failure `json:"error"`
	// PartialSuccess is what the exporter logged of one.
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

// send exports the batch once. Its error is that of a run that sent nothing; what the gate answered, or that it
// did not, is in the outcome.
func (a *arguments) send(ctx context.Context) (*outcome, error) {
	factory, config, err := a.exporter.configured()
	if err != nil {
		return nil, err
	}
	log := &partialSuccessLog{LevelEnabler: zapcore.WarnLevel}
	settings := exporter.Settings{
		ID: component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{
			Logger:         zap.New(log),
			MeterProvider:  noopmetric.NewMeterProvider(),
			TracerProvider: nooptrace.NewTracerProvider(),
		},
		BuildInfo: component.NewDefaultBuildInfo(),
	}
	pipeline, err := a.batch.pipeline(ctx, factory, settings, config)
	if err != nil {
		return nil, err
	}
	if err := pipeline.exporter.Start(ctx, host{}); err != nil {
		return nil, fmt.Errorf("the exporter does not start: %w", err)
	}
	exported := pipeline.export(ctx)
	if err := pipeline.exporter.Shutdown(ctx); err != nil {
		return nil, fmt.Errorf("the exporter does not stop: %w", err)
	}
	outcome := &outcome{Sent: pipeline.sent, PartialSuccess: log.found}
	if exported != nil {
		outcome.Error = &failure{Message: exported.Error(), Permanent: consumererror.IsPermanent(exported)}
	}
	return outcome, nil
}

// configured gives the exporter and its configuration, read as a collector reads it from its file. Without queue
// and retries an export is one request, and its error is that request's.
func (s *exporterSettings) configured() (exporter.Factory, component.Config, error) {
	keys := map[string]any{
		"endpoint":         "https://" + s.endpoint,
		"compression":      s.compression,
		"timeout":          s.timeout.String(),
		"tls":              map[string]any{"ca_file": s.ca, "cert_file": s.cert, "key_file": s.key},
		"retry_on_failure": map[string]any{"enabled": false},
		"sending_queue":    map[string]any{"enabled": false},
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

// pipeline is an exporter and the batch that it is to export.
type pipeline struct {
	exporter component.Component
	export   func(context.Context) error
	sent     []byte
}

func (b *batch) pipeline(
	ctx context.Context, factory exporter.Factory, settings exporter.Settings, config component.Config,
) (*pipeline, error) {
	switch b.signal {
	case "logs":
		logs := b.logs()
		sent, marshalling := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
		exporter, err := factory.CreateLogs(ctx, settings, config)
		export := func(ctx context.Context) error { return exporter.ConsumeLogs(ctx, logs) }
		return &pipeline{exporter, export, sent}, errors.Join(marshalling, err)
	case "metrics":
		metrics := b.metrics()
		sent, marshalling := pmetricotlp.NewExportRequestFromMetrics(metrics).MarshalProto()
		exporter, err := factory.CreateMetrics(ctx, settings, config)
		export := func(ctx context.Context) error { return exporter.ConsumeMetrics(ctx, metrics) }
		return &pipeline{exporter, export, sent}, errors.Join(marshalling, err)
	case "traces":
		traces := b.traces()
		sent, marshalling := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
		exporter, err := factory.CreateTraces(ctx, settings, config)
		export := func(ctx context.Context) error { return exporter.ConsumeTraces(ctx, traces) }
		return &pipeline{exporter, export, sent}, errors.Join(marshalling, err)
	case "profiles":
		experimental, ok := factory.(xexporter.Factory)
		if !ok {
			return nil, fmt.Errorf("the exporter %s has no profiles", factory.Type())
		}
		profiles := b.profiles()
		sent, marshalling := pprofileotlp.NewExportRequestFromProfiles(profiles).MarshalProto()
		exporter, err := experimental.CreateProfiles(ctx, settings, config)
		export := func(ctx context.Context) error { return exporter.ConsumeProfiles(ctx, profiles) }
		return &pipeline{exporter, export, sent}, errors.Join(marshalling, err)
	default:
		return nil, fmt.Errorf("-signal %q: write logs, metrics, traces or profiles", b.signal)
	}
}

// host is a collector without extensions.
type host struct{}

func (host) GetExtensions() map[component.ID]component.Component { return nil }

// partialSuccessLog is a log that keeps what an exporter says of a partial success, the one place where it says
// so.
type partialSuccessLog struct {
	zapcore.LevelEnabler
	found *partialSuccess
}

func (l *partialSuccessLog) With([]zapcore.Field) zapcore.Core { return l }

func (l *partialSuccessLog) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return checked.AddCore(entry, l)
}

func (l *partialSuccessLog) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if entry.Message != "Partial success response" {
		return nil
	}
	l.found = &partialSuccess{}
	for _, field := range fields {
		switch field.Key {
		case "message":
			l.found.Message = field.String
		case "dropped_log_records", "dropped_data_points", "dropped_spans", "dropped_profiles", "dropped_samples":
			l.found.Rejected = field.Integer
		}
	}
	return nil
}

func (l *partialSuccessLog) Sync() error { return nil }
