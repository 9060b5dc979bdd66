//! Parts of a record that no reader of OTLP has to take: what a backend may refuse a whole request for,
//! though the record says as much without it.

/// How many parts of a record are odd: no reader of OTLP has to take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Attributes whose key the policy does not want.
    pub attributes: u64,
    /// Exemplars without a value, or with an id that is not valid.
    pub exemplars: u64,
    /// Ids of a log record that are not valid: neither as long as OTLP has them, nor empty.
    pub ids: u64,
}

/// One of [`Parts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Attribute,
    Exemplar,
    Id,
}

impl Parts {
    pub(crate) const fn add(&mut self, part: Part) {
        let count = match part {
            Part::Attribute => &mut self.attributes,
            Part::Exemplar => &mut self.exemplars,
            Part::Id => &mut self.ids,
        };
        *count = count.saturating_add(1);
    }
}
