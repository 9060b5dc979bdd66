//! Requests that a stranger could write to keep a worker busy: each of a shape that once cost more
//! for a byte than others do, or could.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use crate::telemetry::REQUIRED;

/// Maps that a backend flattens into the name of an attribute that is asked for, so that they are
/// followed.
const MAP: &str = "source";

/// The arrays in the innermost map: a few thousand bytes.
const ARRAYS: usize = 1_300;

/// `attributes` attributes on one resource in JSON, each so many maps in each other around many
/// arrays.
#[must_use]
pub fn maps_in_json(attributes: usize, levels: usize) -> Vec<u8> {
    let arrays = format!("{{\"arrayValue\":{{\"values\":[{}[]]}}}}", "[],".repeat(ARRAYS));
    let open = "{\"kvlistValue\":{\"values\":[{\"key\":\"_\",\"value\":".repeat(levels);
    let value = format!("{open}{arrays}{}", "}]}}".repeat(levels));
    let attribute = format!(",{{\"key\":\"{MAP}\",\"value\":{value}}}");
    logs_in_json(&attribute.repeat(attributes))
}

/// The same in protobuf.
#[must_use]
pub fn maps_in_protobuf(attributes: usize, levels: usize) -> Vec<u8> {
    let arrays = field(5, &field(1, b"").repeat(ARRAYS));
    let within = |value: Vec<u8>, _| field(6, &field(1, &pair(b"_", &value)));
    let value = (0..levels).fold(arrays, within);
    logs(&field(1, &pair(MAP.as_bytes(), &value)).repeat(attributes))
}

/// `attributes` attributes whose names part from the one that is asked for behind many underscores,
/// which are one to a backend.
#[must_use]
pub fn underscores(attributes: usize) -> Vec<u8> {
    let key = format!("{MAP}{}x", "_".repeat(4_000));
    logs(&field(1, &pair(key.as_bytes(), &text(b"a"))).repeat(attributes))
}

/// The same in JSON, each underscore as an escape.
#[must_use]
pub fn escapes_in_json(attributes: usize) -> Vec<u8> {
    let key = format!("{MAP}{}x", "\\u005f".repeat(700));
    let attribute = format!(",{{\"key\":\"{key}\",\"value\":{{\"stringValue\":\"a\"}}}}");
    logs_in_json(&attribute.repeat(attributes))
}

/// `bytes` bytes of one object in another, in a member that nobody knows.
#[must_use]
pub fn deep_json(bytes: usize) -> Vec<u8> {
    const LEVELS: usize = 9_000;
    let one = format!(",\"x\":{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
    logs_in_json("").strip_suffix(b"}").map_or_else(Vec::new, |logs| {
        [logs, one.repeat(bytes / one.len()).as_bytes(), b"}"].concat()
    })
}

/// `bytes` bytes of gzip members without content.
#[must_use]
pub fn empty_gzip(bytes: usize) -> Vec<u8> {
    let member = GzEncoder::new(Vec::new(), Compression::best()).finish();
    member.map_or_else(|_| Vec::new(), |member| member.repeat(bytes / member.len()))
}

/// `bytes` bytes of zstd frames without content, each with a window of 16 MiB.
#[must_use]
pub fn empty_zstd(bytes: usize) -> Vec<u8> {
    let frame = b"\x28\xb5\x2f\xfd\0\x70\x01\0\0";
    frame.repeat(bytes / frame.len())
}

/// `bytes` bytes of LZ4 frames without content, each with blocks of 4 MiB.
#[must_use]
pub fn empty_lz4(bytes: usize) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max4MB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(b"").expect("a Vec takes every byte");
    let frame = encoder.finish().expect("a Vec takes every byte");
    frame.repeat(bytes / frame.len())
}

/// A profile on a resource whose attributes all have one long text of the dictionary for a name.
#[must_use]
pub fn references(attributes: usize, length: usize) -> Vec<u8> {
    let key = [MAP.as_bytes(), &vec![b'_'; length], b"x"].concat();
    let strings = [field(5, b""), field(5, &key)].concat();
    let required = field(1, &pair(REQUIRED.as_bytes(), &text(b"a")));
    let attribute = field(1, &[0x18, 1]);
    let resource = [required, attribute.repeat(attributes)].concat();
    let profiles = field(2, &field(2, b""));
    [field(1, &[field(1, &resource), profiles].concat()), field(2, &strings)].concat()
}

/// One log record of a resource that has the required attribute, and others as they are written.
fn logs(attributes: &[u8]) -> Vec<u8> {
    let required = field(1, &pair(REQUIRED.as_bytes(), &text(b"a")));
    let resource = field(1, &[&required, attributes].concat());
    field(1, &[resource, field(2, &field(2, b""))].concat())
}

fn logs_in_json(attributes: &str) -> Vec<u8> {
    let required = format!("{{\"key\":\"{REQUIRED}\",\"value\":{{\"stringValue\":\"a\"}}}}");
    let resource = format!("{{\"attributes\":[{required}{attributes}]}}");
    let scopes = "[{\"logRecords\":[{}]}]";
    format!("{{\"resourceLogs\":[{{\"resource\":{resource},\"scopeLogs\":{scopes}}}]}}")
        .into_bytes()
}

fn pair(key: &[u8], value: &[u8]) -> Vec<u8> {
    [field(1, key), field(2, value)].concat()
}

fn text(text: &[u8]) -> Vec<u8> {
    field(1, text)
}

/// A length-delimited field, its number under 16.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    sluice_otlp::wire::push_field(&mut field, number, content);
    field
}
