//! What every runner has to run, and what it reports.

use std::{io::Write, path::PathBuf};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    case::{self, Case},
    check,
    outcome::Outcome,
    wire::{self, WireReply, WireRequest},
};

/// One run of a case: in one protocol, with the head held or gone.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The case.
    pub case: Case,
    /// The gate's whole configuration, `holdHeaders` included.
    pub configuration: Value,
    /// `holdHeaders`.
    pub hold: bool,
    /// What is sent.
    pub request: WireRequest,
    /// What the backend answers, if it is asked.
    pub reply: WireReply,
}

/// The folder of the cases, as this crate was built.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Every run of every case.
///
/// # Errors
/// The first file that is not a case, or that asks for what cannot be sent; or if there is none.
pub fn all() -> Result<Vec<Plan>> {
    let folder = folder();
    let mut plans = Vec::new();
    for case in case::load(&folder)? {
        for protocol in case.request.protocols() {
            for hold in case.hold.iter().copied() {
                let mut configuration = case::configuration(&folder, &case)?;
                configuration["holdHeaders"] = Value::Bool(hold);
                plans.push(Plan {
                    configuration,
                    hold,
                    request: wire::request(&case, *protocol)?,
                    reply: wire::reply(&case, *protocol)?,
                    case: case.clone(),
                });
            }
        }
    }
    ensure!(!plans.is_empty(), "there are no cases in {}", folder.display());
    Ok(plans)
}

/// What became of the runs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    cases: Vec<String>,
    runs: usize,
    differences: Vec<String>,
}

impl Report {
    /// Takes down one run; `how` says what no plan says, as how the body was cut.
    pub fn add(&mut self, plan: &Plan, how: &str, outcome: Result<Outcome>) {
        let name = &plan.case.name;
        if self.cases.last() != Some(name) {
            self.cases.push(name.clone());
        }
        self.runs += 1;
        let differences = match outcome {
            Ok(outcome) => check::differences(&plan.case, &plan.request, &outcome),
            Err(error) => vec![format!("{error:#}")],
        };
        let (protocol, hold) = (plan.request.protocol, plan.hold);
        self.differences.extend(
            differences
                .into_iter()
                .map(|found| format!("{name} ({protocol:?}, holdHeaders {hold}{how}): {found}")),
        );
    }

    /// Whether a run was not as its case expects.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.differences.is_empty()
    }

    /// Says how many cases ran `through` what, past the test harness, which keeps what is printed.
    ///
    /// # Panics
    /// With every difference, if there is one, and if nothing ran.
    pub fn finish(self, through: &str) {
        let Self { cases, runs, differences } = self;
        let line = format!("{} cases, {runs} runs {through}", cases.len());
        // A closed standard output is no reason to fail.
        let _ = writeln!(std::io::stdout(), "{line}");
        assert!(runs > 0, "nothing ran {through}");
        assert!(
            differences.is_empty(),
            "{} differences {through}:\n{}",
            differences.len(),
            differences.join("\n")
        );
    }
}
