//! What reading the attributes of a request takes beside its bytes.

use std::rc::Rc;

use sluice_wire::{Malformed, OverLimit, ReadLimits, Unreadable};

use crate::{fault, strings::Strings};

/// What reading an attribute takes beside its bytes.
#[derive(Clone, Debug)]
pub(crate) struct ReadContext<'a> {
    most_attributes: usize,
    most_bytes: usize,
    most_depth: usize,
    /// How many more levels of maps may be read.
    depth: usize,
    /// What profiles keep their texts in; no other signal has one.
    strings: Option<Rc<Strings<'a>>>,
}

impl<'a> ReadContext<'a> {
    pub(crate) const fn new(limits: ReadLimits, strings: Option<Rc<Strings<'a>>>) -> Self {
        let ReadLimits { attributes, bytes: most_bytes, depth, .. } = limits;
        Self { most_attributes: attributes, most_bytes, most_depth: depth, depth, strings }
    }

    /// How many attributes may be in one place.
    #[inline]
    pub(crate) const fn most_attributes(&self) -> usize {
        self.most_attributes
    }

    /// The text that a reference at offset `at` stands for; none in any signal but profiles.
    ///
    /// # Errors
    /// If there is no such text (what a backend makes of that is anybody's guess), or if texts have
    /// been referred to too often.
    pub(crate) fn text(&self, index: u64, at: usize) -> Result<&'a [u8], Unreadable> {
        let Some(strings) = &self.strings else { return Ok(&[]) };
        let text = strings.get(index).ok_or(Malformed { fault: fault::REFERENCE, at })?;
        strings.refer_to(text, self.most_bytes)?;
        Ok(text)
    }

    /// Whether attributes may refer to texts.
    #[inline]
    pub(crate) const fn has_strings(&self) -> bool {
        self.strings.is_some()
    }

    /// One more attribute of those that may still come.
    ///
    /// # Errors
    /// If that is too many.
    #[inline]
    pub(crate) fn spend(&self, left: &mut usize) -> Result<(), OverLimit> {
        let limit = self.most_attributes;
        *left = left.checked_sub(1).ok_or(OverLimit::Attributes { limit })?;
        Ok(())
    }

    /// The same, one level further down.
    ///
    /// # Errors
    /// If that is too deep.
    pub(crate) fn below(&self) -> Result<Self, OverLimit> {
        let limit = self.most_depth;
        let depth = self.depth.checked_sub(1).ok_or(OverLimit::Depth { limit })?;
        Ok(Self { depth, ..self.clone() })
    }
}
