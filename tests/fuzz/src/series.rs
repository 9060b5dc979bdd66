//! Dropping series from a write request of Prometheus, compared with the simple implementation.

use std::sync::LazyLock;

use sluice_config::check;
use sluice_prompb::{Message, TimeSeries, WriteRequest as Decoded};
use sluice_records::{Reason, RecordsConfig, RuleSet, Verdict};
use sluice_remote_write::WriteRequest;
use sluice_wire::ReadLimits;

/// A rule alone, and a rule together with a stamp.
static RULES: LazyLock<[RuleSet; 2]> = LazyLock::new(|| {
    let rule = serde_json::json!([{"attribute": "source.name"}]);
    let stamp = serde_json::json!([{"attribute": "stamped.by", "value": "gate"}]);
    [
        compiled(serde_json::json!({"require": rule})),
        compiled(serde_json::json!({"require": rule, "stamp": stamp})),
    ]
});

/// The label that the rule requires, and the label that the stamp sets.
const REQUIRED: &str = "source_name";
const STAMPED: (&str, &str) = ("stamped_by", "gate");

fn compiled(section: serde_json::Value) -> RuleSet {
    let config: RecordsConfig = serde_json::from_value(section).expect("it has the right shape");
    check("records", |place| config.compile(place, false, |_| None)).expect("the rules are rules")
}

/// The input: a byte that chooses whether there is a stamp, and the message.
pub fn run(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else { return };
    let stamps = choice % 2 == 1;
    let rules = &RULES[usize::from(stamps)];
    let limits = ReadLimits {
        attributes: 10_000,
        bytes: 64 << 20,
        depth: 100,
        records: 1 << 20,
        room: usize::MAX,
    };
    let Ok(checked) = rules.check_series(&WriteRequest { message, limits }, None) else { return };
    let (verdict, edits) = checked.into_parts();
    let mut left = message.to_vec();
    edits.apply(&mut left, 0).expect("there is memory");
    let (kept, violations) = match &verdict {
        Verdict::AllDropped(violations) => (false, Some(violations)),
        Verdict::Nothing(violations) => (false, violations.as_ref()),
        Verdict::Kept(violations) => (true, violations.as_ref()),
    };
    if violations.is_none() && !stamps {
        assert!(edits.is_empty() && left == message);
    }
    // A second check drops nothing more, and only changes the positions of the stamps.
    let again = rules.check_series(&WriteRequest { message: &left, limits }, None);
    let expected = if kept { Verdict::Kept(None) } else { Verdict::Nothing(None) };
    assert_eq!(again.expect("what is left can be read").verdict(), &expected);

    let Ok(mut plain) = Decoded::decode(message) else { return };
    let mut dropped = Vec::new();
    plain.timeseries.retain(|series| match broken_by(series) {
        None => true,
        Some(reason) => {
            dropped.push((reason, (series.samples.len() + series.histograms.len()) as u64));
            false
        }
    });
    let counted = violations.map_or(&[][..], |violations| violations.by_rule());
    for violation in counted {
        let of_reason = dropped.iter().filter(|(reason, _)| *reason == violation.reason);
        assert_eq!(violation.records, of_reason.map(|(_, samples)| samples).sum::<u64>());
    }
    assert_eq!(
        counted.iter().map(|v| v.records).sum::<u64>(),
        dropped.iter().map(|d| d.1).sum::<u64>()
    );
    assert_eq!(kept, !(plain.timeseries.is_empty() && plain.metadata.is_empty()));
    if stamps {
        plain.timeseries.iter_mut().for_each(stamp);
    }
    let left = Decoded::decode(&left[..]).expect("what is left can be decoded");
    // Compares bytes, because two samples that are NaN are not equal.
    assert_eq!(left.encode_to_vec(), plain.encode_to_vec());
}

/// Reads the request, and drops series from it.
pub fn read(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else { return };
    let rules = &RULES[usize::from(choice % 2 == 1)];
    let limits = ReadLimits {
        attributes: 10_000,
        bytes: 64 << 20,
        depth: 100,
        records: 1 << 20,
        room: usize::MAX,
    };
    let Ok(checked) = rules.check_series(&WriteRequest { message, limits }, None) else { return };
    let mut left = message.to_vec();
    checked.into_parts().1.apply(&mut left, 0).expect("there is memory");
}

/// How a series breaks the rule, if it does.
fn broken_by(series: &TimeSeries) -> Option<Reason> {
    let mut named = series.labels.iter().filter(|label| is_spelling(&label.name, REQUIRED));
    match (named.next(), named.next()) {
        (_, Some(_)) => Some(Reason::Ambiguous),
        (Some(label), None) if label.name != REQUIRED => Some(Reason::Missing),
        (None, None) => Some(Reason::Missing),
        (Some(label), None) => label.value.is_empty().then_some(Reason::Empty),
    }
}

fn stamp(series: &mut TimeSeries) {
    let (name, value) = STAMPED;
    series.labels.retain(|label| !is_spelling(&label.name, name));
    let place = series.labels.iter().position(|label| label.name.as_str() > name);
    let label = sluice_prompb::Label { name: name.to_owned(), value: value.to_owned() };
    series.labels.insert(place.unwrap_or(series.labels.len()), label);
}

/// Returns whether a label's name becomes this one when everything except ASCII letters and digits becomes an
/// underscore, and several underscores in a row become one.
fn is_spelling(name: &str, of: &str) -> bool {
    let mut folded = String::new();
    for character in name.chars() {
        let character = if character.is_ascii_alphanumeric() { character } else { '_' };
        if !(character == '_' && folded.ends_with('_')) {
            folded.push(character);
        }
    }
    folded == of
}
