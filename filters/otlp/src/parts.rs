//! Parts of a record that no reader of OTLP has to accept. A backend may refuse a whole request because of them,
//! although the record is as useful without them.

/// Counts of a record's odd parts. Odd means: no reader of OTLP has to accept them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Attributes whose key the policy does not want.
    pub attributes: u64,
    /// Exemplars without a value, or with an invalid id.
    pub exemplars: u64,
    /// Invalid ids of a log record: neither of the right length nor empty.
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
