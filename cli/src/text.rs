//! What is shown to a person: aligned lines, with colours on a terminal.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anstyle::{AnsiColor, Style};
use serde_json::json;

use crate::{
    against::{Change, Moved},
    check::{Checked, Problem, Severity},
    explain::{Explanation, IdentityShown, PatternShown},
    policy::Source,
    simulate::{Outcome, PlaceShown, ReplyShown, Simulation, ToldShown},
    told::code_name,
};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const MIDDLING: Style = AnsiColor::Yellow.on_default();
const FAINT: Style = Style::new().dimmed();
const LABEL: Style = Style::new().bold();

/// A line with its label.
fn line(text: &mut String, label: &str, content: &str) {
    let _ = writeln!(text, "{LABEL}{label:<10}{LABEL:#}{content}");
}

/// What a policy does with a request.
#[must_use]
pub fn simulation(simulation: &Simulation) -> String {
    let mut text = String::new();
    let request = &simulation.request;
    let mut what = format!("{}, {}, {} bytes", request.signal, request.protocol, request.bytes);
    if request.encoding != "identity" {
        let _ = write!(what, " of {} ({} decoded)", request.encoding, request.decoded_bytes);
    }
    line(&mut text, "request", &what);
    sender(&mut text, simulation);
    if let Some(tenant) = &simulation.tenant {
        line(&mut text, "tenant", tenant);
    }
    if let Some(backend) = &simulation.backend {
        let cluster = backend.cluster.as_deref().unwrap_or("any route");
        let (style, how) = match backend.unchanged {
            true => (GOOD, "unchanged".to_owned()),
            false => (MIDDLING, "rewritten".to_owned()),
        };
        let what = format!("{cluster} at {}", backend.path);
        line(
            &mut text,
            "backend",
            &format!("{what}, {} bytes, {style}{how}{style:#}", backend.bytes),
        );
        for (name, value) in &backend.set {
            let _ = writeln!(text, "{:10}{FAINT}+ {name}: {value}{FAINT:#}", "");
        }
        for name in &backend.removed {
            let _ = writeln!(text, "{:10}{FAINT}- {name}{FAINT:#}", "");
        }
    }
    records(&mut text, simulation);
    if let Some(refused) = &simulation.refused {
        line(
            &mut text,
            "refused",
            &format!("{BAD}{}{BAD:#}", refused.trim_start_matches("refused: ")),
        );
    }
    for (index, told) in simulation.told.iter().enumerate() {
        line(&mut text, if index == 0 { "told" } else { "" }, &reply(told));
    }
    text
}

fn sender(text: &mut String, simulation: &Simulation) {
    let Some(sender) = &simulation.sender else { return };
    let mut who = format!("{}, by {}", sender.namespace, sender.by);
    if !sender.sans.is_empty() {
        let _ = write!(who, " ({})", sender.sans.join(", "));
    }
    if let Some(expires) = &sender.certificate_expires {
        let _ = write!(who, "; the certificate expires at {expires}");
    }
    line(text, "sender", &who);
}

fn records(text: &mut String, simulation: &Simulation) {
    let Some(records) = &simulation.records else { return };
    let style = match simulation.outcome {
        Outcome::Whole => GOOD,
        Outcome::Part => MIDDLING,
        Outcome::Nothing => BAD,
    };
    let lost = records.all - records.kept;
    let how = match (lost, records.kept) {
        (0, _) => "all go on".to_owned(),
        (_, 0) => "none goes on".to_owned(),
        (lost, kept) => {
            let (goes, does) =
                (if kept == 1 { "goes" } else { "go" }, if lost == 1 { "does" } else { "do" });
            format!("{kept} {goes} on, {lost} {does} not")
        }
    };
    line(text, "records", &format!("{}: {style}{how}{style:#}", records.all));
    for finding in &records.findings {
        let style = if finding.fate == "audited" { FAINT } else { style };
        let _ = writeln!(text, "{:10}{style}{}{style:#}", "", finding.says);
        places(text, &finding.places, finding.more_places);
    }
}

fn places(text: &mut String, places: &[PlaceShown], more: usize) {
    for PlaceShown { path, name, records } in places {
        let _ = write!(text, "{:12}{FAINT}at {path}", "");
        if let Some(name) = name {
            let _ = write!(text, ", {name}");
        }
        if *records > 1 {
            let _ = write!(text, ": {records}");
        }
        let _ = writeln!(text, "{FAINT:#}");
    }
    if more > 0 {
        let _ = writeln!(text, "{:12}{FAINT}and at {more} more places{FAINT:#}", "");
    }
}

fn reply(told: &ToldShown) -> String {
    let protocol = match told.protocol {
        "grpc" => "gRPC",
        "json" => "JSON",
        "http" => "HTTP",
        _ => "write",
    };
    let reply = match &told.reply {
        ReplyShown::NotSent { error } => {
            return format!("{protocol:<6}{FAINT}cannot be sent so: {error}{FAINT:#}");
        }
        ReplyShown::Told(reply) => reply,
    };
    let is_good = if protocol == "gRPC" { reply.status == 0 } else { reply.status < 300 };
    let style = match (is_good, reply.rejected) {
        (true, None) => GOOD,
        (true, Some(_)) => MIDDLING,
        (false, _) => BAD,
    };
    let mut text = format!("{protocol:<6}{style}{}", reply.status);
    if protocol == "gRPC" {
        let _ = write!(text, " {}", code_name(reply.status));
    }
    let _ = write!(text, "{style:#}");
    if let Some(rejected) = reply.rejected {
        let _ = write!(text, ", partial success with {rejected} rejected");
    }
    if let Some(seconds) = reply.retry_after {
        let _ = write!(text, ", retry after {seconds} s");
    }
    if !reply.message.is_empty() {
        let _ = write!(text, ": {}", reply.message);
    }
    text
}

/// What another policy would change.
#[must_use]
pub fn change(change: &Change, other: &str) -> String {
    let mut text = String::new();
    let Change { differs, newly_lost, newly_kept } = change;
    if differs.is_empty() && newly_lost.records == 0 && newly_kept.records == 0 {
        line(&mut text, "against", &format!("{other}: {GOOD}nothing changes{GOOD:#}"));
        return text;
    }
    line(&mut text, "against", other);
    for difference in differs {
        let _ = writeln!(text, "{:10}{difference}", "");
    }
    for (moved, what, style) in [(newly_lost, "newly lost", BAD), (newly_kept, "newly kept", GOOD)]
    {
        let Moved { records, places: shown, more_places } = moved;
        if *records > 0 {
            let _ = writeln!(text, "{:10}{style}{records} records {what}{style:#}", "");
            places(&mut text, shown, *more_places);
        }
    }
    text
}

/// What is wrong with some policies: each problem with its line, and a summary.
#[must_use]
pub fn problems(checked: &Checked, files: &[Source]) -> String {
    let renderer = Renderer::styled();
    let mut text = String::new();
    for problem in &checked.problems {
        let source = &files[problem.file];
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut snippet = Snippet::source(source.text.as_str())
            .path(source.name.as_str())
            .annotation(AnnotationKind::Primary.span(problem.span.clone()));
        if let Some((span, what)) = &problem.other {
            snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(*what));
        }
        let mut group = level.primary_title(title(problem)).element(snippet);
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let _ = writeln!(text, "{}\n", renderer.render(&[group]));
    }
    let count = |severity| {
        let those = checked.problems.iter().filter(|problem| problem.severity == severity);
        those.count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let plural = |count, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (style, summary) = match (errors, warnings) {
        (0, 0) => (GOOD, "nothing is wrong".to_owned()),
        (0, warnings) => (MIDDLING, format!("accepted, with {}", plural(warnings, "warning"))),
        (errors, 0) => (BAD, format!("refused, with {}", plural(errors, "error"))),
        (errors, warnings) => {
            let (errors, warnings) = (plural(errors, "error"), plural(warnings, "warning"));
            (BAD, format!("refused, with {errors} and {warnings}"))
        }
    };
    let checked = match checked.policies.len() {
        0 => "no policy can be read".to_owned(),
        1 => "1 policy".to_owned(),
        several => format!("{several} policies"),
    };
    let _ = writeln!(text, "{checked}: {style}{summary}{style:#}");
    text
}

fn title(problem: &Problem) -> String {
    match problem.path.as_str() {
        "" => problem.message.clone(),
        path => format!("{path}: {}", problem.message),
    }
}

/// The same for programs: one object in a line for each problem.
#[must_use]
pub fn problems_json(checked: &Checked, files: &[Source]) -> String {
    let mut text = String::new();
    for problem in &checked.problems {
        let source = &files[problem.file];
        let (line, column) = line_column(&source.text, problem.span.start);
        let (end_line, end_column) = line_column(&source.text, problem.span.end);
        let json = json!({
            "severity": match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "file": source.name,
            "line": line,
            "column": column,
            "endLine": end_line,
            "endColumn": end_column,
            "path": problem.path,
            "message": problem.message,
            "help": problem.help,
        });
        let _ = writeln!(text, "{json}");
    }
    text
}

/// The line and the column of a byte, in characters, counted from 1.
fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

/// What a policy makes of a certificate.
#[must_use]
pub fn explanation(explanation: &Explanation) -> String {
    let mut text = String::new();
    let Explanation { sha256, not_before, not_after, is_valid, days_left, sans, namespaces } =
        explanation;
    line(&mut text, "sha256", sha256);
    let (style, left) = match (is_valid, days_left) {
        (true, 0) => (MIDDLING, "ends within a day".to_owned()),
        (true, 1) => (MIDDLING, "1 day left".to_owned()),
        (true, days) => (GOOD, format!("{days} days left")),
        (false, _) => (BAD, "not valid at this time".to_owned()),
    };
    line(&mut text, "valid", &format!("{not_before} to {not_after}, {style}{left}{style:#}"));
    if sans.is_empty() {
        line(
            &mut text,
            "san",
            "none: the certificate names nobody, because a common name is never read",
        );
    }
    for san in sans {
        line(&mut text, "san", &san.san);
        for PatternShown { path, pattern, identity } in &san.patterns {
            match identity {
                None => {
                    let _ = writeln!(text, "{:10}{FAINT}{pattern}  does not match{FAINT:#}", "");
                }
                Some(identity) => {
                    let _ = writeln!(text, "{:10}{pattern}  {FAINT}{path}{FAINT:#}", "");
                    self::identity(&mut text, identity);
                }
            }
        }
        if san.patterns.is_empty() {
            let _ = writeln!(
                text,
                "{:10}{FAINT}the policy has no pattern for certificates{FAINT:#}",
                ""
            );
        }
    }
    let (style, outcome) = match (&namespaces[..], is_valid) {
        (_, false) => (BAD, "not let in: Envoy refuses the connection".to_owned()),
        ([], true) => (BAD, "not let in".to_owned()),
        ([one], true) => (GOOD, format!("let in as {one}")),
        (several, true) => {
            let several = several.join(", ");
            (
                BAD,
                format!(
                    "ambiguous: {several}. It is let in only if the tenant is fixed, or with chooseBy"
                ),
            )
        }
    };
    line(&mut text, "outcome", &format!("{style}{outcome}{style:#}"));
    text
}

fn identity(text: &mut String, identity: &IdentityShown) {
    let mut who = format!("namespace {}", identity.namespace);
    if let Some(account) = &identity.service_account {
        let _ = write!(who, ", service account {account}");
    }
    if let Some(domain) = &identity.trust_domain {
        let _ = write!(who, ", trust domain {domain}");
    }
    let (style, standing) = match identity.standing {
        "allowed" => (GOOD, "allowed"),
        "denied" => (BAD, "denied"),
        "expired" => (BAD, "expired"),
        "notYet" => (BAD, "not allowed yet"),
        _ => (BAD, "on no list"),
    };
    let _ = writeln!(text, "{:12}{who}: {style}{standing}{style:#}", "");
    for entry in &identity.entries {
        let _ = writeln!(
            text,
            "{:14}{FAINT}{} {}: {}{FAINT:#}",
            "", entry.path, entry.entry, entry.says
        );
    }
}
