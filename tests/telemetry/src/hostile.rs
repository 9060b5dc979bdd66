//! Requests with which an attacker could keep a worker busy. Each has a shape for which a byte once cost more than
//! usual, or could.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use crate::{
    ordinary::REQUIRED,
    wire::{field, pair, text},
};

/// The name of maps that a backend may flatten into the required attribute, so the gate must search them.
const MAP: &str = "source";

/// The number of arrays in the innermost map: a few thousand bytes.
const ARRAYS: usize = 1_300;

/// `attributes` attributes on one resource in JSON, each with this many nested maps around many arrays.
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

/// `attributes` attributes whose names differ from the required one only after many underscores, which a backend treats
/// as one.
#[must_use]
pub fn underscores(attributes: usize) -> Vec<u8> {
    let key = format!("{MAP}{}x", "_".repeat(4_000));
    logs(&field(1, &pair(key.as_bytes(), &text(b"a"))).repeat(attributes))
}

/// The same in JSON, with each underscore as an escape.
#[must_use]
pub fn escapes_in_json(attributes: usize) -> Vec<u8> {
    let key = format!("{MAP}{}x", "\\u005f".repeat(700));
    let attribute = format!(",{{\"key\":\"{key}\",\"value\":{{\"stringValue\":\"a\"}}}}");
    logs_in_json(&attribute.repeat(attributes))
}

/// `bytes` bytes of nested objects, in an unknown member.
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

/// `bytes` bytes of one gzip member without content, in blocks that each have their own Huffman tables (RFC 1951
/// section 3.2.7) only for the end of the block.
#[must_use]
pub fn tables_in_gzip(bytes: usize) -> Vec<u8> {
    // One block, with its bits in the order of the stream, and numbers with the least significant bit first.
    let block = [
        // Not the last block; it has its own tables.
        "0 01",
        // 257 literals and lengths, 1 distance, 18 lengths of codes.
        "00000 00000 0111",
        // In the order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1: "18" has one bit, "0" and "1" have two.
        "000 000 100 010 000 000 000 000 000 000 000 000 000 000 000 000 000 010",
        // 138 and 118 literals without a code, then the end of the block with one bit, and no distance.
        "0 1111111 0 1101011 11 10",
        // The end of the block.
        "0",
    ];
    let bits = block.concat().repeat(2).replace(' ', "");
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
    let two_blocks: Vec<u8> = bits.as_bytes().chunks(8).map(byte).collect();
    let head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";
    // An empty last block, and the checksum and length of no content.
    let end = b"\x03\0\0\0\0\0\0\0\0\0";
    [&head[..], &two_blocks.repeat(bytes / two_blocks.len()), end].concat()
}

/// One attribute whose name consists of `bytes` bytes of escapes for underscores.
#[must_use]
pub fn long_key_of_escapes_in_json(bytes: usize) -> Vec<u8> {
    let key = format!("{MAP}{}x", "\\u005f".repeat(bytes / 6));
    logs_in_json(&format!(",{{\"key\":\"{key}\",\"value\":{{\"stringValue\":\"a\"}}}}"))
}

/// The same in protobuf, where an underscore is a byte.
#[must_use]
pub fn long_key(bytes: usize) -> Vec<u8> {
    let key = [MAP.as_bytes(), &vec![b'_'; bytes], b"x"].concat();
    logs(&field(1, &pair(&key, &text(b"a"))))
}

/// `resources` resources with one log record each; every other record lacks the required attribute.
#[must_use]
pub fn every_other(resources: usize) -> Vec<u8> {
    let with = logs(b"");
    let without = field(1, &field(2, &field(2, b"")));
    [with, without].concat().repeat(resources / 2)
}

/// The same in JSON.
#[must_use]
pub fn every_other_in_json(resources: usize) -> Vec<u8> {
    let required = format!("{{\"key\":\"{REQUIRED}\",\"value\":{{\"stringValue\":\"a\"}}}}");
    let scopes = "[{\"logRecords\":[{}]}]";
    let two = format!(
        "{{\"resource\":{{\"attributes\":[{required}]}},\"scopeLogs\":{scopes}}},{{\"scopeLogs\":{scopes}}}"
    );
    format!("{{\"resourceLogs\":[{}]}}", vec![two; resources / 2].join(",")).into_bytes()
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

/// A profile on a resource whose attributes all have the same long text of the dictionary as their name.
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

/// One log record on a resource with the required attribute and these other attributes, which are already encoded.
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
