//! The result of a host function.

use std::fmt;

/// The status that a host function returns to its guest (`proxy_status_t` of the ABI, and `WasmResult` of
/// proxy-wasm-cpp-host's `include/proxy-wasm/wasm_api_impl.h`, which has more values than the ABI names).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Success.
    Ok = 0,
    /// Not found.
    NotFound = 1,
    /// An argument is wrong, or the map is not accessible in this phase.
    BadArgument = 2,
    /// A value cannot be serialized.
    SerializationFailure = 3,
    /// A value cannot be parsed.
    ParseFailure = 4,
    /// A pointer is outside the guest's memory, or the guest could not allocate memory.
    InvalidMemoryAccess = 6,
    /// The queue is empty.
    Empty = 7,
    /// Shared data has changed since the guest read it.
    CasMismatch = 8,
    /// The host failed.
    InternalFailure = 10,
    /// The connection of a call-out broke.
    BrokenConnection = 11,
    /// Not supported by the host.
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
