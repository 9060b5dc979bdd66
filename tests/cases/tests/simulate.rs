//! Runs every case through what `sluice simulate` runs, and holds what it says about records against the gate's counts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, ensure};
use sluice_cases::{
    case::{Fails, Protocol},
    native::NOW,
    outcome::{Forwarded, Outcome, Reply, counter},
    pki::Authority,
    plan::{self, Plan, Report},
};
use sluice_cli::{
    exchange::{Answer, Sent, Told, exchange},
    located, schema, shape,
    simulate::find,
    token,
};
use sluice_gate::{Count, Gate};
use sluice_records::{Fate, Level, Reason};
use sluice_stores::Defect;

#[test]
fn every_case_holds_in_simulate() {
    let authority = Authority::new().unwrap();
    let mut report = Report::default();
    for plan in plan::all().unwrap() {
        let certificate = authority.certificate(&plan.case.sender).unwrap();
        report.add(&plan, "", run(&plan, certificate));
    }
    report.finish("through simulate");
}

/// What the gate accepts, the schema allows.
#[test]
fn the_configuration_of_every_case_keeps_to_the_schema() {
    let schema = serde_json::from_str(schema::SCHEMA).unwrap();
    let configurations: BTreeSet<String> =
        plan::all().unwrap().iter().map(|plan| plan.configuration.to_string()).collect();
    for configuration in configurations {
        let document = located::documents(&configuration).unwrap().remove(0);
        assert_eq!(shape::mistakes(&schema, &document), [], "{configuration}");
    }
}

fn run(plan: &Plan, certificate: Option<String>) -> Result<Outcome> {
    let Plan { configuration, request, reply, .. } = plan;
    let gate = Gate::from_json(&serde_json::to_vec(configuration)?)
        .map_err(|problems| anyhow!("{problems:?}"))?;
    let sent = Sent {
        headers: request.headers.clone(),
        body: request.body.clone(),
        trailers: request.trailers.clone(),
        certificate,
        metadata: token::metadata(request.token.as_ref(), &token::places(configuration)),
        now: NOW,
    };
    let (headers, body) = reply.at_the_module();
    let (trailers, details) = (reply.trailers.clone(), reply.details.to_owned());
    let answer = Answer { headers, body, trailers, details, early: reply.early };
    let exchange = exchange(&gate, &sent, |_| answer.clone())?;
    let mut counts = BTreeMap::new();
    for count in &exchange.counts {
        *counts.entry(counter(&count.stat_name()).unwrap_or_default()).or_default() += count.step();
    }
    places_agree(&gate, &sent, &exchange.counts)?;
    let reached = plan.case.backend.fails.is_none_or(Fails::is_reached);
    let forwarded = exchange.forwarded.filter(|_| reached);
    let forwarded =
        forwarded.map(|forwarded| Forwarded { headers: forwarded.headers, body: forwarded.body });
    let Told { status, headers, body, trailers } = exchange.told;
    let reply = match request.protocol {
        Protocol::Grpc => Reply::from_grpc(&body, &trailers)?,
        protocol => Reply::from_protocol(protocol, status, &headers, &body)?,
    };
    Ok(Outcome { forwarded, reply, counts })
}

/// The places that are shown account for all records that the gate counts as dropped.
fn places_agree(gate: &Gate, sent: &Sent, counts: &[Count]) -> Result<()> {
    let Some(verdicts) = find(gate, sent) else { return Ok(()) };
    let counted: u64 = counts
        .iter()
        .map(|count| match count {
            Count::RecordsDropped { records, .. } => *records,
            _ => 0,
        })
        .sum();
    let found = verdicts.findings.iter().filter(|finding| finding.violation.fate == Fate::Dropped);
    let found: u64 = found.map(|finding| finding.violation.records).sum();
    // A request that is refused for another reason counts no records.
    ensure!(counted == 0 || counted == found, "{counted} are counted as dropped, {found} found");
    for finding in &verdicts.findings {
        let violation = &finding.violation;
        let places: usize = finding.places.iter().map(|place| place.records).sum();
        let exact = violation.fate == Fate::Dropped
            && violation.level != Level::Series
            && violation.reason != Reason::Unstorable(Defect::Labels);
        if exact {
            ensure!(
                places as u64 == violation.records,
                "{places} records have places, of {}: {finding:?}",
                violation.records
            );
        } else {
            ensure!(!finding.places.is_empty(), "no place for {violation:?}");
        }
    }
    Ok(())
}
