//! What each kind of backend refuses a whole batch for, or loses, and what the gate does about it: the
//! one table of it, which [`records`](../../records/README.md) shows.

use Outcome::{FailsAnswer, Loses, LosesRecords, RefusesBatch, RefusesBatchBefore};
use sluice_otlp::Signal;
use sluice_records::{Outcome, Place, Reason, Refusal, Refuses, Remedy};

use crate::Kind;

/// One rule of the table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    signal: Signal,
    place: Place,
    reason: Reason,
    remedy: Remedy,
    /// What each kind of backend would do.
    kinds: &'static [(Kind, Outcome)],
}

const fn cut(
    signal: Signal,
    place: Place,
    reason: Reason,
    kinds: &'static [(Kind, Outcome)],
) -> Entry {
    Entry { signal, place, reason, remedy: Remedy::Cut, kinds }
}

const fn drop(
    signal: Signal,
    place: Place,
    reason: Reason,
    kinds: &'static [(Kind, Outcome)],
) -> Entry {
    Entry { signal, place, reason, remedy: Remedy::Drop, kinds }
}

/// Every rule.
///
/// Loki, Mimir, Prometheus, SigNoz and Tempo read requests with the OpenTelemetry Collector's `pdata`,
/// which does not read a request at all in which one id has another length. Loki (since 3.7), Mimir and
/// Prometheus make labels of names with `otlptranslator`, whose `LabelNamer` and `MetricNamer` fail
/// where no ASCII letter or digit is left of one.
const TABLE: [Entry; 15] = [
    // The record stays: by `logs.proto` it is one without a trace.
    cut(
        Signal::Logs,
        Place::Record,
        Reason::InvalidId,
        &[(Kind::Loki, RefusesBatch), (Kind::Signoz, RefusesBatch)],
    ),
    cut(Signal::Logs, Place::Resource, Reason::AttributeName, &[(Kind::Loki, RefusesBatch)]),
    cut(Signal::Logs, Place::Scope, Reason::AttributeName, &[(Kind::Loki, RefusesBatch)]),
    cut(Signal::Logs, Place::Record, Reason::AttributeName, &[(Kind::Loki, RefusesBatch)]),
    // `pkg/loghttp/push/otlp.go`: the streams of a resource whose labels are not valid are passed over.
    cut(Signal::Logs, Place::Resource, Reason::LabelValue, &[(Kind::Loki, LosesRecords)]),
    // A resource's attributes become labels of `target_info`.
    cut(
        Signal::Metrics,
        Place::Resource,
        Reason::AttributeName,
        &[(Kind::Mimir, FailsAnswer), (Kind::Prometheus, RefusesBatch)],
    ),
    // Without one of its attributes a point would be one of another series.
    drop(
        Signal::Metrics,
        Place::Record,
        Reason::AttributeName,
        &[(Kind::Mimir, FailsAnswer), (Kind::Prometheus, RefusesBatch)],
    ),
    // `getPromExemplars` fails where there is no value.
    cut(
        Signal::Metrics,
        Place::Exemplar,
        Reason::Exemplar,
        &[
            (Kind::Mimir, RefusesBatch),
            (Kind::Prometheus, RefusesBatch),
            (Kind::Signoz, RefusesBatch),
        ],
    ),
    drop(
        Signal::Metrics,
        Place::Metric,
        Reason::UnknownKind,
        &[
            (Kind::Mimir, FailsAnswer),
            (Kind::Prometheus, RefusesBatch),
            (Kind::VictoriaMetrics, Loses),
        ],
    ),
    drop(
        Signal::Metrics,
        Place::Metric,
        Reason::MetricName,
        &[(Kind::Mimir, FailsAnswer), (Kind::Prometheus, RefusesBatch)],
    ),
    drop(
        Signal::Metrics,
        Place::Metric,
        Reason::NoDataPoints,
        &[(Kind::Mimir, FailsAnswer), (Kind::Prometheus, RefusesBatchBefore("3.15"))],
    ),
    // Prometheus rolls the whole batch back and answers 500; up to 3.5 it answered 200 and left that
    // metric out. VictoriaMetrics writes a line in its own log.
    drop(
        Signal::Metrics,
        Place::Metric,
        Reason::Temporality,
        &[
            (Kind::Mimir, FailsAnswer),
            (Kind::Prometheus, RefusesBatch),
            (Kind::VictoriaMetrics, Loses),
        ],
    ),
    drop(
        Signal::Metrics,
        Place::Record,
        Reason::Scale,
        &[(Kind::Mimir, FailsAnswer), (Kind::Prometheus, RefusesBatch)],
    ),
    drop(
        Signal::Traces,
        Place::Record,
        Reason::InvalidId,
        &[(Kind::Signoz, RefusesBatch), (Kind::Tempo, RefusesBatch)],
    ),
    // Where `maxTraceBytes` says so.
    drop(Signal::Traces, Place::Record, Reason::TraceTooLarge, &[(Kind::Tempo, Loses)]),
];

/// What a kind of backend refuses, but for what `excused` names.
pub(crate) fn of(kind: Kind, excused: impl Fn(Reason) -> bool) -> Refuses {
    let mut refuses = Refuses::NOTHING;
    for Entry { signal, place, reason, remedy, kinds } in TABLE {
        let outcome = kinds.iter().find(|(known, _)| *known == kind);
        if let Some((_, outcome)) = outcome.filter(|_| !excused(reason)) {
            let outcome = *outcome;
            refuses = refuses.with(Refusal { signal, place, reason, remedy, outcome });
        }
    }
    refuses
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as the documentation has it.
    fn documented() -> String {
        let mut text = String::from(
            "| signal | where | what | without the gate | the gate | `reason` |\n|---|---|---|---|---|---|\n",
        );
        for Entry { signal, place, reason, remedy, kinds } in TABLE {
            let place = match (place, signal) {
                (Place::Exemplar, _) => "exemplar",
                (Place::Metric, _) => "metric",
                (Place::Record, _) => signal.record_name(),
                (Place::Resource, _) => "resource",
                (Place::Scope, _) => "scope",
            };
            let outcome = |(kind, outcome): &(Kind, Outcome)| {
                let kind = kind.as_str();
                match outcome {
                    FailsAnswer => {
                        format!("{kind} stores the rest and answers the whole batch with an error")
                    }
                    Loses => format!("{kind} says nothing and does not store it"),
                    LosesRecords => format!("{kind} says nothing and stores none of its records"),
                    RefusesBatch => format!("{kind} refuses the whole batch"),
                    RefusesBatchBefore(release) => {
                        format!("{kind} before {release} refuses the whole batch")
                    }
                }
            };
            let kinds: Vec<_> = kinds.iter().map(outcome).collect();
            let remedy = match remedy {
                Remedy::Cut => match reason {
                    Reason::Exemplar => "cuts the exemplar",
                    Reason::InvalidId => "cuts the id",
                    _ => "cuts the attribute",
                },
                Remedy::Drop if place == "metric" => "drops the metric",
                Remedy::Drop => "drops the record",
            };
            let row = format!(
                "| {} | {place} | {} | {} | {remedy} | `{}` |\n",
                signal.as_str(),
                reason.clause(),
                kinds.join("; "),
                reason.label(),
            );
            text.push_str(&row);
        }
        text
    }

    #[test]
    fn the_documentation_shows_the_table() {
        let readme = include_str!("../../records/README.md");
        let documented = documented();
        assert!(readme.contains(&documented), "filters/records/README.md lacks\n{documented}");
    }

    #[test]
    fn no_kind_has_two_rules_for_the_same_thing() {
        for (index, entry) in TABLE.iter().enumerate() {
            for other in TABLE.iter().skip(index + 1) {
                let same = (entry.signal, entry.place, entry.reason)
                    == (other.signal, other.place, other.reason);
                assert!(!same, "{entry:?} and {other:?}");
            }
        }
    }
}
