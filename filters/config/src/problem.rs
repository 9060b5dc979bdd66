//! What is wrong with a configuration, and where.

use std::cell::Cell;

/// One problem in a configuration, and where it is.
///
/// The whole configuration is checked before problems are reported, so its author sees all of them
/// at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ConfigProblem {
    /// The place, in the configuration's own names: `senders.allow[2].until`.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}

impl ConfigProblem {
    /// A problem at `path`. `message` can be anything that can be displayed, such as an error.
    pub fn new(path: impl Into<String>, message: impl ToString) -> Self {
        Self { path: path.into(), message: message.to_string() }
    }
}

/// The problems found so far, in the order in which they were found.
///
/// Problems are added through a [`Place`]. The collector is shared, like rustc's `DiagCtxt`, so
/// several places can be in use at once.
///
/// ```
/// use sluice_config::Problems;
///
/// let problems = Problems::default();
/// let entry = problems.at("senders").at("allow").index(2);
/// entry.at("until").add("not a date");
/// assert!(entry.has_problems());
/// let found = problems.into_result(Some(())).unwrap_err();
/// assert_eq!(found[0].to_string(), "senders.allow[2].until: not a date");
/// ```
#[derive(Default)]
pub struct Problems {
    found: Cell<Vec<ConfigProblem>>,
}

impl Problems {
    /// The place of a top-level key, or of the whole configuration under the name that messages
    /// use.
    pub fn at(&self, key: impl Into<String>) -> Place<'_> {
        Place { problems: self, path: key.into() }
    }

    /// Whether no problem has been found so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.look(<[_]>::is_empty)
    }

    /// Returns `compiled` if there is a value and no problem was found.
    ///
    /// # Errors
    /// All problems, in the order in which they were found.
    pub fn into_result<T>(self, compiled: Option<T>) -> Result<T, Vec<ConfigProblem>> {
        let found = self.found.into_inner();
        match compiled {
            Some(compiled) if found.is_empty() => Ok(compiled),
            Some(_) | None => Err(found),
        }
    }

    fn push(&self, problem: ConfigProblem) {
        let mut found = self.found.take();
        found.push(problem);
        self.found.set(found);
    }

    fn look<T>(&self, at: impl FnOnce(&[ConfigProblem]) -> T) -> T {
        let found = self.found.take();
        let seen = at(&found);
        self.found.set(found);
        seen
    }
}

/// A place in the configuration to which problems are added.
#[derive(Clone)]
pub struct Place<'p> {
    problems: &'p Problems,
    path: String,
}

impl Place<'_> {
    /// The place of `key` in the object at this place.
    #[must_use]
    pub fn at(&self, key: &str) -> Self {
        Self { problems: self.problems, path: format!("{}.{key}", self.path) }
    }

    /// The place of an element of the list at this place, counted from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self { problems: self.problems, path: format!("{}[{index}]", self.path) }
    }

    /// This place in the configuration's own names: `senders.allow[2]`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Adds a problem here. `message` can be anything that can be displayed, such as an error.
    pub fn add(&self, message: impl ToString) {
        self.problems.push(ConfigProblem::new(self.path.as_str(), message));
    }

    /// Returns the value, or `None` after adding the error as a problem here. Whatever else was
    /// compiled is discarded in the end if there is a problem.
    pub fn take<T, E: ToString>(&self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// Whether there is a problem here or below this place.
    #[must_use]
    pub fn has_problems(&self) -> bool {
        self.problems.look(|found| found.iter().any(|problem| self.covers(&problem.path)))
    }

    fn covers(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.path.as_str());
        below.is_some_and(|below| below.is_empty() || below.starts_with(['.', '[']))
    }
}

/// Compiles a single section, at `path`.
///
/// # Errors
/// All problems in the section.
pub fn check<T>(
    path: &str,
    compile: impl FnOnce(&Place<'_>) -> Option<T>,
) -> Result<T, Vec<ConfigProblem>> {
    let problems = Problems::default();
    let compiled = compile(&problems.at(path));
    problems.into_result(compiled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_found_at_its_place_and_in_order() {
        let refused = check("senders", |senders| {
            let allow = senders.at("allow");
            let entry = allow.index(2);
            assert_eq!(entry.take(Err::<(), _>("no")), None);
            entry.at("until").add("not a date");
            assert_eq!(allow.take(Ok::<_, &str>(7)), Some(7));
            senders.add("all of it");
            Some(())
        });
        let found: Vec<_> = refused.unwrap_err().iter().map(ToString::to_string).collect();
        let expected =
            ["senders.allow[2]: no", "senders.allow[2].until: not a date", "senders: all of it"];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_wrong_below_is_wrong_here_and_not_beside() {
        let problems = Problems::default();
        let records = problems.at("records");
        assert!(!records.has_problems() && problems.is_empty());
        records.at("stamp").index(0).add("no");
        assert!(records.has_problems() && records.at("stamp").has_problems());
        for beside in [problems.at("record"), records.at("stamp").index(1), records.at("stam")] {
            assert!(!beside.has_problems(), "{}", beside.path());
        }
    }

    #[test]
    fn a_section_that_was_not_compiled_is_refused_without_a_problem_too() {
        assert_eq!(check("a", |_| None::<()>), Err(Vec::new()));
        assert_eq!(check("a", |_| Some(1)), Ok(1));
    }
}
