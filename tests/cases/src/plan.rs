//! The runs that every runner must do, and the report.

use std::{io::Write, path::PathBuf};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    case::{self, Case},
    check,
    outcome::Outcome,
    wire::{self, WireReply, WireRequest},
};

/// One run of a case: in one protocol, with the head held or not held.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The case.
    pub case: Case,
    /// The gate's complete configuration, including `holdHeaders`.
    pub configuration: Value,
    /// `holdHeaders`.
    pub hold: bool,
    /// The request.
    pub request: WireRequest,
    /// The backend's answer, if the request reaches it.
    pub reply: WireReply,
}

/// The folder with the cases, when this crate was built.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Every run of every case.
///
/// # Errors
/// If a file is not a case, or describes something that cannot be sent; the error names the first one. Also if there is
/// no case.
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

/// The results of the runs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    cases: Vec<String>,
    runs: usize,
    differences: Vec<String>,
}

impl Report {
    /// Records one run. `how` says what the plan does not say, for example how the body was cut.
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

    /// Returns whether a run differed from what its case expects.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.differences.is_empty()
    }

    /// Prints how many cases ran `through` this form of the gate. It bypasses the test harness, which captures prints.
    ///
    /// # Panics
    /// If there are differences, which the message lists, or if nothing ran.
    pub fn finish(self, through: &str) {
        let Self { cases, runs, differences } = self;
        let line = format!("{} cases, {runs} runs {through}", cases.len());
        // A closed standard output must not make the test fail.
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
