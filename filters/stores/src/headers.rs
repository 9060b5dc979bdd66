//! Headers by which a sender could steer a store.

/// A header that changes what a store does with a request, and so is taken from every sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardedHeader {
    /// Its name in lower case. One that ends in `*` is every name that begins so, present and future.
    pub name: &'static str,
    /// What it does, and so why no sender may bring it: `names the user within the tenant`.
    pub effect: &'static str,
}

impl GuardedHeader {
    pub(crate) const fn new(name: &'static str, effect: &'static str) -> Self {
        Self { name, effect }
    }
}
