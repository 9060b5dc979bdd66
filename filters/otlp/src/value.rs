//! The value of an attribute (`AnyValue` in `opentelemetry/proto/common/v1/common.proto`).

use std::borrow::Cow;

/// The value of an attribute, as far as a rule looks at it; a map's entries are read as `Entries`.
#[derive(Clone, Debug)]
pub enum ValueOf<'a, Entries> {
    /// An `ArrayValue`.
    Array {
        /// Whether no value is in it.
        empty: bool,
    },
    /// A boolean.
    Bool,
    /// Raw bytes.
    Bytes {
        /// Whether there are none.
        empty: bool,
    },
    /// A floating-point number.
    Double,
    /// An integer.
    Int,
    /// A `KeyValueList`.
    KeyValues {
        /// Whether no pair is in it.
        empty: bool,
        /// Its pairs.
        entries: Entries,
    },
    /// Text; in protobuf, nothing has checked that it is UTF-8.
    String(Cow<'a, [u8]>),
    /// No member is set, or one that a receiver treats as absent (`string_value_strindex` in
    /// another signal than profiles).
    Unset,
}

impl<'a, Entries> ValueOf<'a, Entries> {
    /// Whether there is nothing in it: no value, or text, bytes or a list of no length. A number
    /// and a boolean are always something, `0` and `false` too.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Array { empty } | Self::Bytes { empty } | Self::KeyValues { empty, .. } => *empty,
            Self::String(text) => text.is_empty(),
            Self::Bool | Self::Double | Self::Int => false,
            Self::Unset => true,
        }
    }

    /// The same value, its entries made into something else.
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
