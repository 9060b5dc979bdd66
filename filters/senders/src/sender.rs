//! Who a SAN says the sender is.

/// What one SAN states of a sender, read by one pattern.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Sender {
    pub(crate) namespace: String,
    pub(crate) service_account: Option<String>,
    pub(crate) trust_domain: Option<String>,
}

impl Sender {
    /// The namespace, a DNS label in lower case.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The Kubernetes service account, if the pattern has one.
    #[must_use]
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    /// The SPIFFE trust domain, if the pattern has one.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&str> {
        self.trust_domain.as_deref()
    }
}
