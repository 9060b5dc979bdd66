//! The signals of OTLP and the names under which a request announces them.

/// What kind of telemetry a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Metric data points.
    Metrics,
    /// Profiles, which are still in development in OTLP.
    Profiles,
    /// Spans.
    Traces,
}

impl Signal {
    /// Every signal, in the order of the specification's services.
    pub const ALL: [Self; 4] = [Self::Logs, Self::Metrics, Self::Traces, Self::Profiles];

    /// The path of an OTLP/HTTP request (OTLP specification 1.11, "OTLP/HTTP Request").
    #[must_use]
    pub const fn http_path(self) -> &'static str {
        match self {
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
            Self::Profiles => "/v1development/profiles",
            Self::Traces => "/v1/traces",
        }
    }

    /// The path of an OTLP/gRPC call: service and method of `opentelemetry.proto.collector`.
    #[must_use]
    pub const fn grpc_path(self) -> &'static str {
        match self {
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Profiles => {
                "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
            }
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        }
    }

    /// The name of this signal's records, as in the names of the partial success fields.
    #[must_use]
    pub const fn record_name(self) -> &'static str {
        match self {
            Self::Logs => "log record",
            Self::Metrics => "data point",
            Self::Profiles => "profile",
            Self::Traces => "span",
        }
    }

    /// The signal's name in configuration, metrics and log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Profiles => "profiles",
            Self::Traces => "traces",
        }
    }

    /// The signal with this OTLP/HTTP path, which must not include a query string.
    #[must_use]
    pub fn from_http_path(path: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.http_path().as_bytes() == path)
    }

    /// The signal with this OTLP/gRPC method.
    #[must_use]
    pub fn from_grpc_path(path: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.grpc_path().as_bytes() == path)
    }
}
