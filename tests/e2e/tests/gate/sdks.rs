//! Real SDKs: the replies that they get, and the stored records.

use envoy_local::SenderName;
use sluice_e2e::{Outcome, PartialSuccess, Protocol, Reply, Sdk, Signal, Verdict};
use sluice_stand_ins::Backend;

use crate::fixture::Gate;

pub(crate) async fn of_ten_python_logs_over_grpc_with_gzip_three_are_dropped_and_seven_stored_under_payments(
    gate: &Gate,
) {
    let mut export = gate.export(SenderName::Payments, Protocol::Grpc, Signal::Logs);
    (export.gzip, export.without) = (true, 3);
    export.headers.push(("X-Scope-OrgID".to_owned(), "victim".to_owned()));

    let outcome = Sdk::Python.send(&export).await.unwrap_or_else(|error| panic!("{error}"));

    assert_eq!(outcome.reply, Reply::Grpc { code: "OK".to_owned(), message: String::new() });
    assert_told_of_three(&outcome);
    let stored = gate.store().logs("payments");
    let bodies: Vec<_> = stored.iter().map(sluice_stand_ins::Record::name).collect();
    assert_eq!(bodies, ["log 0", "log 1", "log 2", "log 3", "log 4", "log 5", "log 6"]);
    for log in &stored {
        assert_eq!(log.resource_attribute("source.name").as_deref(), Some("python"));
        assert_eq!(log.resource_attribute("run.id").as_ref(), Some(&export.run_id));
    }
    assert_tenants(gate, Backend::Loki, &[("payments", 7)]);
}

pub(crate) async fn of_ten_rust_data_points_over_http_with_gzip_three_are_dropped(gate: &Gate) {
    let mut export = gate.export(SenderName::Payments, Protocol::Http, Signal::Metrics);
    (export.gzip, export.without) = (true, 3);

    let outcome = Sdk::Rust.send(&export).await.unwrap_or_else(|error| panic!("{error}"));

    assert!(matches!(outcome.reply, Reply::Http { status: 200, .. }), "{outcome:?}");
    assert_told_of_three(&outcome);
    for point in gate.store().data_points("payments") {
        assert_eq!(point.attribute("source.name").as_deref(), Some("rust"));
    }
    assert_tenants(gate, Backend::Mimir, &[("payments", 7)]);
}

pub(crate) async fn python_spans_of_team_blue_end_in_tempo_under_team_blue(gate: &Gate) {
    let export = gate.export(SenderName::TeamBlue, Protocol::Grpc, Signal::Traces);

    let outcome = Sdk::Python.send(&export).await.unwrap_or_else(|error| panic!("{error}"));

    assert_eq!((outcome.result, outcome.attempts), (Verdict::Success, 1), "{outcome:?}");
    assert_eq!(outcome.partial_success, None, "all were accepted: it must not be set");
    assert_tenants(gate, Backend::Tempo, &[("team-blue", 10)]);
}

fn assert_told_of_three(outcome: &Outcome) {
    assert_eq!((outcome.result, outcome.attempts), (Verdict::Success, 1), "{outcome:?}");
    let Some(PartialSuccess { rejected: 3, message }) = &outcome.partial_success else {
        panic!("expected a partial success with 3 rejected: {outcome:?}");
    };
    assert!(message.contains("source.name"), "the message names the rule: {message:?}");
}

/// Asserts what this backend has, under all tenants, and that the other backends have nothing.
pub(crate) fn assert_tenants(gate: &Gate, backend: Backend, expected: &[(&str, usize)]) {
    for each in Backend::ALL {
        let found = gate.store().tenants(each);
        let found: Vec<_> =
            found.iter().map(|(tenant, records)| (tenant.as_str(), *records)).collect();
        assert_eq!(found, if each == backend { expected } else { &[] }, "{each}");
    }
}
