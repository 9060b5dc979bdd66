//! How each kind of backend reads records, and what it refuses.

use serde::Deserialize;
use sluice_config::Place;
use sluice_records::{BackendTraits, LabelLimit, Overflow, Precedence, Reason, Refuses, Spelling};

use crate::{Kind, config::BackendConfig, unstorable};

/// The resource attributes that become labels in Loki unless it is told otherwise
/// (`pkg/loghttp/push/otlp_config.go`, `DefaultOTLPConfig`), the most important first: what names
/// the workload, then where it runs, then what else names it.
const LOKI_LABELS: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
    "k8s.replicaset.name",
];

/// The labels that Loki takes unless it is told otherwise (`max_label_names_per_series`).
const LOKI_MAX_LABELS: usize = 15;

/// The resource attributes that Loki makes labels of, as it is told by its `otlp_config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelsConfig {
    /// Loki's `max_label_names_per_series`.
    max: Option<usize>,
    /// The attributes, the most important first.
    names: Option<Vec<String>>,
    /// They move if it is left out, or go where Loki throws away what a scope has.
    overflow: Option<Overflow>,
}

/// What Loki does with the attributes of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ScopeAttributes {
    /// It throws them away, as `otlp_config` has told it.
    Dropped,
    /// It writes them over those of the resource.
    Kept,
}

impl BackendConfig {
    /// What is known of the backend, which stands at `place`.
    pub(crate) fn traits(&self, place: &Place<'_>) -> BackendTraits {
        self.check_settings(place);
        let known = self.known();
        BackendTraits {
            spelling: self.spelling.unwrap_or(known.spelling),
            precedence: self.precedence.unwrap_or(known.precedence),
            ..known
        }
    }

    /// What is known of its kind, and by its settings.
    fn known(&self) -> BackendTraits {
        let defaults = BackendTraits { name: self.kind.as_str(), ..BackendTraits::strictest() };
        let takes_delta = self.takes_delta.unwrap_or(false);
        let excused = |reason| takes_delta && reason == Reason::Temporality;
        let refuses = unstorable::of(self.kind, excused);
        let defaults = BackendTraits { refuses, ..defaults };
        match self.kind {
            Kind::Loki => BackendTraits {
                spelling: Spelling::Flattened,
                precedence: match self.scope_attributes {
                    Some(ScopeAttributes::Dropped) => Precedence::Resource,
                    Some(ScopeAttributes::Kept) | None => Precedence::Scope,
                },
                labels: Some(self.label_limit()),
                ..defaults
            },
            // A data point's attribute is a label before a promoted one of its resource is
            // (prometheus, `storage/remote/otlptranslator`, `createAttributes`).
            Kind::Mimir | Kind::Prometheus => BackendTraits {
                spelling: Spelling::Folded,
                precedence: Precedence::Record,
                refuses: Refuses {
                    keeps_names: matches!(self.spelling, Some(Spelling::Exact)),
                    ..defaults.refuses
                },
                ..defaults
            },
            // Nothing is known of it.
            Kind::Otlp => defaults,
            // Only texts are labels: beside a number on the resource, the scope's text is
            // (`pkg/ingester/otlp/ingest_handler.go`, `appendAttributesUnique`).
            Kind::Pyroscope => BackendTraits {
                spelling: Spelling::Folded,
                precedence: Precedence::Scope,
                ..defaults
            },
            // Its tables keep the levels apart, its queries need not; names that differ in a dot are one
            // where labels are made of them. A Collector takes spans without ids.
            Kind::Signoz => BackendTraits {
                spelling: Spelling::Folded,
                refuses: Refuses { takes_unset_ids: true, ..defaults.refuses },
                ..defaults
            },
            Kind::Tempo => BackendTraits {
                spelling: Spelling::Exact,
                precedence: Precedence::None,
                refuses: Refuses { trace_over: self.max_trace_bytes, ..defaults.refuses },
                ..defaults
            },
            // Attributes of resource and record become fields of one name, and maps fields of theirs
            // (`app/vlinsert/opentelemetry`, `decodeKeyValue`).
            Kind::VictoriaLogs => defaults,
            // Every attribute becomes a label, folded if it is told to (`-opentelemetry.*` flags).
            Kind::VictoriaMetrics => BackendTraits { spelling: Spelling::Folded, ..defaults },
        }
    }

    /// A setting that means nothing to the kind of backend is a mistake, not a wish.
    fn check_settings(&self, place: &Place<'_>) {
        let metrics: &[_] = &[Kind::Mimir, Kind::Prometheus, Kind::VictoriaMetrics];
        let settings = [
            ("labels", self.labels.is_some(), &[Kind::Loki][..]),
            ("scopeAttributes", self.scope_attributes.is_some(), &[Kind::Loki]),
            ("burstBytes", self.burst_bytes.is_some(), &[Kind::Loki]),
            ("maxTraceBytes", self.max_trace_bytes.is_some(), &[Kind::Tempo]),
            ("takesDelta", self.takes_delta.is_some(), metrics),
        ];
        for (name, is_set, kinds) in settings {
            if is_set && !kinds.contains(&self.kind) {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
                place.at(name).add(format!("it is a setting of {} alone", kinds.join(", ")));
            }
        }
        if self.scope_attributes.is_some() && self.precedence.is_some() {
            let message = "precedence says what comes of scopes already: write one of the two";
            place.at("scopeAttributes").add(message);
        }
        if self.drops_scope_attributes()
            && self.labels.as_ref().is_some_and(|labels| labels.overflow == Some(Overflow::Move))
        {
            let message = "they would move to the scopes, whose attributes are dropped: use drop";
            place.at("labels").at("overflow").add(message);
        }
        if self.max_trace_bytes == Some(0) {
            let message = "no trace is so small: write Tempo's max_bytes_per_trace";
            place.at("maxTraceBytes").add(message);
        }
        if self.burst_bytes == Some(0) {
            let message = "no batch is so small: write Loki's ingestion_burst_size_mb, in bytes";
            place.at("burstBytes").add(message);
        }
        if self.labels.as_ref().is_some_and(|labels| labels.max == Some(0)) {
            let message = "service_name is always a label: at least 1";
            place.at("labels").at("max").add(message);
        }
        if self
            .labels
            .as_ref()
            .is_some_and(|labels| labels.names.as_ref().is_some_and(Vec::is_empty))
        {
            let message = "an empty list limits nothing: name Loki's index labels, or leave it out";
            place.at("labels").at("names").add(message);
        }
    }

    fn drops_scope_attributes(&self) -> bool {
        self.scope_attributes == Some(ScopeAttributes::Dropped)
    }

    fn label_limit(&self) -> LabelLimit {
        let labels = self.labels.as_ref();
        LabelLimit {
            max: labels.and_then(|labels| labels.max).unwrap_or(LOKI_MAX_LABELS),
            names: labels
                .and_then(|labels| labels.names.clone())
                .unwrap_or_else(|| LOKI_LABELS.map(str::to_owned).to_vec()),
            overflow: match labels.and_then(|labels| labels.overflow) {
                Some(overflow) => overflow,
                None if self.drops_scope_attributes() => Overflow::Drop,
                None => Overflow::Move,
            },
        }
    }
}
