//! Dropping records from an export request in JSON, compared with the same request in protobuf.

use std::sync::LazyLock;

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    profiles::v1development::ExportProfilesServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message;
use serde::de::IgnoredAny;
use sluice_otlp::{
    AttributeEdits, Attributes, Descend, Format, Interest, Record, RecordPolicy, Request, Signal,
    splice_export,
};
use sluice_records::RuleSet;
use sluice_stores::Spelling;
use sluice_wire::{ReadLimits, Unreadable};

use crate::{plain, splice::RULES};

const LIMITS: ReadLimits =
    ReadLimits { attributes: 128, bytes: 1 << 20, depth: 60, records: 100_000, room: usize::MAX };

/// The level where a record must have its name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Level {
    Resource,
    Scope,
    Record,
}

const LEVELS: [Level; 3] = [Level::Resource, Level::Scope, Level::Record];

/// The input: a byte that chooses signal and level, and the text.
///
/// If the gate accepts the text, `serde_json` accepts it too; and a second check of the result drops nothing more. If
/// the request can be converted to protobuf, that has the same result; so has the request with all invalid Unicode in
/// its texts repaired.
pub fn run(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let choice = usize::from(*choice);
    let signal = Signal::ALL[choice % Signal::ALL.len()];
    let level = LEVELS[choice / Signal::ALL.len() % LEVELS.len()];
    let Ok(left) = left_of(text, Format::Json, signal, level) else { return };
    serde_json::from_slice::<IgnoredAny>(text).expect("what is read is JSON");
    serde_json::from_slice::<IgnoredAny>(&left.message).expect("what is left is JSON");
    let again = left_of(&left.message, Format::Json, signal, level).expect("it can be read again");
    assert_eq!(again, Left { dropped: 0, ..left.clone() });
    let mended = mended(text);
    if mended != text {
        let as_mended = left_of(&mended, Format::Json, signal, level).expect("it is no worse");
        assert_eq!((left.dropped, left.kept), (as_mended.dropped, as_mended.kept));
        assert_eq!(self::mended(&left.message), as_mended.message);
    }
    let text = &mended;
    if let Some(message) = protobuf(signal, text) {
        let expected = left_of(&message, Format::Protobuf, signal, level);
        let expected = expected.expect("what has just been encoded can be read");
        assert_eq!((left.dropped, left.kept), (expected.dropped, expected.kept));
        let left = protobuf(signal, &self::mended(&left.message)).expect("no less than before");
        assert_eq!(left, normal(signal, &expected.message));
    }
}

/// Reads the request, and drops records from it.
pub fn read(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let choice = usize::from(*choice);
    let signal = Signal::ALL[choice % Signal::ALL.len()];
    let level = LEVELS[choice / Signal::ALL.len() % LEVELS.len()];
    let _: Result<_, _> = left_of(text, Format::Json, signal, level);
    let request = Request { message: text, at: 0, signal, format: Format::Json, limits: LIMITS };
    let _: Result<_, _> = FLATTENED.check(&request, None);
}

/// Rules on each level, for a backend that treats what is in a map as its own attributes.
pub(crate) static FLATTENED: LazyLock<RuleSet> =
    LazyLock::new(|| plain::compiled(RULES[3], Spelling::Flattened));

/// The byte that chooses a signal and the level at `level` of resource, scope and record.
#[must_use]
pub fn choice(signal: usize, level: usize) -> u8 {
    u8::try_from(signal + Signal::ALL.len() * level).expect("there are 12 choices")
}

/// Converts an export request from protobuf to JSON.
#[must_use]
pub fn from_protobuf(signal: Signal, message: &[u8]) -> Option<Vec<u8>> {
    match signal {
        Signal::Logs => serde_json::to_vec(&ExportLogsServiceRequest::decode(message).ok()?),
        Signal::Metrics => serde_json::to_vec(&ExportMetricsServiceRequest::decode(message).ok()?),
        Signal::Profiles => {
            serde_json::to_vec(&ExportProfilesServiceRequest::decode(message).ok()?)
        }
        Signal::Traces => serde_json::to_vec(&ExportTraceServiceRequest::decode(message).ok()?),
    }
    .ok()
}

/// Converts an export request from JSON to protobuf, with `opentelemetry-proto`. That crate reads a metric with data
/// that it does not know as one without data, so such requests are excluded.
fn protobuf(signal: Signal, text: &[u8]) -> Option<Vec<u8>> {
    /// Parses `text` and encodes it.
    macro_rules! written {
        ($export:ident) => {
            serde_json::from_slice::<$export>(text).ok()?.encode_to_vec()
        };
    }
    Some(match signal {
        Signal::Logs => written!(ExportLogsServiceRequest),
        Signal::Metrics => {
            let request: ExportMetricsServiceRequest = serde_json::from_slice(text).ok()?;
            let scopes = request.resource_metrics.iter().flat_map(|entry| &entry.scope_metrics);
            let mut metrics = scopes.flat_map(|entry| &entry.metrics);
            metrics.all(|metric| metric.data.is_some()).then(|| request.encode_to_vec())?
        }
        Signal::Profiles => written!(ExportProfilesServiceRequest),
        Signal::Traces => written!(ExportTraceServiceRequest),
    })
}

/// Replaces each byte that is not UTF-8, and each half of a surrogate pair, by U+FFFD.
fn mended(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let mut mended = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let pair = unit(rest).map(|first| (first, unit(&rest[6..])));
        let taken = match pair {
            Some((0xd800..0xdc00, Some(0xdc00..0xe000))) => 12,
            Some((0xd800..0xe000, second)) => {
                mended.extend_from_slice(br"\uFFFD");
                rest = &rest[6..];
                // A second half that follows is read separately, and not together with what follows it.
                if let Some(0xd800..0xe000) = second {
                    mended.extend_from_slice(br"\uFFFD");
                    rest = &rest[6..];
                }
                continue;
            }
            Some(_) => 6,
            None if *byte == b'\\' && !behind.is_empty() => 2,
            None => 1,
        };
        mended.extend_from_slice(&rest[..taken]);
        rest = &rest[taken..];
    }
    mended
}

/// The code unit of an escape at the start.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Decodes an export request in protobuf and encodes it again.
fn normal(signal: Signal, message: &[u8]) -> Vec<u8> {
    /// Decodes `message` and encodes it.
    macro_rules! encoded {
        ($export:ident) => {
            $export::decode(message).expect("it was encoded").encode_to_vec()
        };
    }
    match signal {
        Signal::Logs => encoded!(ExportLogsServiceRequest),
        Signal::Metrics => encoded!(ExportMetricsServiceRequest),
        Signal::Profiles => encoded!(ExportProfilesServiceRequest),
        Signal::Traces => encoded!(ExportTraceServiceRequest),
    }
}

/// What remains of a request.
#[derive(Clone, Debug, PartialEq)]
struct Left {
    message: Vec<u8>,
    dropped: u64,
    kept: bool,
}

fn left_of(
    message: &[u8],
    format: Format,
    signal: Signal,
    level: Level,
) -> Result<Left, Unreadable> {
    let request = Request { message, at: 0, signal, format, limits: LIMITS };
    let spliced = splice_export(&request, &mut Named(level))?;
    let mut left = message.to_vec();
    spliced.edits.apply(&mut left, 0).expect("there is memory for it");
    Ok(Left { message: left, dropped: spliced.dropped, kept: spliced.kept })
}

/// Drops records without a name at their level.
struct Named(Level);

impl Named {
    fn below(&self, level: Level, attributes: Attributes<'_>) -> Result<Descend, Unreadable> {
        Ok(match is_named(attributes)? {
            _ if self.0 != level => Descend::Inspect,
            true => Descend::CountOnly,
            false => Descend::Drop,
        })
    }
}

fn is_named(mut attributes: Attributes<'_>) -> Result<bool, Unreadable> {
    let mut is_named = false;
    while let Some(attribute) = attributes.next_where(|key| key == b"source.name")? {
        is_named |= !attribute.value()?.is_empty();
    }
    Ok(is_named)
}

impl<'a> RecordPolicy<'a> for Named {
    type Error = Unreadable;
    fn interest(&self) -> Interest {
        Interest { scopes: self.0 == Level::Scope, ..Interest::default() }
    }
    fn resource(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        self.below(Level::Resource, attributes)
    }
    fn scope(
        &mut self,
        attributes: Attributes<'a>,
        _: &mut AttributeEdits,
    ) -> Result<Descend, Unreadable> {
        self.below(Level::Scope, attributes)
    }
    fn record(&mut self, record: &Record<'_, 'a>) -> Result<bool, Unreadable> {
        let valid = record.has_valid_ids(false)?;
        Ok(is_named(record.attributes())? && (valid || record.scale()?.is_none()))
    }
}
