//! Dropping records from an export request, compared with the simple implementation.

use std::{array, sync::LazyLock};

use sluice_otlp::{Format, Request, Signal};
use sluice_records::{Level, RuleSet, Unfit, Verdict};
use sluice_stores::Spelling;
use sluice_wire::ReadLimits;

use crate::{
    json,
    plain::{self, Rules},
};

/// The required attributes, from one rule to several on each level.
pub const RULES: [&Rules; 4] = [
    &[("source.name", Level::Resource)],
    &[("source.name", Level::Scope)],
    &[("source.name", Level::Record)],
    &[
        ("id", Level::Record),
        ("source.name", Level::Resource),
        ("owner", Level::Scope),
        ("source_name", Level::Record),
        ("service.name", Level::Resource),
    ],
];

/// The signals whose records have their own attributes.
pub const SIGNALS: [Signal; 3] = [Signal::Logs, Signal::Metrics, Signal::Traces];

/// [`RULES`] at an index and the backend's name folding, compiled.
type Compiled = (&'static Rules, Spelling, RuleSet);

/// Each of [`RULES`], for a backend that folds names and for one that does not.
static COMPILED: LazyLock<[Compiled; 8]> = LazyLock::new(|| {
    array::from_fn(|index| {
        let rules = RULES[index / 2];
        let spelling = [Spelling::Exact, Spelling::Folded][index % 2];
        (rules, spelling, plain::compiled(rules, spelling))
    })
});

/// The input: a byte that chooses signal and rules, and the message.
pub fn run(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else { return };
    let choice = usize::from(*choice);
    let (rules, spelling, compiled) = &COMPILED[choice / 3 % COMPILED.len()];
    let _: Result<_, _> = agrees(SIGNALS[choice % 3], message, rules, *spelling, compiled);
}

/// Reads the message, and drops records from it.
pub fn read(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else { return };
    let choice = usize::from(*choice);
    let (_, _, compiled) = &COMPILED[choice / 3 % COMPILED.len()];
    let limits = ReadLimits {
        attributes: 10_000,
        bytes: 64 << 20,
        depth: 100,
        records: 1 << 20,
        room: usize::MAX,
    };
    let (signal, format) = (SIGNALS[choice % 3], Format::Protobuf);
    let request = Request { message, at: 0, signal, format, limits };
    let _: Result<_, _> = json::FLATTENED.check(&request, None);
    let Ok(checked) = compiled.check(&request, None) else { return };
    let mut left = message.to_vec();
    checked.into_parts().1.apply(&mut left, 0).expect("there is memory");
}

/// The byte that chooses a signal and the rules at `rules` of [`RULES`].
#[must_use]
pub fn choice(signal: usize, rules: usize, folded: bool) -> u8 {
    u8::try_from(signal + 3 * (2 * rules + usize::from(folded))).expect("there are 24 choices")
}

/// Checks that a second check of the result drops nothing more, and that the result is that of the simple
/// implementation, rule by rule, if the message can be decoded.
///
/// # Errors
/// If the gate rejects the message.
///
/// # Panics
/// If something does not hold.
pub fn agrees(
    signal: Signal,
    message: &[u8],
    rules: &Rules,
    spelling: Spelling,
    compiled: &RuleSet,
) -> Result<(), Unfit> {
    let limits = ReadLimits {
        attributes: 10_000,
        bytes: 64 << 20,
        depth: 100,
        records: 1 << 20,
        room: usize::MAX,
    };
    let request = Request { message, at: 0, signal, format: Format::Protobuf, limits };
    let (verdict, edits) = compiled.check(&request, None)?.into_parts();
    let mut edited = message.to_vec();
    edits.apply(&mut edited, 0).expect("nothing grows");
    let left = Request { message: &edited, ..request };
    let again = compiled.check(&left, None).expect("what is left can be read");
    let (kept, dropped) = match &verdict {
        Verdict::Nothing(_) => (false, &[][..]),
        Verdict::Kept(None) => (true, &[][..]),
        Verdict::Kept(Some(violations)) => (true, violations.by_rule()),
        Verdict::AllDropped(violations) => (false, violations.by_rule()),
    };
    if dropped.is_empty() {
        assert!(edits.is_empty() && edited == message);
    } else {
        assert!(edited.len() < message.len());
    }
    let left = if kept { Verdict::Kept(None) } else { Verdict::Nothing(None) };
    assert_eq!(again.verdict(), &left);
    if signal == Signal::Metrics && plain::may_hide_data(message) {
        return Ok(());
    }
    if let Ok(plain) = plain::filter(signal, message, rules, spelling) {
        assert_eq!((kept, dropped), (plain.kept > 0, plain.dropped.as_slice()));
        assert_eq!(plain::normal(signal, &edited).as_ref(), Ok(&plain.message));
    }
    Ok(())
}
