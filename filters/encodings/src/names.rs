//! How encodings are called: on the wire, in two headers that do not agree, and in a backend's list.

use sluice_headers::names::{ACCEPT_ENCODING, CONTENT_ENCODING};

use crate::Encoding;

/// A header that names an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodingHeader {
    /// `content-encoding`, of a body over HTTP.
    Content,
    /// `grpc-encoding`, of the messages of a gRPC body that are flagged as compressed.
    Grpc,
}

/// `content-encoding`: RFC 9110, section 8.4.1, RFC 8878, section 7.2, and what the Collector's
/// `confighttp` adds to them. What it calls `zlib` is what HTTP calls `deflate`.
const CONTENT: [(&str, Encoding); 8] = [
    ("gzip", Encoding::Gzip),
    ("x-gzip", Encoding::Gzip),
    ("deflate", Encoding::Deflate),
    ("zlib", Encoding::Deflate),
    ("zstd", Encoding::Zstd),
    ("snappy", Encoding::SnappyRaw),
    ("x-snappy-framed", Encoding::SnappyFramed),
    ("lz4", Encoding::Lz4),
];

/// `grpc-encoding`: "Content-Coding" in gRPC over HTTP/2. Deflate is zlib's format there too, and
/// snappy is the framing format, which is what the Collector's `configgrpc` registers under it.
const GRPC: [(&str, Encoding); 4] = [
    ("gzip", Encoding::Gzip),
    ("deflate", Encoding::Deflate),
    ("zstd", Encoding::Zstd),
    ("snappy", Encoding::SnappyFramed),
];

impl EncodingHeader {
    /// Its own name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Content => CONTENT_ENCODING,
            Self::Grpc => "grpc-encoding",
        }
    }

    /// The header by which a server says what this one may have as its value (RFC 9110, section
    /// 12.5.3, and gRPC's compression.md), and what that is.
    #[must_use]
    pub const fn accepted(self) -> (&'static str, &'static str) {
        match self {
            Self::Content => {
                (ACCEPT_ENCODING, "gzip, deflate, zstd, snappy, x-snappy-framed, lz4, identity")
            }
            Self::Grpc => ("grpc-accept-encoding", "gzip, deflate, zstd, snappy, identity"),
        }
    }

    /// The encoding that a value of this header names. Names are compared without case (RFC 9110,
    /// section 8.4.1); an empty value is identity; a list of several encodings is none that is known.
    #[must_use]
    pub fn read(self, value: &[u8]) -> Option<Encoding> {
        let value = value.trim_ascii();
        if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
            return Some(Encoding::Identity);
        }
        let is_named = |(name, _): &&(&str, _)| value.eq_ignore_ascii_case(name.as_bytes());
        self.names().iter().find(is_named).map(|(_, encoding)| *encoding)
    }

    /// The value of this header that names an encoding; `None` for identity, which is said by leaving
    /// the header out, and for what the header has no name for.
    #[must_use]
    pub fn write(self, encoding: Encoding) -> Option<&'static str> {
        self.names().iter().find(|(_, named)| *named == encoding).map(|(name, _)| *name)
    }

    const fn names(self) -> &'static [(&'static str, Encoding)] {
        match self {
            Self::Content => &CONTENT,
            Self::Grpc => &GRPC,
        }
    }
}

/// A set of encodings. Identity is in every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encodings(u8);

impl Encodings {
    /// Identity alone.
    pub const NONE: Self = Self(0);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, encoding: Encoding) -> Self {
        Self(self.0 | 1 << encoding as u8)
    }

    /// Whether the set has this encoding.
    #[must_use]
    pub const fn contains(self, encoding: Encoding) -> bool {
        matches!(encoding, Encoding::Identity) || self.0 & (1 << encoding as u8) != 0
    }
}
