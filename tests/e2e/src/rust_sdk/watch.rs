//! The replies to the Rust SDK's exporters. The exporters only tell their application success or failure.
//!
//! Over HTTP, the exporter gets a client that records each reply. Over gRPC, nothing can be put between the exporter
//! and the reply, but the exporter reports the reply as events of the `tracing` crate, which are recorded here.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
    trace::v1::ExportTraceServiceResponse,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter},
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SpanData, SpanExporter},
};
use prost::Message;
use serde_json::Value;
use tokio::runtime::Handle;
use tracing::{
    field::{Field, Visit},
    instrument::WithSubscriber,
    span,
};

use crate::{ErrorStatus, Outcome, PartialSuccess, Reply, Sdk, Signal, Verdict};

/// The record of one export.
#[derive(Debug)]
pub(super) struct Watch {
    signal: Signal,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    attempts: u32,
    reply: Option<Reply>,
    partial_success: Option<PartialSuccess>,
    /// The exporter's calls, all together.
    took: Duration,
    /// The result of each call of the exporter; one export is one call.
    results: Vec<Result<(), String>>,
}

impl Watch {
    pub(super) fn new(signal: Signal) -> Self {
        Self { signal, noted: Mutex::default() }
    }

    pub(super) fn sent_over_grpc(&self) {
        self.noted().attempts += 1;
    }

    pub(super) fn http_client(self: &Arc<Self>, client: reqwest::Client) -> WatchedClient {
        WatchedClient { client, watch: Arc::clone(self) }
    }

    pub(super) fn outcome(&self) -> Outcome {
        let noted = self.noted();
        let result = match noted.results.as_slice() {
            [Ok(())] => Verdict::Success,
            _ => Verdict::Failure,
        };
        let reply = match (&noted.reply, noted.results.as_slice()) {
            (_, results) if results.len() != 1 => Reply::None {
                message: format!("the exporter was called {} times: {results:?}", results.len()),
            },
            (Some(reply), _) => reply.clone(),
            (None, results) => Reply::None {
                message: results.iter().filter_map(|said| said.clone().err()).collect(),
            },
        };
        Outcome {
            sdk: Sdk::Rust,
            result,
            attempts: noted.attempts,
            milliseconds: u64::try_from(noted.took.as_millis()).unwrap_or(u64::MAX),
            reply,
            partial_success: noted.partial_success.clone(),
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn http_reply(&self, response: &Response<Bytes>) {
        let status = response.status();
        let content_type = response.headers().get(http::header::CONTENT_TYPE);
        let json = content_type.is_some_and(|value| value == "application/json");
        let error = if status.is_success() {
            None
        } else if json {
            serde_json::from_slice(response.body()).ok()
        } else {
            let status = tonic_types::pb::Status::decode(response.body().clone()).ok();
            status.map(|status| ErrorStatus { code: status.code, message: status.message })
        };
        let mut noted = self.noted();
        noted.partial_success = match (status.is_success(), json) {
            (false, _) => None,
            (true, false) => self.partial_success(response.body()),
            (true, true) => partial_success_in_json(response.body()),
        };
        noted.reply = Some(Reply::Http {
            status: status.as_u16(),
            content_type: content_type
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            error,
        });
    }

    fn partial_success(&self, body: &[u8]) -> Option<PartialSuccess> {
        let (rejected, message) = match self.signal {
            Signal::Logs => {
                let said = ExportLogsServiceResponse::decode(body).ok()?.partial_success?;
                (said.rejected_log_records, said.error_message)
            }
            Signal::Metrics => {
                let said = ExportMetricsServiceResponse::decode(body).ok()?.partial_success?;
                (said.rejected_data_points, said.error_message)
            }
            Signal::Traces => {
                let said = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
                (said.rejected_spans, said.error_message)
            }
        };
        Some(PartialSuccess { rejected, message })
    }

    fn grpc_event(&self, name: &str, fields: &Fields) {
        if !name.starts_with("Tonic") {
            return;
        }
        let mut noted = self.noted();
        if name.ends_with(".ExportSucceeded") {
            noted.reply = Some(Reply::Grpc { code: "OK".to_owned(), message: String::new() });
        } else if name.ends_with(".PartialSuccess") {
            noted.partial_success = Some(PartialSuccess {
                rejected: fields.rejected,
                message: fields.error_message.clone(),
            });
        } else if name.ends_with(".ExportFailed") {
            noted.reply = Some(Reply::Grpc {
                code: canonical(&fields.grpc_code),
                message: fields.grpc_message.clone(),
            });
        }
    }

    /// A status with a cause comes from the client itself: no peer has answered.
    fn result(&self, result: Result<(), String>) {
        let mut noted = self.noted();
        if let (Err(error), Some(Reply::Grpc { .. })) = (&result, &noted.reply) {
            let after_code = error.split_once("gRPC code: ").map_or("", |(_, rest)| rest);
            if after_code.contains(": ") {
                noted.reply = Some(Reply::None { message: error.clone() });
            }
        }
        noted.results.push(result);
    }
}

/// The response of each signal has its count under a different name, as a number or as text.
fn partial_success_in_json(body: &[u8]) -> Option<PartialSuccess> {
    let response: Value = serde_json::from_slice(body).ok()?;
    let said = response.get("partialSuccess")?.as_object()?;
    let rejected = said.iter().find(|(name, _)| name.starts_with("rejected"));
    let rejected = rejected.map(|(_, count)| match count {
        Value::String(text) => text.parse().ok(),
        count => count.as_i64(),
    });
    let message = said.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(PartialSuccess { rejected: rejected.unwrap_or(Some(0))?, message })
}

/// Converts `PermissionDenied` to `PERMISSION_DENIED`: tonic prints the former, the gRPC specification has the latter.
fn canonical(code: &str) -> String {
    let mut name = String::new();
    for character in code.chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}

/// An HTTP client that records each reply and returns it unchanged.
#[derive(Debug)]
pub(super) struct WatchedClient {
    client: reqwest::Client,
    watch: Arc<Watch>,
}

#[async_trait]
impl HttpClient for WatchedClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.watch.noted().attempts += 1;
        let failed = |error: reqwest::Error| {
            let message = with_causes(&error);
            self.watch.noted().reply = Some(Reply::None { message });
            error
        };
        let reply = self.client.execute(request.try_into()?).await.map_err(failed)?;
        let (status, headers) = (reply.status(), reply.headers().clone());
        let mut response = Response::new(reply.bytes().await.map_err(failed)?);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        self.watch.http_reply(&response);
        Ok(response)
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// One of the SDK's exporters. It runs inside tokio, and its events are recorded.
#[derive(Debug)]
pub(super) struct Watched<E> {
    exporter: E,
    watch: Arc<Watch>,
    runtime: Handle,
}

impl<E> Watched<E> {
    /// Must be called within a tokio runtime.
    pub(super) fn new(exporter: E, watch: Arc<Watch>) -> Self {
        Self { exporter, watch, runtime: Handle::current() }
    }

    /// The SDK calls its exporters on its own threads, which are not part of the tokio runtime.
    fn run(&self, exported: impl Future<Output = OTelSdkResult>) -> OTelSdkResult {
        let began = Instant::now();
        let result =
            self.runtime.block_on(exported.with_subscriber(Events(Arc::clone(&self.watch))));
        self.watch.noted().took += began.elapsed();
        self.watch.result(result.as_ref().map_err(ToString::to_string).copied());
        result
    }
}

impl<E: LogExporter> LogExporter for Watched<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        self.run(self.exporter.export(batch))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.run(self.exporter.export(batch))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Watched<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.run(self.exporter.export(metrics))
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// Accepts the events of `opentelemetry-otlp`, but no spans.
struct Events(Arc<Watch>);

impl tracing::Subscriber for Events {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target() == "opentelemetry-otlp"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.grpc_event(event.metadata().name(), &fields);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The fields of the three events that are recorded.
#[derive(Default)]
struct Fields {
    rejected: i64,
    error_message: String,
    grpc_code: String,
    grpc_message: String,
}

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name().starts_with("rejected_") {
            self.rejected = value;
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "error_message" => value.clone_into(&mut self.error_message),
            "grpc_code" => value.clone_into(&mut self.grpc_code),
            "grpc_message" => value.clone_into(&mut self.grpc_message),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(code: &str, message: &str) -> Fields {
        Fields { grpc_code: code.to_owned(), grpc_message: message.to_owned(), ..Fields::default() }
    }

    #[test]
    fn a_status_that_the_client_made_up_is_no_reply() {
        let watch = Watch::new(Signal::Logs);
        watch.grpc_event("TonicLogsClient.ExportFailed", &fields("Unavailable", "transport error"));
        watch
            .result(Err("failed with gRPC code: Unavailable: transport error: refused".to_owned()));
        assert!(matches!(watch.outcome().reply, Reply::None { .. }), "{:?}", watch.outcome());
    }

    #[test]
    fn a_status_of_the_peer_has_its_canonical_name() {
        let watch = Watch::new(Signal::Logs);
        watch.grpc_event("TonicLogsClient.ExportFailed", &fields("PermissionDenied", "no"));
        watch.result(Err("failed with gRPC code: PermissionDenied".to_owned()));
        let expected =
            Reply::Grpc { code: "PERMISSION_DENIED".to_owned(), message: "no".to_owned() };
        assert_eq!((watch.outcome().reply, watch.outcome().result), (expected, Verdict::Failure));
    }

    #[test]
    fn a_partial_success_in_json_has_its_count_as_text_or_as_a_number() {
        for count in ["3", "\"3\""] {
            let body = format!(r#"{{"partialSuccess":{{"rejectedSpans":{count}}}}}"#);
            let said = partial_success_in_json(body.as_bytes()).expect("a partial success");
            assert_eq!((said.rejected, said.message.as_str()), (3, ""));
        }
        assert_eq!(partial_success_in_json(b"{}"), None);
    }

    #[test]
    fn a_batch_in_two_parts_is_no_success() {
        let watch = Watch::new(Signal::Logs);
        watch.result(Ok(()));
        watch.result(Ok(()));
        assert_eq!(watch.outcome().result, Verdict::Failure);
    }
}
