//! Loki's rules for `POST /otlp/v1/logs`.

pub(crate) mod labels;

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{
    Method, StatusCode,
    header::{HeaderValue, LOCATION},
};
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest, common::v1::InstrumentationScope,
    logs::v1::LogRecord, resource::v1::Resource,
};
use prost::Message;

use crate::{
    answer::{Answer, JSON, PROTOBUF},
    encoding::{self, Coding, InflateError},
    otlp::{self, Format},
    push::{Body, Push, Verdict},
    status::{Code, Status},
    store::{Record, Store, Telemetry},
    tenant, value,
};

const PATH: &str = "/otlp/v1/logs";

/// The largest body, compressed and decompressed.
pub(crate) const BODY_LIMIT: usize = 100 << 20;
/// The largest message between Loki's components: `server.grpc_server_max_recv_msg_size`.
const INTERNAL_MESSAGE_LIMIT: usize = 4 << 20;
/// `limits_config.max_line_size`.
const LINE_LIMIT: usize = 256 << 10;
/// `limits_config.max_structured_metadata_entries_count`.
const METADATA_LIMIT: usize = 128;
/// `limits_config.reject_old_samples_max_age`.
const OLDEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// `limits_config.creation_grace_period`.
const NEWEST: Duration = Duration::from_secs(10 * 60);
/// How far behind its newest entry a stream's entry may be: half of `ingester.max_chunk_age`.
const STREAM_WINDOW: Duration = Duration::from_secs(3600);

/// What Loki remembers about its streams.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// The newest entry of each tenant's streams, in nanoseconds since 1970.
    newest: HashMap<(String, BTreeMap<String, String>), u64>,
    /// A hash of each entry: an exact duplicate is accepted and not stored again.
    seen: HashSet<u64>,
}

/// Loki's answer to a request, and what it stores.
pub(crate) fn receive(push: &Push, store: &Store) -> Verdict {
    if let Some(answer) = misdirected(push) {
        return Verdict::refused(answer);
    }
    // With two headers, the first counts.
    let tenant = match tenant::values(&push.headers).first().copied() {
        None | Some(b"") => {
            let answer = Answer::go_error(StatusCode::UNAUTHORIZED, "no org id");
            return Verdict::refused(answer);
        }
        Some(value) => match tenant::single(value) {
            Ok(tenant) => tenant,
            Err(refused) => return Verdict::refused(bad_tenant(&refused)),
        },
    };
    accept(push, &tenant, store).of(&tenant)
}

/// The router's own answers, sent before the tenant is checked.
fn misdirected(push: &Push) -> Option<Answer> {
    let path = push.uri.path();
    if path != PATH && without_double_slashes(path) == PATH {
        return Some(
            Answer::new(StatusCode::MOVED_PERMANENTLY)
                .header(LOCATION, HeaderValue::from_static(PATH)),
        );
    }
    // Another part of Loki has GET routes that end in a 404, so GET is not a 405 here.
    if path != PATH || push.method == Method::GET || push.method == Method::HEAD {
        return Some(Answer::go_error(StatusCode::NOT_FOUND, "404 page not found"));
    }
    (push.method != Method::POST).then(|| Answer::new(StatusCode::METHOD_NOT_ALLOWED))
}

fn without_double_slashes(path: &str) -> String {
    let mut clean = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        clean.push('/');
        clean.push_str(part);
    }
    if path.ends_with('/') {
        clean.push('/');
    }
    clean
}

fn accept(push: &Push, tenant: &str, store: &Store) -> Verdict {
    let Body::Whole(body) = &push.body else {
        return Verdict::refused(too_large());
    };
    let Some(coding) = coding(push.header("content-encoding")) else {
        return Verdict::refused(bad_request("the content encoding is not supported"));
    };
    let decoded = match encoding::inflate(body, coding, BODY_LIMIT) {
        Ok(decoded) => decoded,
        Err(InflateError::TooLarge { .. }) => return Verdict::refused(too_large()),
        Err(error) => return Verdict::refused(bad_request(error)),
    };
    let content_type = push.header("content-type");
    let Some(format) = format(content_type) else {
        let shown = String::from_utf8_lossy(content_type);
        return Verdict::refused(bad_request(format!("content type: {shown} is not supported")))
            .having_read(&decoded);
    };
    let request = otlp::decode::<ExportLogsServiceRequest>(&decoded, format)
        .and_then(|request| otlp::check_log_ids(&request).map(|()| request));
    let verdict = match request {
        Ok(request) => ingest(request, tenant, store),
        Err(error) => Verdict::refused(bad_request(error)),
    };
    verdict.having_read(&decoded)
}

fn coding(header: &[u8]) -> Option<Coding> {
    match header {
        b"" => Some(Coding::None),
        b"gzip" => Some(Coding::Gzip),
        b"zstd" => Some(Coding::Zstd),
        b"lz4" => Some(Coding::Lz4),
        _ => None,
    }
}

fn format(header: &[u8]) -> Option<Format> {
    if header == PROTOBUF.as_bytes() {
        Some(Format::Protobuf)
    } else if header == JSON.as_bytes() {
        Some(Format::Json)
    } else {
        None
    }
}

fn ingest(request: ExportLogsServiceRequest, tenant: &str, store: &Store) -> Verdict {
    let size = request.encoded_len();
    let empty = request
        .resource_logs
        .iter()
        .flat_map(|resource| &resource.scope_logs)
        .all(|scope| scope.log_records.is_empty());
    if empty {
        return Verdict::refused(status(
            StatusCode::UNPROCESSABLE_ENTITY,
            "error at least one valid stream is required for ingestion",
        ));
    }
    if let Err(error) = labels::check_names(&request) {
        return Verdict::refused(bad_request(error));
    }
    if size > INTERNAL_MESSAGE_LIMIT {
        return Verdict::refused(status(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("grpc: received message larger than max ({size} vs. {INTERNAL_MESSAGE_LIMIT})"),
        ));
    }
    store.with_streams(|streams| append_all(streams, request, tenant))
}

fn append_all(streams: &mut Streams, request: ExportLogsServiceRequest, tenant: &str) -> Verdict {
    let now = now();
    let mut taken = Vec::new();
    let mut first_refusal = None;
    for of_resource in request.resource_logs {
        let resource = Arc::new(of_resource.resource.unwrap_or_default());
        for of_scope in of_resource.scope_logs {
            let scope = Arc::new(of_scope.scope.unwrap_or_default());
            for log in of_scope.log_records {
                match streams.append(tenant, &resource, &scope, &log, now) {
                    Ok(Appended::New) => taken.push(Record {
                        resource: Arc::clone(&resource),
                        scope: Arc::clone(&scope),
                        telemetry: Telemetry::Log(log),
                    }),
                    Ok(Appended::Duplicate) => {}
                    Err(refusal) => {
                        first_refusal.get_or_insert(refusal);
                    }
                }
            }
        }
    }
    // One invalid record gives a 400 for the whole request, but the valid records are stored.
    let answer = match first_refusal {
        None => Answer::new(StatusCode::NO_CONTENT),
        Some(refusal) => bad_request(refusal),
    };
    Verdict::refused(answer).taking(taken)
}

/// What happens to a log record that Loki accepts.
enum Appended {
    /// An exact duplicate of a stored record: accepted, but not stored again.
    Duplicate,
    New,
}

/// Why Loki rejects a log record.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "entry for stream {stream:?} has timestamp too old: {nanos} ns, oldest acceptable timestamp is {oldest} ns"
    )]
    TooOld { stream: BTreeMap<String, String>, nanos: u64, oldest: u64 },
    #[error("entry for stream {stream:?} has timestamp too new: {nanos} ns")]
    TooNew { stream: BTreeMap<String, String>, nanos: u64 },
    #[error(
        "entry too far behind, stream {stream:?}: {nanos} ns, oldest acceptable timestamp is {oldest} ns"
    )]
    TooFarBehind { stream: BTreeMap<String, String>, nanos: u64, oldest: u64 },
    #[error(
        "max entry size {LINE_LIMIT} bytes exceeded for stream {stream:?}: the line has {bytes} bytes"
    )]
    LineTooLong { stream: BTreeMap<String, String>, bytes: usize },
    #[error(
        "stream {stream:?} has too many structured metadata labels: {count}, the limit is {METADATA_LIMIT}"
    )]
    TooMuchMetadata { stream: BTreeMap<String, String>, count: usize },
}

impl Streams {
    /// Remembers a log record, or returns why it is rejected. `now` is in nanoseconds since 1970.
    fn append(
        &mut self,
        tenant: &str,
        resource: &Resource,
        scope: &InstrumentationScope,
        log: &LogRecord,
        now: u64,
    ) -> Result<Appended, Refusal> {
        let stream = labels::stream(resource);
        let nanos = [log.time_unix_nano, log.observed_time_unix_nano, now]
            .into_iter()
            .find(|nanos| *nanos != 0)
            .unwrap_or_default();
        let oldest = now.saturating_sub(nanoseconds(OLDEST));
        if nanos < oldest {
            return Err(Refusal::TooOld { stream, nanos, oldest });
        }
        if nanos > now.saturating_add(nanoseconds(NEWEST)) {
            return Err(Refusal::TooNew { stream, nanos });
        }
        let line = log.body.as_ref().map(value::text).unwrap_or_default();
        if line.len() > LINE_LIMIT {
            return Err(Refusal::LineTooLong { stream, bytes: line.len() });
        }
        let metadata = labels::structured_metadata(resource, scope, log);
        if metadata.len() > METADATA_LIMIT {
            return Err(Refusal::TooMuchMetadata { stream, count: metadata.len() });
        }
        let key = (tenant.to_owned(), stream);
        let newest = self.newest.get(&key).copied().unwrap_or_default();
        let oldest = newest.saturating_sub(nanoseconds(STREAM_WINDOW));
        if nanos < oldest {
            return Err(Refusal::TooFarBehind { stream: key.1, nanos, oldest });
        }
        let mut entry = DefaultHasher::new();
        (&key, nanos, &line, &metadata).hash(&mut entry);
        self.newest.insert(key, newest.max(nanos));
        Ok(if self.seen.insert(entry.finish()) { Appended::New } else { Appended::Duplicate })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a stand-in server has a clock, as the real one has")]
fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    nanoseconds(since_1970.unwrap_or_default())
}

fn bad_tenant(refused: &tenant::Refused) -> Answer {
    match refused.message() {
        Some(message) => bad_request(message),
        None => error(
            StatusCode::BAD_REQUEST,
            &Status::new(Code::INTERNAL, "failed to marshal error response"),
        ),
    }
}

fn too_large() -> Answer {
    status(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("message size too large than max ({BODY_LIMIT} bytes)"),
    )
}

fn bad_request(message: impl ToString) -> Answer {
    status(StatusCode::BAD_REQUEST, message)
}

fn status(http: StatusCode, message: impl ToString) -> Answer {
    error(http, &Status::new(Code::UNSET, message.to_string()))
}

/// Loki writes protobuf, whatever the format of the request.
fn error(http: StatusCode, status: &Status) -> Answer {
    Answer::text(http, "application/octet-stream", status.protobuf())
        .header(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}
