//! A case as bytes: what the sender sends, and what the backend answers.

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Message;
use serde_json::Value;
use sluice_encodings::{Encoding, EncodingHeader, grpc};
use sluice_otlp::Signal;
use sluice_reply::{Code, ExportResponse, PartialSuccess, Status};

use crate::{
    case::{BackendBody, Body, Case, Fails, GrpcAnswer, Protocol},
    compress, series,
};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

/// Headers in the order in which they are sent.
pub type HeaderList = Vec<(String, Vec<u8>)>;

/// A request on the wire.
#[derive(Clone, Debug)]
pub struct WireRequest {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its signal.
    pub signal: Signal,
    /// Its headers, pseudo headers first.
    pub headers: HeaderList,
    /// Its body.
    pub body: Vec<u8>,
    /// The body without the gRPC frame: what a backend over HTTP gets if nothing changes.
    pub payload: Vec<u8>,
    /// Its trailers.
    pub trailers: HeaderList,
    /// The claims of its token.
    pub token: Option<Value>,
}

/// A reply on the wire.
#[derive(Clone, Debug)]
pub struct WireReply {
    /// Its status.
    pub status: u16,
    /// Its headers, without pseudo headers.
    pub headers: HeaderList,
    /// Its body; `None` if the reply only has headers.
    pub body: Option<Vec<u8>>,
    /// Its trailers.
    pub trailers: HeaderList,
    /// Whether the Lua filter runs. It gives a body to a reply without one, and copies the body of a failure into a
    /// header.
    pub helped: bool,
    /// The source of the reply according to Envoy: its `response.code_details`.
    pub details: &'static str,
    /// Whether the reply comes as soon as the request's head has been forwarded.
    pub early: bool,
}

/// Envoy's `response.code_details` for a backend's own reply.
const VIA_UPSTREAM: &str = "via_upstream";

/// Returns the request of a case in `protocol`.
///
/// # Errors
/// If the case asks for what cannot be sent.
pub fn request(case: &Case, protocol: Protocol) -> Result<WireRequest> {
    let request = &case.request;
    let signal = signal(case, protocol);
    let message = match &request.body {
        Body::Series(entries) => series::encode(entries)?,
        Body::Entries(entries) => request.export(entries).encode(protocol.format())?,
        Body::Raw(bytes) => bytes.bytes()?,
        Body::Zeros(count) => vec![0; *count],
    };
    let (path, content_type, encoding_header) = match protocol {
        Protocol::Grpc => (signal.grpc_path(), "application/grpc", EncodingHeader::Grpc),
        Protocol::Http => (signal.http_path(), PROTOBUF, EncodingHeader::Content),
        Protocol::Json => (signal.http_path(), JSON, EncodingHeader::Content),
        Protocol::Write => ("/api/v1/push", PROTOBUF, EncodingHeader::Content),
    };
    let encoding = encoding(case, protocol)?;
    let payload = compress::encode(encoding, message)?;
    let mut headers: HeaderList = Vec::new();
    let mut add = |name: &str, value: &[u8]| headers.push((name.to_owned(), value.to_vec()));
    add(":method", request.method.as_deref().unwrap_or("POST").as_bytes());
    add(":path", request.path.as_deref().unwrap_or(path).as_bytes());
    add(":scheme", b"https");
    add(":authority", b"gate.example");
    match &request.content_type {
        None => add("content-type", content_type.as_bytes()),
        Some(None) => {}
        Some(Some(content_type)) => add("content-type", content_type.as_bytes()),
    }
    if let Some(value) = announced(case, protocol) {
        add(encoding_header.name(), value.as_bytes());
    }
    match protocol {
        Protocol::Grpc => add("te", b"trailers"),
        Protocol::Write => add("x-prometheus-remote-write-version", b"0.1.0"),
        Protocol::Http | Protocol::Json => {}
    }
    for (name, value) in &request.headers {
        add(name, &value.bytes()?);
    }
    let body = match protocol {
        Protocol::Grpc if !request.frame.none => {
            frame(case, encoding != Encoding::Identity, &payload)?
        }
        _ => payload.clone(),
    };
    if protocol != Protocol::Grpc {
        headers.push(("content-length".to_owned(), body.len().to_string().into_bytes()));
    }
    let trailers = request.trailers.iter();
    let trailers = trailers
        .map(|(name, value)| Ok((name.clone(), value.bytes()?)))
        .collect::<Result<HeaderList>>()?;
    let token = request.token.clone();
    Ok(WireRequest { protocol, signal, headers, body, payload, trailers, token })
}

impl WireReply {
    /// Whether the Lua filter waits for the end of the reply, which then arrives with its body.
    #[must_use]
    pub fn waits_in_lua(&self) -> bool {
        let (headers, body) = self.at_the_module();
        body != self.body || headers.iter().any(|(name, _)| name == "x-sluice-said")
    }

    /// The reply as it reaches the module, with `:status` among its headers. If it has no body, the Lua filter has
    /// added one, if it runs.
    #[must_use]
    pub fn at_the_module(&self) -> (HeaderList, Option<Vec<u8>>) {
        let mut headers = self.headers.clone();
        let mut status = self.status;
        let mut body = self.body.clone();
        // The Lua filter does not change gRPC.
        let is_grpc = headers.iter().any(|(_, value)| value == b"application/grpc");
        match &body {
            _ if !self.helped || is_grpc => {}
            Some(said) if !said.is_empty() => {
                if !matches!(status, 200 | 202 | 204) && said.len() <= 65_536 {
                    headers.push(("x-sluice-said".to_owned(), STANDARD.encode(said).into_bytes()));
                }
            }
            _ => {
                headers.push(("x-sluice-header-only".to_owned(), status.to_string().into_bytes()));
                status = if status == 204 { 200 } else { status };
                body = Some(vec![0]);
            }
        }
        headers.insert(0, (":status".to_owned(), status.to_string().into_bytes()));
        (headers, body)
    }
}

/// Returns the signal of a case in `protocol`.
fn signal(case: &Case, protocol: Protocol) -> Signal {
    match protocol {
        Protocol::Write => Signal::Metrics,
        _ => case.request.signal.into(),
    }
}

/// Returns the announced encoding.
fn announced(case: &Case, protocol: Protocol) -> Option<&str> {
    let usual = (protocol == Protocol::Write).then_some("snappy");
    case.request.encoding.as_deref().or(usual)
}

/// Returns the real compression of a case's body.
///
/// # Errors
/// If the case names an unknown encoding.
pub fn encoding(case: &Case, protocol: Protocol) -> Result<Encoding> {
    let header = match protocol {
        Protocol::Grpc => EncodingHeader::Grpc,
        Protocol::Http | Protocol::Json | Protocol::Write => EncodingHeader::Content,
    };
    let request = &case.request;
    if let Some(encoded) = &request.encoded {
        let encoding = EncodingHeader::Content.read(encoded.as_bytes());
        return encoding.with_context(|| format!("{encoded:?} is no encoding"));
    }
    let announced = announced(case, protocol).unwrap_or_default();
    Ok(header.read(announced.as_bytes()).unwrap_or(Encoding::Identity))
}

fn frame(case: &Case, compressed: bool, payload: &[u8]) -> Result<Vec<u8>> {
    let frame = &case.request.frame;
    let mut body = vec![frame.flag.unwrap_or(u8::from(compressed))];
    let length = frame.length.map_or_else(|| u32::try_from(payload.len()), Ok)?;
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(payload);
    if let Some(behind) = &frame.behind {
        body.extend_from_slice(&behind.bytes()?);
    }
    Ok(body)
}

/// Returns the answer of a case's backend to a request in `protocol`. The default is the real backend's answer when it
/// has stored everything.
///
/// # Errors
/// If the case asks for what cannot be sent.
pub fn reply(case: &Case, protocol: Protocol) -> Result<WireReply> {
    let backend = &case.backend;
    let (status, content_type, stored) = match (signal(case, protocol), protocol) {
        (_, Protocol::Write) => (200, None, None),
        (Signal::Logs, _) => (204, None, None),
        (Signal::Metrics, Protocol::Json) => (200, Some(JSON), Some(b"{}".to_vec())),
        // Pyroscope answers JSON requests in protobuf too.
        (Signal::Metrics | Signal::Profiles, _) => (200, Some(PROTOBUF), None),
        (Signal::Traces, Protocol::Json) => {
            (200, Some(JSON), Some(br#"{"partialSuccess":{}}"#.to_vec()))
        }
        (Signal::Traces, _) => (200, Some(PROTOBUF), Some(vec![0x0a, 0x00])),
    };
    let (helped, details, early) = (case.header_only_filter, VIA_UPSTREAM, false);
    if let Some(fails) = backend.fails {
        return Ok(envoys_reply(case, fails, protocol));
    }
    if let Some(grpc) = &backend.grpc {
        return grpc_reply(case, grpc);
    }
    let Some(status) = backend.status.filter(|status| *status != 204) else {
        let headers = backend_headers(case, content_type)?;
        let status = backend.status.unwrap_or(status);
        let trailers = HeaderList::new();
        let body = stored;
        return Ok(WireReply { status, headers, body, trailers, helped, details, early });
    };
    let (content_type, body) = match &backend.body {
        None => (None, None),
        Some(BackendBody::Raw(bytes)) => (None, Some(bytes.bytes()?)),
        Some(BackendBody::Zeros(count)) => (None, Some(vec![0; *count])),
        Some(BackendBody::PartialSuccess { rejected, message }) => {
            let partial_success =
                Some(PartialSuccess { rejected: *rejected, error_message: message.clone() });
            let response = ExportResponse { partial_success };
            match protocol {
                Protocol::Json => (Some(JSON), Some(response.to_json(case.request.signal.into()))),
                _ => (Some(PROTOBUF), Some(response.encode_to_vec())),
            }
        }
        Some(BackendBody::Status { code, message }) => {
            let mut status = Status::new(Code::Internal, message.clone());
            status.code = *code;
            (Some("application/octet-stream"), Some(status.encode_to_vec()))
        }
    };
    let headers = backend_headers(case, content_type)?;
    let trailers = HeaderList::new();
    Ok(WireReply { status, headers, body, trailers, helped, details, early })
}

/// Envoy's own answer in place of a backend, as in `source/common/router/router.cc`.
fn envoys_reply(case: &Case, fails: Fails, protocol: Protocol) -> WireReply {
    let (status, details, text) = match fails {
        Fails::Hangs => (504, "response_timeout", "upstream request timeout"),
        Fails::HangsUp => (
            503,
            "upstream_reset_before_response_started{connection_termination}",
            "upstream connect error or disconnect/reset before headers. reset reason: connection \
             termination",
        ),
        Fails::NoCluster => (503, "cluster_not_found", ""),
        Fails::Refuses => (
            503,
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:\
             _Connection_refused}",
            "upstream connect error or disconnect/reset before headers. reset reason: remote \
             connection failure",
        ),
    };
    let (helped, early) = (case.header_only_filter, fails == Fails::NoCluster);
    let header = |(name, value): (&str, &str)| (name.to_owned(), value.as_bytes().to_vec());
    let trailers = HeaderList::new();
    if protocol == Protocol::Grpc {
        let headers =
            [("content-type", "application/grpc"), ("grpc-status", "14"), ("grpc-message", text)];
        let headers = headers.map(header).to_vec();
        return WireReply { status: 200, headers, body: None, trailers, helped, details, early };
    }
    let body = (!text.is_empty()).then(|| text.as_bytes().to_vec());
    let headers = body.iter().map(|_| header(("content-type", "text/plain"))).collect();
    WireReply { status, headers, body, trailers, helped, details, early }
}

/// A reply over gRPC. Its message is the body's partial success, or an empty response for a code of 0.
fn grpc_reply(case: &Case, answer: &GrpcAnswer) -> Result<WireReply> {
    let GrpcAnswer { code, message, retry_after, trailers_only } = answer;
    let mut status = HeaderList::new();
    if let Some(code) = code {
        let mut add =
            |name: &str, value: String| status.push((name.to_owned(), value.into_bytes()));
        add("grpc-status", code.to_string());
        if !message.is_empty() {
            add("grpc-message", message.replace('%', "%25"));
        }
        if let Some(seconds) = retry_after {
            let mut details = Status::new(Code::Internal, message.clone());
            details.code = *code;
            let details = details.with_retry_delay(*seconds).details_header();
            add("grpc-status-details-bin", details.context("no details")?);
        }
    }
    let message = match &case.backend.body {
        Some(BackendBody::PartialSuccess { rejected, message }) => {
            let partial_success =
                Some(PartialSuccess { rejected: *rejected, error_message: message.clone() });
            Some(ExportResponse { partial_success }.encode_to_vec())
        }
        Some(BackendBody::Raw(bytes)) => Some(bytes.bytes()?),
        Some(_) => anyhow::bail!("a backend over gRPC answers partialSuccess or raw"),
        None => (*code == Some(0)).then(|| ExportResponse::default().encode_to_vec()),
    };
    let mut headers = backend_headers(case, Some("application/grpc"))?;
    let (body, trailers) = if *trailers_only {
        headers.extend(status);
        (None, HeaderList::new())
    } else {
        let body = message.map(|message| grpc::write(&message).unwrap_or_default());
        (Some(body.unwrap_or_default()), status)
    };
    let (helped, details, early) = (case.header_only_filter, VIA_UPSTREAM, false);
    Ok(WireReply { status: 200, headers, body, trailers, helped, details, early })
}

fn backend_headers(case: &Case, content_type: Option<&str>) -> Result<HeaderList> {
    let mut headers = HeaderList::new();
    for (name, value) in &case.backend.headers {
        headers.push((name.clone(), value.bytes()?));
    }
    if let Some(content_type) = content_type
        && !headers.iter().any(|(name, _)| name == "content-type")
    {
        headers.push(("content-type".to_owned(), content_type.as_bytes().to_vec()));
    }
    Ok(headers)
}
