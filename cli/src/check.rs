//! `sluice check`: everything that is wrong with a policy, and what is risky, each at its place in the file.

use std::{collections::BTreeSet, ops::Range, sync::LazyLock};

use serde_json::Value as Json;
use sluice_config::ConfigProblem;
use sluice_gate::Gate;

use crate::{
    find::{self, Form, Found},
    located::{self, Fault, Node, Value},
    policy::Source,
    risks::{self, Surroundings},
    schema, shape,
};

/// The schema of a policy.
static SCHEMA: LazyLock<Json> =
    LazyLock::new(|| serde_json::from_str(schema::SCHEMA).expect("a test reads it"));

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The gate refuses the policy.
    Error,
    /// The gate takes it, and it is probably not what is meant.
    Warning,
}

/// A problem at a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Which of the files, counted from 0.
    pub file: usize,
    /// The path in the policy's own names; empty if it is about the file.
    pub path: String,
    /// The place in the file, in bytes.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Another place that it is about, and what it is.
    pub other: Option<(Range<usize>, &'static str)>,
}

/// What is wrong in some files.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The problems, in the order of the files and their lines.
    pub problems: Vec<Problem>,
    /// What was checked: the file, and what holds the policy in it.
    pub policies: Vec<(usize, Option<String>)>,
}

impl Checked {
    /// Whether a policy was found, and the gate takes all of them.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        !self.policies.is_empty() && !self.problems.iter().any(is_error)
    }
}

/// Checks the policies in some files, at `now` in seconds since the epoch. The files are read as one configuration: a
/// route in one is a route for a policy in another.
#[must_use]
pub fn check(files: &[Source], now: u64) -> Checked {
    let mut checked = Checked::default();
    let mut read = Vec::new();
    for (file, source) in files.iter().enumerate() {
        let (documents, faults) = located::read(&source.text);
        checked.faults(file, faults);
        read.extend(documents.map(|documents| (file, documents)));
    }
    let all: Vec<&Node> = read.iter().flat_map(|(_, documents)| documents).collect();
    let surroundings = Surroundings::of(&all);
    for (file, documents) in &read {
        let (found, faults) = find::policies(&files[*file].text, documents);
        checked.faults(*file, faults);
        for found in found {
            checked.policy(*file, &found, &surroundings, now);
        }
    }
    checked.problems.sort_by_key(|problem| (problem.file, problem.span.start));
    checked
}

impl Checked {
    fn faults(&mut self, file: usize, faults: Vec<Fault>) {
        self.problems.extend(faults.into_iter().map(|Fault { span, message, other }| Problem {
            severity: Severity::Error,
            file,
            path: String::new(),
            span,
            message,
            help: None,
            other,
        }));
    }

    fn policy(&mut self, file: usize, found: &Found, surroundings: &Surroundings, now: u64) {
        self.policies.push((file, found.holder.clone()));
        let policy = &found.policy;
        let problem = |severity, path: &str, message: String, help| {
            let (span, other) = (place(policy, path), None);
            Problem { severity, file, path: path.to_owned(), span, message, help, other }
        };
        if found.form == Form::Struct {
            let message = "Envoy passes a Struct to the module in protobuf, which it cannot read";
            let help = "write the policy as JSON in a google.protobuf.StringValue".to_owned();
            let span = first_line(policy);
            self.problems.push(Problem {
                span,
                ..problem(Severity::Error, "configuration", message.to_owned(), Some(help))
            });
        }
        let (rest, mistakes, subjects) = shape::mended(&SCHEMA, policy);
        for mistake in &mistakes {
            self.problems.push(Problem {
                severity: Severity::Error,
                file,
                path: mistake.path.clone(),
                span: mistake.span.clone(),
                message: mistake.message.clone(),
                help: mistake.help.clone(),
                other: None,
            });
        }
        match compiled(&rest) {
            Err(problems) => {
                // What is at a structural mistake, or holds it, may only seem wrong because of it.
                let is_new = |problem: &ConfigProblem| {
                    !subjects.iter().any(|subject| is_of(&problem.path, subject))
                };
                for ConfigProblem { path, message } in problems.into_iter().filter(is_new) {
                    self.problems.push(problem(Severity::Error, &path, message, None));
                }
            }
            Ok(gate) if mistakes.is_empty() => {
                for risk in risks::risks(&gate, found, surroundings, now) {
                    let severity = Severity::Warning;
                    let mut problem = problem(severity, &risk.path, risk.message, risk.help);
                    if let Some(span) = risk.span {
                        problem.span = span;
                    }
                    self.problems.push(problem);
                }
            }
            Ok(_) => {}
        }
    }
}

/// The gate with a policy, or every problem that it finds.
fn compiled(policy: &Json) -> Result<Gate, Vec<ConfigProblem>> {
    Gate::from_json(policy.to_string().as_bytes()).map_err(|problems| {
        let in_words = |problem: ConfigProblem| {
            // What is not the structure's fault has no line: the places are those of the file.
            let message = problem.message;
            let message = match message.rfind(" at line ") {
                Some(at) => message[..at].to_owned(),
                None => message,
            };
            ConfigProblem { message, ..problem }
        };
        problems.into_iter().map(in_words).collect()
    })
}

/// Whether `path` is at a mistake or below it, or holds it.
fn is_of(path: &str, mistake: &str) -> bool {
    let below = path.strip_prefix(mistake);
    let holds = match mistake.rfind(['.', '[']) {
        Some(at) => &mistake[..at],
        None => "configuration",
    };
    path == holds
        || mistake == "configuration"
        || below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The place of a path in a policy: of the value, or of the key if the value is long. What is not there has the place
/// of what it would be in.
#[must_use]
pub fn place(policy: &Node, path: &str) -> Range<usize> {
    let (mut node, mut key, mut rest) = (policy, first_line(policy), path);
    while !rest.is_empty() {
        let next = match &node.value {
            Value::Map(entries) => {
                // A key may have dots in it; the longest one that fits is meant.
                let fits = entries.iter().filter_map(|(known, value)| {
                    let behind = rest.strip_prefix(known.text.as_str())?;
                    let is_whole = behind.is_empty() || behind.starts_with(['.', '[']);
                    is_whole.then(|| (known, value, behind.strip_prefix('.').unwrap_or(behind)))
                });
                fits.max_by_key(|(known, ..)| known.text.len()).map(|(known, value, behind)| {
                    key = known.span.clone();
                    (value, behind)
                })
            }
            Value::List(items) => rest.strip_prefix('[').and_then(|index| {
                let (index, behind) = index.split_once(']')?;
                let item = items.get(index.parse::<usize>().ok()?)?;
                key = first_line(item);
                Some((item, behind.strip_prefix('.').unwrap_or(behind)))
            }),
            _ => None,
        };
        let Some((value, behind)) = next else { break };
        (node, rest) = (value, behind);
    }
    let is_short =
        matches!(&node.value, Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(..));
    if is_short && rest.is_empty() && !node.span.is_empty() { node.span.clone() } else { key }
}

/// The first key of a map, or the value itself if it is short.
fn first_line(node: &Node) -> Range<usize> {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => entries[0].0.span.clone(),
        Value::List(_) | Value::Map(_) => node.span.start..node.span.start + 1,
        _ => node.span.clone(),
    }
}

/// The names of the files that have no policy, if no file has one.
#[must_use]
pub fn without_policy<'f>(checked: &Checked, files: &'f [Source]) -> Option<Vec<&'f str>> {
    let broken: BTreeSet<usize> = checked.problems.iter().map(|problem| problem.file).collect();
    let is_silent = checked.policies.is_empty() && broken.is_empty();
    is_silent.then(|| files.iter().map(|file| file.name.as_str()).collect())
}
