#![expect(clippy::disallowed_types, reason = "other readers, to hold ours against")]

use std::io::{Read, Write};

use flate2::{
    Compression,
    read::{MultiGzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};
use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// Every encoding that changes the bytes.
const COMPRESSED: [Encoding; 6] = [
    Encoding::Gzip,
    Encoding::Deflate,
    Encoding::Zstd,
    Encoding::SnappyFramed,
    Encoding::SnappyRaw,
    Encoding::Lz4,
];

/// Compresses `bytes` as an encoder used by senders does, for each encoding.
fn encode(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match encoding {
        Encoding::Identity => bytes.to_vec(),
        Encoding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Encoding::Zstd => zstd(bytes, 3, true),
        Encoding::SnappyFramed => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.into_inner().unwrap()
        }
        Encoding::SnappyRaw => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
        Encoding::Lz4 => lz4(bytes, FrameInfo::new()),
    }
}

fn zstd(bytes: &[u8], level: i32, checksum: bool) -> Vec<u8> {
    let mut encoder = ::zstd::Encoder::new(Vec::new(), level).unwrap();
    encoder.include_checksum(checksum).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4(bytes: &[u8], frame: FrameInfo) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Decodes a body with an independent decoder.
fn decode_otherwise(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    match encoding {
        Encoding::Identity => decoded.extend_from_slice(body),
        Encoding::Gzip => {
            MultiGzDecoder::new(body).read_to_end(&mut decoded).unwrap();
        }
        Encoding::Deflate => {
            ZlibDecoder::new(body).read_to_end(&mut decoded).unwrap();
        }
        Encoding::Zstd => decoded = ::zstd::decode_all(body).unwrap(),
        Encoding::SnappyFramed => {
            snap::read::FrameDecoder::new(body).read_to_end(&mut decoded).unwrap();
        }
        Encoding::SnappyRaw => decoded = snap::raw::Decoder::new().decompress_vec(body).unwrap(),
        Encoding::Lz4 => {
            lz4_flex::frame::FrameDecoder::new(body).read_to_end(&mut decoded).unwrap();
        }
    }
    decoded
}

fn is_invalid(decoded: &Result<Vec<u8>, DecodeError>, as_what: Encoding) -> bool {
    matches!(decoded, Err(DecodeError::Invalid { encoding, .. }) if *encoding == as_what)
}

/// Bytes that compress about as well as telemetry: repeated words.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let words = ["source.name", "checkout", "GET /cart", "\x0a\x2c\x08", "4bf92f35", "\0\0\0\0"];
    let words = vec(select(words.to_vec()), 0..30_000);
    prop_oneof![
        words.prop_map(|words| words.concat().into_bytes()),
        vec(any::<u8>(), 0..200_000),
        (any::<u8>(), 0..400_000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_encoded_is_decoded(bytes in text()) {
        for encoding in Encoding::ALL {
            let body = encode(encoding, &bytes);
            prop_assert_eq!(decode(encoding, &body, bytes.len()), Ok(bytes.clone()), "{}", encoding);
            if let Some(less) = bytes.len().checked_sub(1) {
                let too_large = Err(DecodeError::TooLarge { limit: less });
                prop_assert_eq!(decode(encoding, &body, less), too_large, "{}", encoding);
            }
        }
    }

    #[test]
    fn what_the_gate_wraps_is_read_by_others(bytes in text()) {
        for encoding in Encoding::ALL {
            let body = wrap(encoding, &bytes, Room::ANY).unwrap();
            prop_assert_eq!(&decode_otherwise(encoding, &body), &bytes, "{}", encoding);
            prop_assert_eq!(decode(encoding, &body, bytes.len()), Ok(bytes.clone()), "{}", encoding);
        }
    }

    /// Up to three members, of which one byte may be changed and the end cut off.
    #[test]
    fn gzip_is_taken_exactly_if_flate2_takes_it(
        parts in vec((text(), any::<bool>()), 1..4),
        change in any::<Option<(prop::sample::Index, u8)>>(),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let member = |(text, whole_header): &(Vec<u8>, bool)| match whole_header {
            true => gzip_with_a_whole_header(text).0,
            false => encode(Encoding::Gzip, text),
        };
        let mut body = parts.iter().map(member).collect::<Vec<_>>().concat();
        if let Some((at, bits)) = change {
            let at = at.index(body.len());
            body[at] ^= bits;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()).max(1));
        }
        let mut expected = Vec::new();
        let is_valid = MultiGzDecoder::new(&body[..]).read_to_end(&mut expected).is_ok();
        match decode(Encoding::Gzip, &body, 1 << 24) {
            Ok(decoded) => prop_assert!(is_valid && decoded == expected),
            error => prop_assert!(!is_valid && is_invalid(&error, Encoding::Gzip), "{error:?}"),
        }
    }

    #[test]
    fn every_way_to_write_zstd_is_read(
        bytes in text(),
        level in select(vec![-5, 1, 9, 19]),
        checksum: bool,
    ) {
        let body = zstd(&bytes, level, checksum);
        prop_assert_eq!(decode(Encoding::Zstd, &body, bytes.len()), Ok(bytes.clone()));
        // With the size known, it is in the header, and the content can be its own window.
        let body = ::zstd::bulk::compress(&bytes, level).unwrap();
        prop_assert_eq!(decode(Encoding::Zstd, &body, bytes.len()), Ok(bytes.clone()));
    }

    #[test]
    fn every_way_to_write_lz4_is_read(
        bytes in text(),
        linked: bool,
        block_checksums: bool,
        content_checksum: bool,
        sized: bool,
        block in select(vec![BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB]),
    ) {
        let mut frame = FrameInfo::new()
            .block_mode(if linked { BlockMode::Linked } else { BlockMode::Independent })
            .block_checksums(block_checksums)
            .content_checksum(content_checksum)
            .block_size(block);
        if sized {
            frame = frame.content_size(Some(bytes.len() as u64));
        }
        let body = lz4(&bytes, frame);
        prop_assert_eq!(decode(Encoding::Lz4, &body, bytes.len()), Ok(bytes.clone()));
    }

    #[test]
    fn a_body_that_is_cut_off_is_refused(bytes in text(), at in any::<prop::sample::Index>()) {
        // Empty input as a framed stream is zero bytes, so there is nothing to cut off.
        for encoding in COMPRESSED.into_iter().filter(|_| !bytes.is_empty()) {
            let body = encode(encoding, &bytes);
            let cut = &body[..at.index(body.len())];
            let decoded = decode(encoding, cut, 1 << 20);
            // A framed stream has no end mark: it may end between two chunks.
            let ends = encoding == Encoding::SnappyFramed && is_between_chunks(cut);
            prop_assert_eq!(is_invalid(&decoded, encoding), !ends, "{} {:?}", encoding, decoded);
        }
    }

    #[test]
    fn garbage_is_read_without_a_panic(
        bytes in vec(any::<u8>(), 0..2_000),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for encoding in COMPRESSED {
            let _any = decode(encoding, &bytes, 10_000);
            let mut body = encode(encoding, &bytes);
            // Empty input as a framed stream is zero bytes, so there is nothing to flip.
            for (at, with) in flips.iter().filter(|_| !bytes.is_empty()) {
                let at = at.index(body.len());
                body[at] ^= with;
            }
            let _any = decode(encoding, &body, 10_000);
        }
    }
}

fn is_between_chunks(stream: &[u8]) -> bool {
    let mut rest = stream;
    while let Some((header, behind)) = rest.split_first_chunk::<4>() {
        let length = u32::from_le_bytes(*header) >> 8;
        let Some(behind) = behind.get(length as usize..) else { return false };
        rest = behind;
    }
    rest.is_empty()
}

#[test]
fn an_empty_body_is_no_stream() {
    for encoding in Encoding::ALL {
        let decoded = decode(encoding, b"", 100);
        match encoding {
            Encoding::Identity | Encoding::SnappyFramed => assert_eq!(decoded, Ok(Vec::new())),
            _ => assert!(is_invalid(&decoded, encoding), "{encoding}"),
        }
    }
}

#[test]
fn nothing_is_encoded_and_decoded_too() {
    for encoding in COMPRESSED {
        assert_eq!(decode(encoding, &encode(encoding, b""), 0), Ok(Vec::new()), "{encoding}");
    }
}

#[test]
fn another_encoding_is_refused() {
    for said in COMPRESSED {
        for sent in Encoding::ALL.into_iter().filter(|sent| *sent != said) {
            let body = encode(sent, b"some telemetry, some telemetry, some telemetry");
            assert!(is_invalid(&decode(said, &body, 1000), said), "{sent} as {said}");
        }
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    for encoding in COMPRESSED {
        for trailing in [&b"trailing"[..], b"\0", b"\xff"] {
            let body = [&encode(encoding, b"some telemetry"), trailing].concat();
            assert!(
                is_invalid(&decode(encoding, &body, 1000), encoding),
                "{encoding} {trailing:?}"
            );
        }
    }
}

#[test]
fn every_member_and_every_frame_counts() {
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::SnappyFramed, Encoding::Lz4] {
        let parts = [&b"one "[..], b"", b"two"].map(|part| encode(encoding, part));
        let body = parts.concat();
        assert_eq!(decode(encoding, &body, 100), Ok(b"one two".to_vec()), "{encoding}");
        let too_large = Err(DecodeError::TooLarge { limit: 6 });
        assert_eq!(decode(encoding, &body, 6), too_large, "{encoding}");
    }
    for encoding in [Encoding::Deflate, Encoding::SnappyRaw] {
        let body = [encode(encoding, b"one "), encode(encoding, b"two")].concat();
        assert!(is_invalid(&decode(encoding, &body, 100), encoding), "{encoding}");
    }
}

/// One member with every part that its header may have (RFC 1952, section 2.3), and the length of that header.
fn gzip_with_a_whole_header(bytes: &[u8]) -> (Vec<u8>, usize) {
    let plain = encode(Encoding::Gzip, bytes);
    let head = [0x1f, 0x8b, 8, 0b1_1110, 1, 2, 3, 4, 0, 3];
    let mut member = [&head[..], b"\x05\0extra", b"name\0", b"comment\0"].concat();
    let mut crc = flate2::Crc::new();
    crc.update(&member);
    member.extend_from_slice(&crc.sum().to_le_bytes()[..2]);
    let header = member.len();
    member.extend_from_slice(&plain[10..]);
    (member, header)
}

#[test]
fn every_part_of_a_gzip_header_is_passed_and_must_be_whole() {
    let (member, header) = gzip_with_a_whole_header(b"text");
    assert_eq!(decode_otherwise(Encoding::Gzip, &member), b"text");
    assert_eq!(decode(Encoding::Gzip, &member, 100), Ok(b"text".to_vec()));
    for at in (1..header).chain([member.len() - 1]) {
        let cut = decode(Encoding::Gzip, &member[..at], 100).unwrap_err().to_string();
        assert_eq!(cut, "not valid gzip (truncated data)", "{at} bytes");
    }
    for at in 0..header {
        let mut broken = member.clone();
        broken[at] ^= 0x80;
        assert!(is_invalid(&decode(Encoding::Gzip, &broken, 100), Encoding::Gzip), "byte {at}");
    }
}

#[test]
fn skippable_frames_are_passed_and_must_be_whole() {
    let skippable = [&0x184d_2a5a_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"12345"].concat();
    for encoding in [Encoding::Zstd, Encoding::Lz4] {
        let frame = encode(encoding, b"text");
        let body = [&skippable[..], &frame, &skippable].concat();
        assert_eq!(decode(encoding, &body, 100), Ok(b"text".to_vec()), "{encoding}");
        let cut = &body[..body.len() - 1];
        assert!(is_invalid(&decode(encoding, cut, 100), encoding), "{encoding}");
    }
}

#[test]
fn a_checksum_that_does_not_match_is_refused() {
    let bytes = b"some telemetry, some telemetry, some telemetry";
    let framed = FrameInfo::new().content_checksum(true);
    let blocks = FrameInfo::new().block_checksums(true);
    for (encoding, body, from_end) in [
        (Encoding::Gzip, encode(Encoding::Gzip, bytes), 8),
        (Encoding::Deflate, encode(Encoding::Deflate, bytes), 1),
        (Encoding::Zstd, zstd(bytes, 3, true), 1),
        (Encoding::Lz4, lz4(bytes, framed), 1),
        (Encoding::Lz4, lz4(bytes, blocks), 5),
        (Encoding::SnappyFramed, wrap(Encoding::SnappyFramed, b"ab", Room::ANY).unwrap(), 3),
    ] {
        assert!(decode(encoding, &body, 100).is_ok(), "{encoding}");
        let mut broken = body;
        let at = broken.len() - from_end;
        broken[at] ^= 1;
        assert!(is_invalid(&decode(encoding, &broken, 100), encoding), "{encoding}");
    }
    let mut header = encode(Encoding::Lz4, bytes);
    header[6] ^= 1;
    assert!(is_invalid(&decode(Encoding::Lz4, &header, 100), Encoding::Lz4));
}

#[test]
fn a_size_that_lies_is_refused_and_takes_no_memory() {
    let mut gzip = encode(Encoding::Gzip, &[7; 100_000]);
    let end = gzip.len();
    gzip[end - 4..].copy_from_slice(&3_u32.to_le_bytes());
    assert!(is_invalid(&decode(Encoding::Gzip, &gzip, 1 << 20), Encoding::Gzip));
    let too_large = Err(DecodeError::TooLarge { limit: 50_000 });
    assert_eq!(decode(Encoding::Gzip, &gzip, 50_000), too_large);

    // Wrapped zstd has its size in eight bytes, from the sixth byte on.
    let mut zstd = wrap(Encoding::Zstd, b"abc", Room::ANY).unwrap();
    zstd[6] = 4;
    assert!(is_invalid(&decode(Encoding::Zstd, &zstd, 100), Encoding::Zstd));
    zstd[6] = 101;
    assert_eq!(decode(Encoding::Zstd, &zstd, 100), Err(DecodeError::TooLarge { limit: 100 }));

    let sized = FrameInfo::new().content_size(Some(3));
    let mut lz4 = lz4(b"abc", sized);
    for (size, limit) in [(4, None), (101, Some(100))] {
        lz4[6] = size;
        lz4[14] = lz4::header_checksum(&lz4[4..14]);
        let decoded = decode(Encoding::Lz4, &lz4, 100);
        match limit {
            Some(limit) => assert_eq!(decoded, Err(DecodeError::TooLarge { limit })),
            None => assert!(is_invalid(&decoded, Encoding::Lz4)),
        }
    }

    // 268,435,455 as a varint of five bytes.
    let snappy = b"\xff\xff\xff\x7f\0";
    assert!(is_invalid(&decode(Encoding::SnappyRaw, snappy, 1 << 30), Encoding::SnappyRaw));
}

#[test]
fn a_window_may_be_as_long_as_what_is_decoded() {
    const MIB: usize = 1 << 20;
    let mut state = 1_u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    let start: Vec<_> = (0..9 * MIB).map(|_| noise()).collect();
    // The repetition lies further back than the usual window.
    let bytes = [&start, &start[..MIB]].concat();
    let mut encoder = ::zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(24).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.write_all(&bytes).unwrap();
    let frame = encoder.finish().unwrap();
    assert!(frame.len() < 10 * MIB);
    assert!(decode(Encoding::Zstd, &frame, 16 * MIB).as_ref() == Ok(&bytes));
    let twice = [frame.as_slice(), &frame].concat();
    assert!(decode(Encoding::Zstd, &twice, 20 * MIB) == Ok([bytes.as_slice(), &bytes].concat()));
    assert_eq!(
        decode(Encoding::Zstd, &twice, 20 * MIB - 1),
        Err(DecodeError::TooLarge { limit: 20 * MIB - 1 })
    );
    assert!(decode(Encoding::Zstd, &frame, 15 * MIB).is_err_and(|error| {
        error.to_string() == "not valid zstd (window over 8 MiB and over limits.decodedBytes)"
    }));
}

#[test]
fn a_window_over_the_limit_and_a_dictionary_are_refused() {
    let window = |log: u8| {
        let mut frame = wrap(Encoding::Zstd, b"abc", Room::ANY).unwrap();
        frame[5] = (log - 10) << 3;
        decode(Encoding::Zstd, &frame, 100)
    };
    assert_eq!(window(23), Ok(b"abc".to_vec()));
    let refused = window(24).unwrap_err().to_string();
    assert_eq!(refused, "not valid zstd (window over 8 MiB and over limits.decodedBytes)");

    // Three bytes of content with a one-byte size, and a dictionary with the number 7 in another
    // byte.
    let zstd = b"\x28\xb5\x2f\xfd\x21\x07\x03\x19\0\0abc";
    let refused = decode(Encoding::Zstd, zstd, 100).unwrap_err().to_string();
    assert_eq!(refused, "not valid zstd (needs a dictionary, which is not supported)");

    let mut lz4 = b"\x04\x22\x4d\x18\x61\x40\x07\0\0\0_\0\0\0\0".to_vec();
    lz4[10] = lz4::header_checksum(&lz4[4..10]);
    let refused = decode(Encoding::Lz4, &lz4, 100).unwrap_err().to_string();
    assert_eq!(refused, "not valid lz4 (needs a dictionary, which is not supported)");
}

/// The smallest body of each format that gives the largest output.
fn bomb(encoding: Encoding) -> Vec<u8> {
    const SIZE: usize = 1 << 30;
    match encoding {
        Encoding::Gzip | Encoding::Deflate => {
            // A tenth of the size, which is already a hundred thousand bytes.
            encode(encoding, &vec![0; SIZE / 10])
        }
        Encoding::Zstd => {
            // Blocks of one byte, each repeated 128 Ki times.
            let block = [&((1_u32 << 17 << 3) | 1 << 1).to_le_bytes()[..3], b"\0"].concat();
            [&b"\x28\xb5\x2f\xfd\0\x38"[..], &block.repeat(SIZE >> 17)].concat()
        }
        Encoding::Lz4 => {
            let frame = FrameInfo::new().block_size(BlockSize::Max4MB);
            lz4(&vec![0; SIZE / 10], frame)
        }
        Encoding::SnappyFramed | Encoding::SnappyRaw => encode(encoding, &vec![0; SIZE / 10]),
        Encoding::Identity => vec![0; SIZE / 10],
    }
}

#[test]
fn a_bomb_ends_at_the_limit() {
    for encoding in COMPRESSED {
        let body = bomb(encoding);
        let too_large = Err(DecodeError::TooLarge { limit: 1 << 16 });
        assert_eq!(decode(encoding, &body, 1 << 16), too_large, "{encoding}");
    }
}

#[test]
fn more_than_deflate_could_make_of_it_is_too_large() {
    let mut body = bomb(Encoding::Zstd);
    // A little over 6 MiB from 6 bytes and 4 for each 128 KiB.
    body.truncate(6 + 4 * 49);
    let end = body.len();
    body[end - 4] |= 1;
    let too_large = Err(DecodeError::TooLarge { limit: ALWAYS_ALLOWED });
    assert_eq!(decode(Encoding::Zstd, &body, 64 << 20), too_large);
    body.truncate(6 + 4 * 32);
    let end = body.len();
    body[end - 4] |= 1;
    assert_eq!(decode(Encoding::Zstd, &body, 64 << 20), Ok(vec![0; ALWAYS_ALLOWED]));
}

#[test]
fn names_are_read_without_case_and_each_header_has_its_own() {
    use Encoding::{Deflate, Gzip, Identity, Lz4, SnappyFramed, SnappyRaw, Zstd};
    for (value, over_http, over_grpc) in [
        (&b""[..], Some(Identity), Some(Identity)),
        (b"Identity", Some(Identity), Some(Identity)),
        (b" GZIP ", Some(Gzip), Some(Gzip)),
        (b"x-gzip", Some(Gzip), None),
        (b"deflate", Some(Deflate), Some(Deflate)),
        (b"zlib", Some(Deflate), None),
        (b"zstd", Some(Zstd), Some(Zstd)),
        (b"snappy", Some(SnappyRaw), Some(SnappyFramed)),
        (b"X-Snappy-Framed", Some(SnappyFramed), None),
        (b"lz4", Some(Lz4), None),
        (b"gzip, gzip", None, None),
        (b"br", None, None),
        (b"\xff", None, None),
    ] {
        assert_eq!(EncodingHeader::Content.read(value), over_http, "{value:?}");
        assert_eq!(EncodingHeader::Grpc.read(value), over_grpc, "{value:?}");
    }
}

#[test]
fn what_a_header_says_it_accepts_it_reads() {
    for header in [EncodingHeader::Content, EncodingHeader::Grpc] {
        let (_, accepted) = header.accepted();
        let read = |name: &str| header.read(name.as_bytes()).unwrap();
        let mut found: Vec<_> = accepted.split(", ").map(read).collect();
        found.dedup();
        let all = if header == EncodingHeader::Grpc { 5 } else { Encoding::ALL.len() };
        assert_eq!(found.len(), all, "{accepted}");
    }
    for encoding in Encoding::ALL {
        assert_eq!(EncodingHeader::Content.read(encoding.as_str().as_bytes()), Some(encoding));
    }
}

#[test]
fn a_set_has_what_was_put_into_it_and_identity() {
    let set = Encodings::NONE.with(Encoding::Zstd).with(Encoding::Lz4);
    for encoding in Encoding::ALL {
        let is_in = matches!(encoding, Encoding::Identity | Encoding::Zstd | Encoding::Lz4);
        assert_eq!(set.contains(encoding), is_in, "{encoding}");
    }
}

#[test]
fn snappy_is_told_apart_by_its_first_bytes() {
    for (body, expected) in [
        (encode(Encoding::SnappyFramed, b"text"), Encoding::SnappyFramed),
        (encode(Encoding::SnappyRaw, b"text"), Encoding::SnappyRaw),
        (Vec::new(), Encoding::SnappyRaw),
    ] {
        assert_eq!(Encoding::SnappyRaw.of_body(&body), expected);
        assert_eq!(Encoding::Gzip.of_body(&body), Encoding::Gzip);
    }
    // Read as one block, the identifier would copy from before the start of the output.
    let identifier = snappy::STREAM_IDENTIFIER;
    let as_block = decode(Encoding::SnappyRaw, &identifier, 1000);
    assert!(is_invalid(&as_block, Encoding::SnappyRaw));
}
