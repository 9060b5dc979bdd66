//! The records to send: the SDK's providers make them, and its batch processors collect them in one batch.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    logs::{LogRecord, Logger, LoggerProvider, Severity},
    metrics::MeterProvider,
    trace::{Span, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    logs::{BatchLogProcessor, SdkLoggerProvider},
    metrics::{PeriodicReader, SdkMeterProvider, exporter::PushMetricExporter},
    trace::{BatchSpanProcessor, SdkTracerProvider},
};

use crate::Export;

const SCOPE: &str = "sluice.e2e";

/// Longer than any export takes, so that a batch is sent when it is full or when the provider shuts down.
const NEVER: Duration = Duration::from_secs(3_600);

pub(super) fn logs(export: &Export, exporter: impl opentelemetry_sdk::logs::LogExporter + 'static) {
    let batch = opentelemetry_sdk::logs::BatchConfigBuilder::default()
        .with_max_queue_size(export.records)
        .with_max_export_batch_size(export.records)
        .with_scheduled_delay(NEVER)
        .build();
    let processor = BatchLogProcessor::builder(exporter).with_batch_config(batch).build();
    let provider = SdkLoggerProvider::builder()
        .with_resource(resource(export, export.without == 0))
        .with_log_processor(processor)
        .build();
    let logger = provider.logger(SCOPE);
    for index in export.first..export.first + export.records {
        let mut record = logger.create_log_record();
        record.set_body(format!("log {index}").into());
        record.set_severity_number(Severity::Info);
        record.set_severity_text("INFO");
        logger.emit(record);
    }
    // The exporter's wrapper has recorded the result of the export; the same is true for the other two.
    let _ = provider.shutdown_with_timeout(patience(export));
}

pub(super) fn traces(
    export: &Export,
    exporter: impl opentelemetry_sdk::trace::SpanExporter + 'static,
) {
    let batch = opentelemetry_sdk::trace::BatchConfigBuilder::default()
        .with_max_queue_size(export.records)
        .with_max_export_batch_size(export.records)
        .with_scheduled_delay(NEVER)
        .build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(export, export.without == 0))
        .with_span_processor(processor)
        .build();
    let tracer = provider.tracer(SCOPE);
    for index in export.first..export.first + export.records {
        tracer.start(format!("span {index}")).end();
    }
    let _ = provider.shutdown_with_timeout(patience(export));
}

pub(super) fn metrics(export: &Export, exporter: impl PushMetricExporter) {
    let reader = PeriodicReader::builder(exporter).with_interval(NEVER).build();
    let provider = SdkMeterProvider::builder()
        .with_resource(resource(export, false))
        .with_reader(reader)
        .build();
    let gauge = provider.meter(SCOPE).u64_gauge("e2e.gauge").build();
    for index in 0..export.records {
        let number = i64::try_from(export.first + index).unwrap_or(i64::MAX);
        let mut attributes = vec![KeyValue::new("point", number)];
        if index < export.records - export.without {
            attributes.push(KeyValue::new("source.name", "rust"));
        }
        gauge.record(1, &attributes);
    }
    let _ = provider.shutdown_with_timeout(patience(export));
}

fn resource(export: &Export, named: bool) -> Resource {
    let mut attributes =
        vec![KeyValue::new("service.name", "e2e"), KeyValue::new("run.id", export.run_id.clone())];
    if export.padding > 0 {
        attributes.push(KeyValue::new("padding", "x".repeat(export.padding)));
    }
    if named {
        attributes.push(KeyValue::new("source.name", "rust"));
    }
    Resource::builder_empty().with_attributes(attributes).build()
}

fn patience(export: &Export) -> Duration {
    export.timeout + Duration::from_secs(5)
}
