//! Compares the rules on records with the simple implementation, for requests and rules of every kind: several rules on
//! several levels, names that a backend folds, keys that occur twice, empty values.

use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;
use sluice_fuzz::{plain, splice::agrees};
use sluice_otlp::Signal;
use sluice_records::{Level, RuleSet};
use sluice_stores::Spelling;
use sluice_telemetry::{
    raw::{self, sent},
    strategies::Requests,
};

/// Names that a rule can require, and that an attribute can have.
const NAMES: [&str; 6] = ["source.name", "source_name", "owner", "id", "service.name", "gr\u{fc}n"];
/// Names that only an attribute can have: other spellings, and other names.
const OTHERS: [&str; 5] = ["source-name", "Source.name", "gr_n", "", "k"];

fn requests() -> Requests {
    let key = prop_oneof![3 => select(&NAMES[..]), 1 => select(&OTHERS[..])];
    Requests::with_keys(key.prop_map(str::to_owned))
}

/// Rules, each with a level; no name is required twice.
fn rules() -> impl Strategy<Value = Vec<(&'static str, Level)>> {
    let level = || select(vec![Level::Resource, Level::Scope, Level::Record]);
    let names = proptest::sample::subsequence(NAMES.to_vec(), 1..=3).prop_shuffle();
    (names, vec(level(), 3)).prop_map(|(names, levels)| names.into_iter().zip(levels).collect())
}

/// Checks one request, which the simple implementation can decode.
fn is_one(
    signal: Signal,
    message: &[u8],
    rules: &[(&'static str, Level)],
    spelling: Spelling,
    compiled: &RuleSet,
) -> Result<(), TestCaseError> {
    prop_assert!(plain::normal(signal, message).is_ok());
    prop_assert_eq!(agrees(signal, message, rules, spelling, compiled), Ok(()));
    Ok(())
}

fn spelling() -> impl Strategy<Value = Spelling> {
    select(vec![Spelling::Exact, Spelling::Folded])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn the_rules_leave_what_the_plain_way_leaves(
        (logs, metrics, traces) in (requests().logs(), requests().metrics(), requests().traces()),
        rules in rules(),
        spelling in spelling(),
    ) {
        let compiled = plain::compiled(&rules, spelling);
        for (signal, message) in [
            (Signal::Logs, logs.encode_to_vec()),
            (Signal::Metrics, metrics.encode_to_vec()),
            (Signal::Traces, traces.encode_to_vec()),
        ] {
            is_one(signal, &message, &rules, spelling, &compiled)?;
        }
    }

    /// The same with what no encoder writes.
    #[test]
    fn the_rules_leave_what_the_plain_way_leaves_of_odd_protobuf(
        (logs, metrics, traces) in (raw::logs(), raw::metrics(), raw::traces()),
        rules in rules(),
        spelling in spelling(),
    ) {
        let compiled = plain::compiled(&rules, spelling);
        for (signal, request) in
            [(Signal::Logs, logs), (Signal::Metrics, metrics), (Signal::Traces, traces)]
        {
            // What is nested deeper than the simple implementation decodes is checked without it.
            let message = sent(&request);
            prop_assert_eq!(agrees(signal, &message, &rules, spelling, &compiled), Ok(()));
        }
    }
}
