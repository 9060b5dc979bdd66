//! What is known of each kind of backend.

use serde::Deserialize;
use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Signal;

use crate::Formats;

/// The kinds of backend that the gate knows the contract of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Grafana Loki, for logs.
    Loki,
    /// Grafana Mimir, for metrics.
    Mimir,
    /// Any server of OTLP, of which nothing else is known.
    Otlp,
    /// Prometheus, for metrics, by its OTLP receiver.
    Prometheus,
    /// Grafana Pyroscope, for profiles.
    Pyroscope,
    /// SigNoz, by its OpenTelemetry Collector.
    Signoz,
    /// Grafana Tempo, for traces, by its OTLP/HTTP receiver.
    Tempo,
    /// VictoriaLogs, for logs.
    VictoriaLogs,
    /// VictoriaMetrics, for metrics: a cluster's vminsert, unless its path says otherwise.
    VictoriaMetrics,
}

/// How a kind of backend is told the tenant, beside the tenant header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// By the account's number in the path, if that has it.
    AccountInPath,
    /// By the account's number in headers of its own.
    AccountInHeaders,
    /// By the tenant header, as Grafana's do.
    OrgId,
    /// Not at all, or as its path says.
    Free,
}

impl Kind {
    /// Whether this kind of backend stores a signal.
    #[must_use]
    pub fn stores(self, signal: Signal) -> bool {
        self.signals().contains(&signal)
    }

    /// The signals that this kind of backend stores.
    #[must_use]
    pub const fn signals(self) -> &'static [Signal] {
        match self {
            Self::Loki | Self::VictoriaLogs => &[Signal::Logs],
            Self::Mimir | Self::Prometheus | Self::VictoriaMetrics => &[Signal::Metrics],
            Self::Otlp => &Signal::ALL,
            Self::Pyroscope => &[Signal::Profiles],
            Self::Signoz => &[Signal::Logs, Signal::Metrics, Signal::Traces],
            Self::Tempo => &[Signal::Traces],
        }
    }

    /// The path of its OTLP/HTTP endpoint for a signal that it stores; `{tenant}` stands for the
    /// tenant.
    #[must_use]
    pub const fn path(self, signal: Signal) -> &'static str {
        match self {
            Self::Loki => "/otlp/v1/logs",
            Self::Mimir => "/otlp/v1/metrics",
            Self::Prometheus => "/api/v1/otlp/v1/metrics",
            Self::VictoriaLogs => "/insert/opentelemetry/v1/logs",
            Self::VictoriaMetrics => "/insert/{tenant}/opentelemetry/v1/metrics",
            Self::Otlp | Self::Pyroscope | Self::Signoz | Self::Tempo => signal.http_path(),
        }
    }

    /// The path at which it takes Prometheus remote write; `None` if it does not. `by_tenant` says
    /// whether its paths have the tenant in them, where they may.
    #[must_use]
    pub(crate) const fn remote_write_path(self, by_tenant: bool) -> Option<&'static str> {
        match self {
            Self::Mimir => Some("/api/v1/push"),
            Self::VictoriaMetrics if by_tenant => Some("/insert/{tenant}/prometheus/api/v1/write"),
            Self::Prometheus | Self::VictoriaMetrics => Some("/api/v1/write"),
            Self::Loki
            | Self::Otlp
            | Self::Pyroscope
            | Self::Signoz
            | Self::Tempo
            | Self::VictoriaLogs => None,
        }
    }

    /// Its name in configuration, messages and log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loki => "loki",
            Self::Mimir => "mimir",
            Self::Otlp => "otlp",
            Self::Prometheus => "prometheus",
            Self::Pyroscope => "pyroscope",
            Self::Signoz => "signoz",
            Self::Tempo => "tempo",
            Self::VictoriaLogs => "victorialogs",
            Self::VictoriaMetrics => "victoriametrics",
        }
    }

    /// The content encodings that it takes over HTTP, unless its entry lists others.
    ///
    /// Mimir takes zstd and lz4 too, but has not for long, and answers 415 to what it does not take.
    /// The same goes for zstd at VictoriaMetrics and VictoriaLogs, which read what they do not know as
    /// it is, and for what SigNoz' collector takes beside these three.
    #[must_use]
    pub const fn encodings(self) -> Encodings {
        let gzip = Encodings::NONE.with(Encoding::Gzip);
        match self {
            Self::Loki => gzip.with(Encoding::Zstd).with(Encoding::Lz4),
            // Pyroscope inflates gzip, and reads whatever else is announced as it is. Of any server OTLP
            // asks for gzip alone.
            Self::Mimir
            | Self::Otlp
            | Self::Prometheus
            | Self::Pyroscope
            | Self::VictoriaLogs
            | Self::VictoriaMetrics => gzip,
            Self::Signoz => gzip.with(Encoding::Zstd).with(Encoding::Deflate),
            Self::Tempo => gzip
                .with(Encoding::Zstd)
                .with(Encoding::Lz4)
                .with(Encoding::Deflate)
                .with(Encoding::SnappyRaw)
                .with(Encoding::SnappyFramed),
        }
    }

    /// The formats that it takes over HTTP, unless its entry lists others.
    ///
    /// VictoriaLogs answers 400 to JSON (`app/vlinsert/opentelemetry`), and so does VictoriaMetrics
    /// since it reads protobuf alone, which is what its documentation asks for.
    #[must_use]
    pub const fn formats(self) -> Formats {
        match self {
            Self::VictoriaLogs | Self::VictoriaMetrics => Formats::PROTOBUF,
            Self::Loki
            | Self::Mimir
            | Self::Otlp
            | Self::Prometheus
            | Self::Pyroscope
            | Self::Signoz
            | Self::Tempo => Formats::ALL,
        }
    }

    /// The encodings of messages that it takes over gRPC; `None` if it does not speak OTLP/gRPC.
    ///
    /// What a server of grpc-go has not been given it answers UNIMPLEMENTED to, and gzip is what each has.
    #[must_use]
    pub const fn grpc_encodings(self) -> Option<Encodings> {
        match self {
            Self::Otlp | Self::Signoz | Self::Tempo => Some(Encodings::NONE.with(Encoding::Gzip)),
            Self::Loki
            | Self::Mimir
            | Self::Prometheus
            | Self::Pyroscope
            | Self::VictoriaLogs
            | Self::VictoriaMetrics => None,
        }
    }

    /// How it is told the tenant.
    pub(crate) const fn naming(self) -> Naming {
        match self {
            Self::Loki | Self::Mimir | Self::Pyroscope | Self::Tempo => Naming::OrgId,
            Self::VictoriaLogs => Naming::AccountInHeaders,
            Self::VictoriaMetrics => Naming::AccountInPath,
            Self::Otlp | Self::Prometheus | Self::Signoz => Naming::Free,
        }
    }
}
