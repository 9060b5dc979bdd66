//! The value of an attribute (`AnyValue` in `opentelemetry/proto/common/v1/common.proto`).

use std::borrow::Cow;

/// The value of an attribute, as far as rules look at it. The entries of a map are read as
/// `Entries`.
#[derive(Clone, Debug)]
pub enum ValueOf<'a, Entries> {
    /// An `ArrayValue`.
    Array {
        /// Whether it contains no value.
        empty: bool,
    },
    /// A boolean.
    Bool,
    /// Raw bytes.
    Bytes {
        /// Whether it is empty.
        empty: bool,
    },
    /// A floating-point number.
    Double,
    /// An integer.
    Int,
    /// A `KeyValueList`.
    KeyValues {
        /// Whether it contains no pair.
        empty: bool,
        /// Its pairs.
        entries: Entries,
    },
    /// A string. In protobuf, nothing has checked that it is UTF-8.
    String(Cow<'a, [u8]>),
    /// No member is set, or only one that receivers ignore (`string_value_strindex` in signals
    /// other than profiles).
    Unset,
}

impl<'a, Entries> ValueOf<'a, Entries> {
    /// Whether the value is empty: unset, or a string, bytes or a list of length 0. Numbers and
    /// booleans are never empty, even `0` and `false`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Array { empty } | Self::Bytes { empty } | Self::KeyValues { empty, .. } => *empty,
            Self::String(text) => text.is_empty(),
            Self::Bool | Self::Double | Self::Int => false,
            Self::Unset => true,
        }
    }

    /// The same value, with its entries converted.
    #[inline]
    pub(crate) fn map_entries<Other>(
        self,
        map: impl FnOnce(Entries) -> Other,
    ) -> ValueOf<'a, Other> {
        match self {
            Self::Array { empty } => ValueOf::Array { empty },
            Self::Bool => ValueOf::Bool,
            Self::Bytes { empty } => ValueOf::Bytes { empty },
            Self::Double => ValueOf::Double,
            Self::Int => ValueOf::Int,
            Self::KeyValues { empty, entries } => {
                ValueOf::KeyValues { empty, entries: map(entries) }
            }
            Self::String(text) => ValueOf::String(text),
            Self::Unset => ValueOf::Unset,
        }
    }
}
