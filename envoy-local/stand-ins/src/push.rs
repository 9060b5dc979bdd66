//! A push as a backend's rules see it, and the result of these rules.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version};

use crate::{answer::Answer, store::Record};

/// A request whose body has been read.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// A request's body, as received.
#[derive(Debug)]
pub(crate) enum Body {
    Whole(Bytes),
    /// The body exceeds the backend's limit. It was read to its end and discarded.
    TooLarge,
}

impl Push {
    /// The first value of a header, as Go's `Header.Get` returns it: empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &[u8] {
        self.headers.get(name).map(|value| value.as_bytes().trim_ascii()).unwrap_or_default()
    }
}

/// The result of a push.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) answer: Answer,
    /// The tenant under which `taken` is stored, once it is known.
    pub(crate) tenant: Option<String>,
    /// The decompressed body, if the backend decompressed it.
    pub(crate) decoded: Option<Bytes>,
    /// What is stored. Some records may be stored even if the answer is an error, as Loki and Mimir do.
    pub(crate) taken: Vec<Record>,
}

impl Verdict {
    /// An answer with nothing stored.
    pub(crate) fn refused(answer: Answer) -> Self {
        Self { answer, tenant: None, decoded: None, taken: Vec::new() }
    }

    /// The same result with the tenant.
    pub(crate) fn of(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.to_owned());
        self
    }

    /// The same result with the decompressed body.
    pub(crate) fn having_read(mut self, decoded: &Bytes) -> Self {
        self.decoded = Some(decoded.clone());
        self
    }

    /// The same result with records to store.
    pub(crate) fn taking(mut self, records: Vec<Record>) -> Self {
        self.taken = records;
        self
    }
}
