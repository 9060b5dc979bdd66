//! What is known of each kind of backend.

use serde::Deserialize;
use sluice_otlp::{
    Format, Signal,
    content::{Encoding, Encodings},
};
use sluice_records::BackendTraits;
use sluice_tenant::HeaderEdit;

/// The header by which Envoy finds the backend: a route's `cluster_header`, or a match in a
/// VirtualService or an HTTPRoute. No sender's copy of it survives.
pub const BACKEND_HEADER: &str = "x-sluice-backend";

/// How headers begin that end at the gate: gRPC's own, of a call that goes on as HTTP, and those by
/// which a sender could have Envoy's router wait longer, try again, or count under another name. Envoy
/// takes the latter off only where it holds the sender for external.
const ENDING: [&str; 6] = [
    "grpc-",
    "x-envoy-expected-rq-",
    "x-envoy-hedge-",
    "x-envoy-max-retries",
    "x-envoy-retr",
    "x-envoy-upstream-",
];

/// The kinds of backend that the gate knows the contract of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Grafana Loki, for logs.
    Loki,
    /// Grafana Mimir, for metrics.
    Mimir,
    /// Grafana Pyroscope, for profiles.
    Pyroscope,
    /// Grafana Tempo, for traces, by its OTLP/HTTP receiver.
    Tempo,
}

impl Kind {
    /// The signal that this kind of backend stores.
    #[must_use]
    pub const fn signal(self) -> Signal {
        match self {
            Self::Loki => Signal::Logs,
            Self::Mimir => Signal::Metrics,
            Self::Pyroscope => Signal::Profiles,
            Self::Tempo => Signal::Traces,
        }
    }

    /// The path of its OTLP/HTTP endpoint.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Loki => "/otlp/v1/logs",
            Self::Mimir => "/otlp/v1/metrics",
            Self::Pyroscope => "/v1development/profiles",
            Self::Tempo => "/v1/traces",
        }
    }

    /// Its name in configuration, messages and log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loki => "loki",
            Self::Mimir => "mimir",
            Self::Pyroscope => "pyroscope",
            Self::Tempo => "tempo",
        }
    }

    /// The content encodings that it takes over HTTP, unless its entry lists others.
    ///
    /// Mimir takes zstd and lz4 too, but has not for long, and answers 415 to what it does not take.
    #[must_use]
    pub const fn encodings(self) -> Encodings {
        let gzip = Encodings::NONE.with(Encoding::Gzip);
        match self {
            Self::Loki => gzip.with(Encoding::Zstd).with(Encoding::Lz4),
            // Pyroscope inflates gzip, and reads whatever else is announced as it is.
            Self::Mimir | Self::Pyroscope => gzip,
            Self::Tempo => gzip
                .with(Encoding::Zstd)
                .with(Encoding::Lz4)
                .with(Encoding::Deflate)
                .with(Encoding::SnappyRaw)
                .with(Encoding::SnappyFramed),
        }
    }

    /// The encodings of messages that it takes over gRPC; `None` if it does not speak OTLP/gRPC.
    ///
    /// What a server of grpc-go has not been given it answers UNIMPLEMENTED to, and gzip is what each has.
    #[must_use]
    pub const fn grpc_encodings(self) -> Option<Encodings> {
        match self {
            Self::Tempo => Some(Encodings::NONE.with(Encoding::Gzip)),
            Self::Loki | Self::Mimir | Self::Pyroscope => None,
        }
    }
}

/// How a backend is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

/// Where a backend takes a signal, and how it is spoken to there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub(crate) transport: Transport,
    pub(crate) cluster: String,
    pub(crate) path: &'static str,
    pub(crate) encodings: Encodings,
}

/// The backend that a request goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub(crate) kind: Kind,
    pub(crate) traits: BackendTraits,
    pub(crate) http: Endpoint,
    /// Where it takes gRPC, if it does.
    pub(crate) grpc: Option<Endpoint>,
}

impl Backend {
    /// What kind it is of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What is known of how it reads records.
    #[must_use]
    pub const fn traits(&self) -> &BackendTraits {
        &self.traits
    }

    /// Where a request goes that came over gRPC, or over HTTP.
    #[must_use]
    pub fn endpoint(&self, from: Transport) -> &Endpoint {
        match (from, &self.grpc) {
            (Transport::Grpc, Some(grpc)) => grpc,
            _ => &self.http,
        }
    }
}

impl Endpoint {
    /// How the backend is spoken to.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The content encodings, or the encodings of messages, that it takes.
    #[must_use]
    pub const fn encodings(&self) -> Encodings {
        self.encodings
    }

    /// The edits that send an OTLP request in `format`, with headers of these `names`, there. The
    /// reply is read by the gate, so it must not come compressed: `accept-encoding` goes, with
    /// everything that belongs to the sender's gRPC or to Envoy's router, and with the certificate,
    /// which concerns the gate alone and is most of the head's bytes.
    #[must_use]
    pub fn header_edits<'n>(
        &self,
        format: Format,
        names: impl Iterator<Item = &'n str>,
    ) -> Vec<HeaderEdit> {
        let ends = |name: &&str| ENDING.iter().any(|start| name.starts_with(start));
        let mut edits: Vec<_> = names.filter(ends).map(HeaderEdit::remove).collect();
        let (content_type, te) = match self.transport {
            // gRPC over HTTP/2, "Requests": it tells of proxies that lose trailers.
            Transport::Grpc => ("application/grpc", HeaderEdit::set("te", "trailers")),
            Transport::Http => (format.content_type(), HeaderEdit::remove("te")),
        };
        edits.extend([
            HeaderEdit::set(BACKEND_HEADER, self.cluster.as_str()),
            HeaderEdit::set(":path", self.path),
            HeaderEdit::set("content-type", content_type),
            HeaderEdit::remove("accept-encoding"),
            te,
            HeaderEdit::remove("x-forwarded-client-cert"),
        ]);
        edits
    }
}
