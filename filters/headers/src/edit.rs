//! Changes to a map of headers, as data.

/// One change to a map of headers; only the module carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Every copy of the header goes.
    Remove(String),
    /// Every copy goes and one takes their place: the first of several copies wins in Loki, and
    /// two are an error in Tempo.
    Set(String, String),
}

impl HeaderEdit {
    /// An edit that removes every copy of `name`.
    #[must_use]
    pub fn remove(name: &str) -> Self {
        Self::Remove(name.to_owned())
    }

    /// An edit that leaves exactly one `name`, with `value`.
    #[must_use]
    pub fn set(name: &str, value: impl Into<String>) -> Self {
        Self::Set(name.to_owned(), value.into())
    }
}
