//! The context for reading the attributes of a request.

use std::rc::Rc;

use sluice_wire::{Malformed, OverLimit, ReadLimits, Unreadable};

use crate::{fault, strings::Strings};

/// What is needed to read an attribute, beside its bytes.
#[derive(Clone, Debug)]
pub(crate) struct ReadContext<'a> {
    most_attributes: usize,
    most_bytes: usize,
    most_depth: usize,
    /// How many more levels of maps may be read.
    depth: usize,
    /// The string table of a profiles export; other signals have none.
    strings: Option<Rc<Strings<'a>>>,
}

impl<'a> ReadContext<'a> {
    pub(crate) const fn new(limits: ReadLimits, strings: Option<Rc<Strings<'a>>>) -> Self {
        let ReadLimits { attributes, bytes: most_bytes, depth, .. } = limits;
        Self { most_attributes: attributes, most_bytes, most_depth: depth, depth, strings }
    }

    /// The largest number of attributes in one place.
    #[inline]
    pub(crate) const fn most_attributes(&self) -> usize {
        self.most_attributes
    }

    /// Returns the string that a reference at offset `at` refers to. Only profiles have such
    /// strings.
    ///
    /// # Errors
    /// If there is no such string (backends treat such a reference in unknown ways), or if too much
    /// text has been read through references.
    pub(crate) fn text(&self, index: u64, at: usize) -> Result<&'a [u8], Unreadable> {
        let Some(strings) = &self.strings else { return Ok(&[]) };
        let text = strings.get(index).ok_or(Malformed { fault: fault::REFERENCE, at })?;
        strings.refer_to(text, self.most_bytes)?;
        Ok(text)
    }

    /// Whether attributes may refer to strings.
    #[inline]
    pub(crate) const fn has_strings(&self) -> bool {
        self.strings.is_some()
    }

    /// Counts one more attribute.
    ///
    /// # Errors
    /// If that is too many.
    #[inline]
    pub(crate) fn spend(&self, left: &mut usize) -> Result<(), OverLimit> {
        let limit = self.most_attributes;
        *left = left.checked_sub(1).ok_or(OverLimit::Attributes { limit })?;
        Ok(())
    }

    /// The context for one level further down.
    ///
    /// # Errors
    /// If that is too deep.
    pub(crate) fn below(&self) -> Result<Self, OverLimit> {
        let limit = self.most_depth;
        let depth = self.depth.checked_sub(1).ok_or(OverLimit::Depth { limit })?;
        Ok(Self { depth, ..self.clone() })
    }
}
