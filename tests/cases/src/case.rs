//! The format of a case file.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use serde_yaml_ng::with::singleton_map_recursive;
use sluice_otlp::{Format, Signal};

use crate::{
    series::Series,
    telemetry::{Entry, Export},
};

/// One case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its path below the folder of cases, without the extension.
    #[serde(skip)]
    pub name: String,
    /// What the case shows, in one sentence.
    pub argues: String,
    /// A merge patch (RFC 7396) to the configuration in `gate.yaml`.
    #[serde(default)]
    pub gate: Value,
    /// The values of `holdHeaders` with which it runs; default: both.
    #[serde(default = "either")]
    pub hold: Vec<bool>,
    /// Whether the Lua filter runs after the module.
    #[serde(default = "yes")]
    pub header_only_filter: bool,
    /// The sender.
    #[serde(default)]
    pub sender: Sender,
    /// The request.
    pub request: Request,
    /// The backend's answer, if the request reaches the backend.
    #[serde(default)]
    pub backend: Backend,
    /// The expected result.
    pub expect: Expect,
}

/// The SANs of the sender's certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    /// Its DNS SANs.
    #[serde(default)]
    pub dns: Vec<String>,
    /// Its URI SANs.
    #[serde(default)]
    pub uri: Vec<String>,
    /// Whether the sender has a certificate.
    #[serde(default = "yes")]
    pub certificate: bool,
}

fn either() -> Vec<bool> {
    vec![true, false]
}

const fn yes() -> bool {
    true
}

impl Default for Sender {
    /// The default sender, whose requests the gate accepts.
    fn default() -> Self {
        Self { dns: vec!["*.payments".to_owned()], uri: Vec::new(), certificate: true }
    }
}

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf.
    Http,
    /// OTLP/HTTP with JSON.
    Json,
    /// Prometheus remote write 1.0.
    Write,
}

impl Protocol {
    /// The format of its messages.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Grpc | Self::Http | Self::Write => Format::Protobuf,
            Self::Json => Format::Json,
        }
    }

    /// The version of HTTP that it is sent over here, as Envoy writes it (`request.protocol`).
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::Grpc => "HTTP/2",
            Self::Http | Self::Json | Self::Write => "HTTP/1.1",
        }
    }
}

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The protocols, in each of which the request is sent once. Default: all of OTLP's if the body is `entries`,
    /// `write` if it is `series`, and `grpc` and `http` if it is bytes.
    pub protocols: Option<Vec<Protocol>>,
    /// The signal: `logs`, `metrics`, `profiles` or `traces`; always metrics for remote write.
    #[serde(default)]
    pub signal: SignalName,
    /// The method; default: `POST`.
    pub method: Option<String>,
    /// The path; default: that of the signal.
    pub path: Option<String>,
    /// The content type; default: that of the protocol; `~` for none.
    #[serde(default, deserialize_with = "present")]
    pub content_type: Option<Option<String>>,
    /// The claims of a token that Envoy has verified; default: no token.
    pub token: Option<Value>,
    /// Headers in addition to those of the protocol, each as `[name, value]`.
    #[serde(default)]
    pub headers: Vec<(String, Bytes)>,
    /// The compression of the body, by a name from the protocol's own header for it. The default of remote write is
    /// `snappy`. A name that the protocol does not have is announced but not applied.
    pub encoding: Option<String>,
    /// The real compression of the body, whatever `encoding` says, by a name of `content-encoding`.
    pub encoded: Option<String>,
    /// The texts in the dictionary of `profiles`, to which keys and values refer by number.
    #[serde(default)]
    pub strings: Vec<String>,
    /// The body, before it is compressed and framed.
    pub body: Body,
    /// How the gRPC frame is invalid.
    #[serde(default)]
    pub frame: Frame,
    /// Trailers after the body, each as `[name, value]`.
    #[serde(default)]
    pub trailers: Vec<(String, Bytes)>,
}

impl Request {
    /// The protocols in which the request is sent.
    #[must_use]
    pub fn protocols(&self) -> &[Protocol] {
        const ALL: [Protocol; 3] = [Protocol::Grpc, Protocol::Http, Protocol::Json];
        const IN_PROTOBUF: [Protocol; 2] = [Protocol::Grpc, Protocol::Http];
        const WRITE: [Protocol; 1] = [Protocol::Write];
        match (&self.protocols, &self.body) {
            (Some(protocols), _) => protocols,
            (None, Body::Entries(_)) => &ALL,
            (None, Body::Series(_)) => &WRITE,
            (None, Body::Raw(_) | Body::Zeros(_)) => &IN_PROTOBUF,
        }
    }

    /// An export request with its dictionary and these entries.
    #[must_use]
    pub fn export<'a>(&'a self, entries: &'a [Entry]) -> Export<'a> {
        Export { signal: self.signal.into(), entries, strings: &self.strings }
    }
}

/// Distinguishes a key with the value `~` from a missing key.
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

/// A signal by its name in the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalName {
    /// Log records.
    #[default]
    Logs,
    /// Data points.
    Metrics,
    /// Profiles.
    Profiles,
    /// Spans.
    Traces,
}

impl From<SignalName> for Signal {
    fn from(name: SignalName) -> Self {
        match name {
            SignalName::Logs => Self::Logs,
            SignalName::Metrics => Self::Metrics,
            SignalName::Profiles => Self::Profiles,
            SignalName::Traces => Self::Traces,
        }
    }
}

/// Bytes, as text or in hex.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    /// The bytes of this text.
    Text(String),
    /// Two digits for each byte; spaces are ignored.
    Hex {
        /// The digits.
        hex: String,
    },
}

impl Bytes {
    /// The bytes.
    ///
    /// # Errors
    /// If the text is not hex.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::Hex { hex } => {
                let digits: String = hex.split_whitespace().collect();
                if !digits.len().is_multiple_of(2) || !digits.is_ascii() {
                    bail!("{hex:?} is not hex");
                }
                let byte = |pair: &[u8]| -> Result<u8> {
                    Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)
                };
                digits.as_bytes().chunks_exact(2).map(byte).collect()
            }
        }
    }
}

/// The body of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// An export of these.
    Entries(Vec<Entry>),
    /// A write request of these.
    Series(Vec<Series>),
    /// These bytes.
    Raw(Bytes),
    /// So many zero bytes.
    Zeros(usize),
}

/// How a gRPC frame differs from a valid one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// The flag.
    pub flag: Option<u8>,
    /// The length.
    pub length: Option<u32>,
    /// Bytes after the message.
    pub behind: Option<Bytes>,
    /// The body has no frame.
    #[serde(default)]
    pub none: bool,
}

/// The answer of a backend.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Its status; default: the answer of the real backend to a stored request.
    pub status: Option<u16>,
    /// Its headers, each as `[name, value]`.
    #[serde(default)]
    pub headers: Vec<(String, Bytes)>,
    /// Its body; default: no body.
    pub body: Option<BackendBody>,
    /// An answer over gRPC, instead of `status`.
    pub grpc: Option<GrpcAnswer>,
    /// The backend does not answer, and Envoy does.
    pub fails: Option<Fails>,
}

/// Why Envoy answers in place of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fails {
    /// The backend never answers.
    Hangs,
    /// The backend closes the connection after it has received the request.
    HangsUp,
    /// The cluster does not exist; its name is [`NOWHERE`].
    NoCluster,
    /// The backend refuses connections; the name of its cluster begins with [`REFUSING`].
    Refuses,
}

/// The name of a cluster that Envoy does not have.
pub const NOWHERE: &str = "nowhere";

/// The prefix of the names of clusters with a closed port.
pub const REFUSING: &str = "refusing";

impl Fails {
    /// Returns whether the request reaches the backend.
    #[must_use]
    pub const fn is_reached(self) -> bool {
        match self {
            Self::Hangs | Self::HangsUp => true,
            Self::NoCluster | Self::Refuses => false,
        }
    }
}

/// The answer of a backend over gRPC.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcAnswer {
    /// The number in `grpc-status`; default: no `grpc-status`.
    pub code: Option<i32>,
    /// Its message.
    #[serde(default)]
    pub message: String,
    /// The seconds in its `RetryInfo`; default: no `RetryInfo`.
    pub retry_after: Option<u32>,
    /// Whether the answer is trailers-only.
    #[serde(default)]
    pub trailers_only: bool,
}

/// The body of a backend's reply.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackendBody {
    /// A response with this partial success.
    PartialSuccess {
        /// Its count.
        rejected: i64,
        /// Its message.
        message: String,
    },
    /// These bytes.
    Raw(Bytes),
    /// So many zero bytes.
    Zeros(usize),
    /// A `google.rpc.Status` in protobuf.
    Status {
        /// Its code.
        code: i32,
        /// Its message.
        message: String,
    },
}

/// The expected result of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// What the backend gets; default: nothing.
    pub forwarded: Option<Forwarded>,
    /// What the sender gets.
    pub reply: Reply,
    /// All counters that increase, as `name{tag=value,...}`, and by how much.
    pub counts: BTreeMap<String, u64>,
}

/// The request that a backend must get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarded {
    /// The cluster of the chosen route; default: none, for requests that the gate lets pass without a backend.
    pub to: Option<String>,
    /// The path.
    pub path: Option<String>,
    /// Headers: each must occur once with this value, or with `~` not at all.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// The body.
    pub body: ForwardedBody,
}

/// The body that a backend must get.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardedBody {
    /// The bytes that were sent, without the gRPC frame.
    Same,
    /// The bytes that were sent, with their gRPC frame.
    Framed,
    /// An export of these, uncompressed in a gRPC frame.
    FramedEntries(Vec<Entry>),
    /// An export of these in the format of the request, decoded.
    Entries(Vec<Entry>),
    /// These bytes after decoding.
    Raw(Bytes),
    /// A write request of these, in one block of snappy.
    Series(Vec<Series>),
}

/// The reply that a sender must get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The status over HTTP; default: 200.
    #[serde(default = "ok")]
    pub http: u16,
    /// The status over gRPC, as a number; over HTTP, the code in a `Status`. Default: 0.
    #[serde(default)]
    pub grpc: i32,
    /// Texts that its message must contain.
    #[serde(default)]
    pub says: Vec<String>,
    /// The count of its partial success; default: there must be none.
    pub rejected: Option<i64>,
    /// The seconds after which the sender is asked to retry; default: there must be none.
    pub retry_after: Option<u32>,
    /// The fields of its `BadRequest`. By default, the gate's own refusal of invalid data must have some, and no other
    /// reply may have any.
    pub fields: Option<Vec<String>>,
}

const fn ok() -> u16 {
    200
}

/// Returns every case below `folder`, sorted by name.
///
/// # Errors
/// If a file is not a case; the error names the first one.
pub fn load(folder: &Path) -> Result<Vec<Case>> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    files.iter().map(|file| read(folder, file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn read(folder: &Path, file: &Path) -> Result<Case> {
    let place = || file.display().to_string();
    let text = fs::read_to_string(file).with_context(place)?;
    // An enum is a map with one key, here as in JSON.
    let yaml = serde_yaml_ng::Deserializer::from_str(&text);
    let mut case: Case = singleton_map_recursive::deserialize(yaml).with_context(place)?;
    case.name = file.strip_prefix(folder)?.with_extension("").display().to_string();
    Ok(case)
}

/// Returns the configuration of a case: the shared one with the case's patch.
///
/// # Errors
/// If the shared configuration cannot be read.
pub fn configuration(folder: &Path, case: &Case) -> Result<Value> {
    let common = fs::read_to_string(folder.join("../gate.yaml"))?;
    let mut configuration: Value = serde_yaml_ng::from_str(&common)?;
    if !case.gate.is_null() {
        merge(&mut configuration, &case.gate);
    }
    Ok(configuration)
}

/// Applies a merge patch (RFC 7396, section 2).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    if let Value::Object(target) = target {
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
    }
}
