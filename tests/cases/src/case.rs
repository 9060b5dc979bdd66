//! A case as it is written.

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
    /// Where it is from: its path below the folder of cases, without the ending.
    #[serde(skip)]
    pub name: String,
    /// What it argues, in a sentence.
    pub argues: String,
    /// A merge patch (RFC 7396) to the configuration in `gate.yaml`.
    #[serde(default)]
    pub gate: Value,
    /// The values of `holdHeaders` that it is run with; both if left out.
    #[serde(default = "either")]
    pub hold: Vec<bool>,
    /// Whether the Lua filter stands behind the module.
    #[serde(default = "yes")]
    pub header_only_filter: bool,
    /// Who sends.
    #[serde(default)]
    pub sender: Sender,
    /// What is sent.
    pub request: Request,
    /// What the backend answers, if it is asked.
    #[serde(default)]
    pub backend: Backend,
    /// What must come of it.
    pub expect: Expect,
}

/// The SANs of the certificate with which a request is sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    /// Its DNS SANs.
    #[serde(default)]
    pub dns: Vec<String>,
    /// Its URI SANs.
    #[serde(default)]
    pub uri: Vec<String>,
    /// Whether there is a certificate at all.
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
    /// The sender whose requests are let in unless a case says otherwise.
    fn default() -> Self {
        Self { dns: vec!["*.payments".to_owned()], uri: Vec::new(), certificate: true }
    }
}

/// How a request is spoken.
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
    /// How its messages are written.
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Grpc | Self::Http | Self::Write => Format::Protobuf,
            Self::Json => Format::Json,
        }
    }
}

/// A request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Sent once in each of these. If left out: in all of OTLP's where the body is `entries`, in
    /// `write` where it is `series`, and in `grpc` and `http` where it is bytes.
    pub protocols: Option<Vec<Protocol>>,
    /// What it carries: `logs`, `metrics`, `profiles` or `traces`; of remote write, always metrics.
    #[serde(default)]
    pub signal: SignalName,
    /// In place of `POST`.
    pub method: Option<String>,
    /// In place of the signal's own.
    pub path: Option<String>,
    /// In place of the protocol's own content type; `~` for none.
    #[serde(default, deserialize_with = "present")]
    pub content_type: Option<Option<String>>,
    /// The claims of a token that Envoy has verified; none comes with it if left out.
    pub token: Option<Value>,
    /// Headers added to those that the protocol has, each as `[name, value]`.
    #[serde(default)]
    pub headers: Vec<(String, Bytes)>,
    /// How the body is compressed, as the protocol's header for it says; remote write is in `snappy`
    /// if left out. A name that the protocol does not have is announced and not done.
    pub encoding: Option<String>,
    /// How the body is compressed whatever `encoding` says, by a name of `content-encoding`.
    pub encoded: Option<String>,
    /// The texts of the dictionary of `profiles`, to which keys and values refer by number.
    #[serde(default)]
    pub strings: Vec<String>,
    /// The body, before it is compressed and framed.
    pub body: Body,
    /// What is wrong with the gRPC frame.
    #[serde(default)]
    pub frame: Frame,
    /// Trailers behind the body, each as `[name, value]`.
    #[serde(default)]
    pub trailers: Vec<(String, Bytes)>,
}

impl Request {
    /// The protocols in which it is sent.
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

/// Tells a key that is there with `~` from one that is not there.
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
    /// Two digits a byte; spaces do not count.
    Hex {
        /// The digits.
        hex: String,
    },
}

impl Bytes {
    /// The bytes.
    ///
    /// # Errors
    /// If the hex is none.
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

/// How a gRPC frame differs from a right one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// In place of the flag.
    pub flag: Option<u8>,
    /// In place of the length.
    pub length: Option<u32>,
    /// Bytes behind the message.
    pub behind: Option<Bytes>,
    /// The body is not framed at all.
    #[serde(default)]
    pub none: bool,
}

/// What a backend answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Its status; what the real backend answers to a stored request if left out.
    pub status: Option<u16>,
    /// Its headers, each as `[name, value]`.
    #[serde(default)]
    pub headers: Vec<(String, Bytes)>,
    /// Its body; none at all if left out.
    pub body: Option<BackendBody>,
    /// It answers over gRPC, in place of `status`.
    pub grpc: Option<GrpcAnswer>,
    /// It does not answer, and Envoy does.
    pub fails: Option<Fails>,
}

/// Why Envoy answers in a backend's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fails {
    /// It never answers.
    Hangs,
    /// It closes the connection once it has the request.
    HangsUp,
    /// There is no such cluster: it is called [`NOWHERE`].
    NoCluster,
    /// It takes no connection: the name of its cluster begins with [`REFUSING`].
    Refuses,
}

/// The name of a cluster that Envoy does not have.
pub const NOWHERE: &str = "nowhere";

/// How the names begin of clusters at a port that is closed.
pub const REFUSING: &str = "refusing";

impl Fails {
    /// Whether the request gets as far as to the backend.
    #[must_use]
    pub const fn is_reached(self) -> bool {
        match self {
            Self::Hangs | Self::HangsUp => true,
            Self::NoCluster | Self::Refuses => false,
        }
    }
}

/// What a backend answers over gRPC.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcAnswer {
    /// The number in `grpc-status`; none of it at all if left out.
    pub code: Option<i32>,
    /// Its message.
    #[serde(default)]
    pub message: String,
    /// The seconds of its `RetryInfo`; none if left out.
    pub retry_after: Option<u32>,
    /// Whether the status stands in headers alone.
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

/// What must come of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// What the backend gets; nothing if left out.
    pub forwarded: Option<Forwarded>,
    /// What the sender gets.
    pub reply: Reply,
    /// The counters that grow, by `name{tag=value,...}`, and by how much. All of them.
    pub counts: BTreeMap<String, u64>,
}

/// What a backend must get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forwarded {
    /// The cluster that the route is chosen by; none if left out, for what is not the gate's.
    pub to: Option<String>,
    /// The path.
    pub path: Option<String>,
    /// Headers, of which each must be there once with this value, or with `~` not at all.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// The body.
    pub body: ForwardedBody,
}

/// What a backend's body must be.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardedBody {
    /// What was sent, byte for byte, but for a gRPC frame.
    Same,
    /// What was sent, byte for byte, in its gRPC frame.
    Framed,
    /// An export of these, uncompressed in a gRPC frame.
    FramedEntries(Vec<Entry>),
    /// An export of these in the format of the request, decoded.
    Entries(Vec<Entry>),
    /// These bytes, as they are once decoded.
    Raw(Bytes),
    /// A write request of these, in one block of snappy.
    Series(Vec<Series>),
}

/// What a sender must get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The status over HTTP; 200 if left out.
    #[serde(default = "ok")]
    pub http: u16,
    /// The status over gRPC, by number, which a `Status` over HTTP has as its code; 0 if left out.
    #[serde(default)]
    pub grpc: i32,
    /// Texts that its message must have in it.
    #[serde(default)]
    pub says: Vec<String>,
    /// The count of its partial success; none may be set if left out.
    pub rejected: Option<i64>,
    /// The seconds after which it asks the sender to try again; none may be set if left out.
    pub retry_after: Option<u32>,
    /// The fields of its `BadRequest`. If left out, the gate's own refusal of bad data must have
    /// some, and nothing else any.
    pub fields: Option<Vec<String>>,
}

const fn ok() -> u16 {
    200
}

/// Every case below `folder`, in the order of their names.
///
/// # Errors
/// The first file that is not a case, by its name.
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
    // An enum is written as a map of one key, here as in JSON.
    let yaml = serde_yaml_ng::Deserializer::from_str(&text);
    let mut case: Case = singleton_map_recursive::deserialize(yaml).with_context(place)?;
    case.name = file.strip_prefix(folder)?.with_extension("").display().to_string();
    Ok(case)
}

/// The configuration of a case: the common one, patched.
///
/// # Errors
/// If the common one cannot be read.
pub fn configuration(folder: &Path, case: &Case) -> Result<Value> {
    let common = fs::read_to_string(folder.join("../gate.yaml"))?;
    let mut configuration: Value = serde_yaml_ng::from_str(&common)?;
    if !case.gate.is_null() {
        merge(&mut configuration, &case.gate);
    }
    Ok(configuration)
}

/// A merge patch (RFC 7396, section 2).
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
