//! Requests of real clients through the gate in real Envoy: the OpenTelemetry Collector, the SDKs, Rotel, and the JSON
//! examples that are published with the protocol.

mod answers;
mod batches;
mod examples;
mod fixture;
mod ledger;
mod outage;
mod refusals;
mod request;
mod rotel;
mod sdk;

use std::sync::Arc;

use fixture::Gates;
use libtest_mimic::Arguments;

fn main() {
    let gates = Arc::new(Gates::new());
    let mut trials = batches::trials(&gates);
    trials.extend(examples::trials(&gates));
    trials.extend(answers::trials(&gates));
    trials.extend(outage::trials(&gates));
    trials.extend(sdk::trials(&gates));
    trials.extend(sdk::refusals(&gates));
    trials.extend(refusals::trials(&gates));
    trials.extend(rotel::trials(&gates));
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    gates.stop(conclusion.has_failed());
    conclusion.exit();
}
