//! The names of encodings: in `content-encoding` and `grpc-encoding`, which do not agree, and in a
//! backend's list.

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
/// `confighttp` adds. Its `zlib` is HTTP's `deflate`.
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

/// `grpc-encoding`: "Content-Coding" in gRPC over HTTP/2. Deflate is the zlib format there too.
/// Snappy is the framing format, which the Collector's `configgrpc` registers under this name.
const GRPC: [(&str, Encoding); 4] = [
    ("gzip", Encoding::Gzip),
    ("deflate", Encoding::Deflate),
    ("zstd", Encoding::Zstd),
    ("snappy", Encoding::SnappyFramed),
];

impl EncodingHeader {
    /// The header's own name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Content => CONTENT_ENCODING,
            Self::Grpc => "grpc-encoding",
        }
    }

    /// The header in which a server lists the values that it accepts for this header, and that list
    /// (RFC 9110, section 12.5.3, and gRPC's compression.md).
    #[must_use]
    pub const fn accepted(self) -> (&'static str, &'static str) {
        match self {
            Self::Content => {
                (ACCEPT_ENCODING, "gzip, deflate, zstd, snappy, x-snappy-framed, lz4, identity")
            }
            Self::Grpc => ("grpc-accept-encoding", "gzip, deflate, zstd, snappy, identity"),
        }
    }

    /// The encoding for a value of this header. Case is ignored (RFC 9110, section 8.4.1), an empty value is identity,
    /// and a list of several encodings is not supported.
    #[must_use]
    pub fn read(self, value: &[u8]) -> Option<Encoding> {
        let value = value.trim_ascii();
        if value.is_empty() || value.eq_ignore_ascii_case(b"identity") {
            return Some(Encoding::Identity);
        }
        let is_named = |(name, _): &&(&str, _)| value.eq_ignore_ascii_case(name.as_bytes());
        self.names().iter().find(is_named).map(|(_, encoding)| *encoding)
    }

    /// The value of this header for an encoding. `None` for identity, for which the header is left out, and for an
    /// encoding that has no name in this header.
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

/// A set of encodings. Identity is always in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encodings(u8);

impl Encodings {
    /// Only identity.
    pub const NONE: Self = Self(0);

    /// The set with one more encoding.
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
