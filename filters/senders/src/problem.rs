//! What is wrong with a configuration.

/// One thing that is wrong with a configuration, and where it is.
///
/// A configuration is checked to its end, so its author sees every problem in one go.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ConfigProblem {
    /// Where it is, in the configuration's own names: `senders.allow[2].until`.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl ConfigProblem {
    /// A problem at `path`. `message` takes whatever can be shown, an error above all.
    pub fn new(path: impl Into<String>, message: impl ToString) -> Self {
        Self { path: path.into(), message: message.to_string() }
    }
}
