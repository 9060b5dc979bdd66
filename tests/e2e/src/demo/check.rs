//! The expected result of a row, and its differences from the real one.

use envoy_local::SenderName;
use sluice_stand_ins::Backend;

use super::{
    plan::{RECORDS, Row},
    read_back::Stored,
};
use crate::{Outcome, Protocol, Reply, Signal, Verdict};

/// The backend that a signal belongs to.
pub fn backend(signal: Signal) -> Backend {
    match signal {
        Signal::Logs => Backend::Loki,
        Signal::Metrics => Backend::Mimir,
        Signal::Traces => Backend::Tempo,
    }
}

/// The expected result of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Stored under this tenant, except the records without `source.name`, with their number in the reply to the
    /// sender.
    Taken(&'static str),
    /// 400 / `INVALID_ARGUMENT`: no record has `source.name`.
    NothingLeft,
    /// 403 / `PERMISSION_DENIED`, naming the sender's namespace.
    Denied(&'static str),
    /// The TLS handshake fails, so there is no reply.
    NoHandshake,
}

/// Returns the expected result of `row`.
pub fn expected(row: &Row) -> Expected {
    match row.sender {
        SenderName::Payments | SenderName::TeamBlue if row.without == RECORDS => {
            Expected::NothingLeft
        }
        SenderName::Payments => Expected::Taken("payments"),
        SenderName::TeamBlue => Expected::Taken("team-blue"),
        SenderName::Stranger => Expected::Denied("stranger"),
        SenderName::Outsider => Expected::NoHandshake,
    }
}

/// Returns everything that is not as expected, in sentences; empty if all is well.
pub fn problems(row: &Row, outcome: &Outcome, stored: &[Stored]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            problems.push(what);
        }
    };
    let reply = &outcome.reply;
    let kept = match expected(row) {
        Expected::Taken(tenant) => {
            let (code, told) = (ok(row.protocol), told(row, outcome));
            expect(is(reply, code), format!("reply: expected {code}, got {reply}"));
            expect(
                outcome.result == Verdict::Success,
                format!("the SDK: expected success, got {:?}", outcome.result),
            );
            expect(
                told == row.without,
                format!("told dropped: expected {}, got {told}", row.without),
            );
            expect(
                row.without == 0 || said(outcome).contains("source.name"),
                format!("message: expected one that names source.name, got {:?}", said(outcome)),
            );
            Some(Stored {
                backend: backend(row.signal),
                tenant: tenant.to_owned(),
                records: RECORDS - row.without,
            })
        }
        Expected::NothingLeft => {
            expect_refusal(
                &mut expect,
                row,
                outcome,
                ["400", "INVALID_ARGUMENT"],
                &RECORDS.to_string(),
            );
            None
        }
        Expected::Denied(name) => {
            expect_refusal(&mut expect, row, outcome, ["403", "PERMISSION_DENIED"], name);
            None
        }
        Expected::NoHandshake => {
            expect(
                matches!(reply, Reply::None { .. }),
                format!("reply: expected none, the handshake failing, got {reply}"),
            );
            None
        }
    };
    let kept: Vec<_> = kept.into_iter().collect();
    expect(kept == stored, format!("stored: expected {}, got {}", listed(&kept), listed(stored)));
    problems
}

/// The number of dropped records in the reply to the sender.
pub fn told(row: &Row, outcome: &Outcome) -> usize {
    match (&outcome.partial_success, expected(row)) {
        (Some(partial), _) => usize::try_from(partial.rejected).unwrap_or(usize::MAX),
        (None, Expected::NothingLeft) if outcome.result == Verdict::Failure => RECORDS,
        (None, _) => 0,
    }
}

fn expect_refusal(
    expect: &mut impl FnMut(bool, String),
    row: &Row,
    outcome: &Outcome,
    [http, grpc]: [&str; 2],
    names: &str,
) {
    let code = if row.protocol == Protocol::Http { http } else { grpc };
    let reply = &outcome.reply;
    expect(is(reply, code), format!("reply: expected {code}, got {reply}"));
    expect(
        said(outcome).contains(names),
        format!("message: expected one that has {names:?}, got {:?}", said(outcome)),
    );
    expect(
        outcome.attempts == 1,
        format!("attempts: expected 1, a refusal is permanent, got {}", outcome.attempts),
    );
}

fn ok(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Grpc => "OK",
        Protocol::Http => "200",
    }
}

fn is(reply: &Reply, expected: &str) -> bool {
    match reply {
        Reply::Grpc { code, .. } => code == expected,
        Reply::Http { status, .. } => status.to_string() == expected,
        Reply::None { .. } => false,
    }
}

/// The message for the sender's developer, at the place where this protocol has it.
pub fn said(outcome: &Outcome) -> &str {
    match (&outcome.partial_success, &outcome.reply) {
        (Some(partial), _) => &partial.message,
        (None, Reply::Grpc { message, .. } | Reply::None { message }) => message,
        (None, Reply::Http { error, .. }) => error.as_ref().map_or("", |error| &error.message),
    }
}

fn listed(stored: &[Stored]) -> String {
    if stored.is_empty() {
        return "nothing".to_owned();
    }
    let all: Vec<_> = stored
        .iter()
        .map(|Stored { backend, tenant, records }| format!("{records} in {backend} under {tenant}"))
        .collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{super::plan::plan, *};
    use crate::{PartialSuccess, Sdk};

    fn a_row() -> Row {
        plan()
            .into_iter()
            .find(|row| row.sdk == Sdk::Python && row.protocol == Protocol::Grpc)
            .expect("a row")
    }

    fn as_it_should_be() -> (Outcome, Vec<Stored>) {
        let outcome = Outcome {
            sdk: Sdk::Python,
            result: Verdict::Success,
            attempts: 1,
            milliseconds: 3,
            reply: Reply::Grpc { code: "OK".to_owned(), message: String::new() },
            partial_success: Some(PartialSuccess {
                rejected: 3,
                message: "3 lack source.name".to_owned(),
            }),
        };
        (
            outcome,
            vec![Stored { backend: Backend::Loki, tenant: "payments".to_owned(), records: 7 }],
        )
    }

    #[test]
    fn a_row_that_went_right_has_no_problem() {
        let (outcome, stored) = as_it_should_be();
        assert_eq!(problems(&a_row(), &outcome, &stored), [""; 0]);
    }

    #[test]
    fn records_under_another_tenant_are_a_problem_that_names_both() {
        let (outcome, mut stored) = as_it_should_be();
        stored[0].tenant = "victim".to_owned();
        assert_eq!(
            problems(&a_row(), &outcome, &stored),
            ["stored: expected 7 in Loki under payments, got 7 in Loki under victim"]
        );
    }

    #[test]
    fn records_in_a_second_place_are_a_problem() {
        let (outcome, mut stored) = as_it_should_be();
        stored.push(Stored { backend: Backend::Mimir, tenant: "payments".to_owned(), records: 1 });
        assert_eq!(problems(&a_row(), &outcome, &stored).len(), 1);
    }

    #[test]
    fn a_silent_drop_is_a_problem() {
        let (mut outcome, stored) = as_it_should_be();
        outcome.partial_success = None;
        assert_eq!(problems(&a_row(), &outcome, &stored)[0], "told dropped: expected 3, got 0");
    }

    #[test]
    fn a_stranger_who_is_served_is_a_problem() {
        let (outcome, stored) = as_it_should_be();
        let row = Row { sender: SenderName::Stranger, ..a_row() };
        let problems = problems(&row, &outcome, &stored);
        assert_eq!(problems[0], "reply: expected PERMISSION_DENIED, got OK");
    }

    #[test]
    fn a_refusal_that_was_sent_again_is_a_problem() {
        let (mut outcome, _) = as_it_should_be();
        outcome.partial_success = None;
        outcome.reply =
            Reply::Grpc { code: "PERMISSION_DENIED".to_owned(), message: "stranger".to_owned() };
        outcome.attempts = 2;
        let row = Row { sender: SenderName::Stranger, ..a_row() };
        assert_eq!(
            problems(&row, &outcome, &[]),
            ["attempts: expected 1, a refusal is permanent, got 2"]
        );
    }

    #[test]
    fn an_outsider_who_gets_a_reply_is_a_problem() {
        let (outcome, _) = as_it_should_be();
        let row = Row { sender: SenderName::Outsider, ..a_row() };
        assert_eq!(problems(&row, &outcome, &[]).len(), 1);
    }
}
