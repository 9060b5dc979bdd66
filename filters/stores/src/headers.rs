//! Headers with which a sender could steer a store.

/// A header that changes what a store does with a request. The gate removes it from every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardedHeader {
    /// The name in lower case. A name that ends in `*` stands for all names with this prefix, including future ones.
    pub name: &'static str,
    /// What the header does, which is why senders must not set it:
    /// `names the user within the tenant`.
    pub effect: &'static str,
}

impl GuardedHeader {
    pub(crate) const fn new(name: &'static str, effect: &'static str) -> Self {
        Self { name, effect }
    }
}
