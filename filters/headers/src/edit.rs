//! Changes to a map of headers, as data.

/// One change to a map of headers. Only the module carries it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Remove every copy of the header.
    Remove(String),
    /// Replace every copy with one, because Loki uses the first of several copies, and Tempo
    /// refuses two.
    Set(String, String),
}

impl HeaderEdit {
    /// An edit that removes every copy of `name`.
    #[must_use]
    pub fn remove(name: &str) -> Self {
        Self::Remove(name.to_owned())
    }

    /// The header that it changes.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Remove(name) | Self::Set(name, _) => name,
        }
    }

    /// An edit that leaves exactly one copy of `name`, with `value`.
    #[must_use]
    pub fn set(name: &str, value: impl Into<String>) -> Self {
        Self::Set(name.to_owned(), value.into())
    }
}
