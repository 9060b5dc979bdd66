//! What a host function answers.

use std::fmt;

/// The status that a host function returns to its guest (`proxy_status_t` of the ABI, and
/// `WasmResult` of proxy-wasm-cpp-host's `include/proxy-wasm/wasm_api_impl.h`, which has more of
/// them than the ABI names).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// It was done.
    Ok = 0,
    /// What was asked for is not there.
    NotFound = 1,
    /// An argument is wrong, or the map is not to be had in this phase.
    BadArgument = 2,
    /// A value cannot be written as bytes.
    SerializationFailure = 3,
    /// A value cannot be read.
    ParseFailure = 4,
    /// A pointer leads out of the guest's memory, or the guest could not give memory.
    InvalidMemoryAccess = 6,
    /// A queue has nothing in it.
    Empty = 7,
    /// Shared data has changed since it was read.
    CasMismatch = 8,
    /// The host could not do it.
    InternalFailure = 10,
    /// The connection of a call-out broke.
    BrokenConnection = 11,
    /// The host does not offer it.
    Unimplemented = 12,
}

impl Status {
    /// The number that the guest sees.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?} ({})", self.code())
    }
}
