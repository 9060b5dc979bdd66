//! Changes to attributes, and how they are written.

use std::{ops::Range, rc::Rc};

use sluice_wire::{NoMemory, memory::push};

use crate::attributes::Attribute;

/// The changes to the attributes of one resource or scope. Holds no copy of the sender's data.
#[derive(Clone, Debug, Default)]
pub struct AttributeEdits<'a> {
    pub(crate) taken: Vec<Range<usize>>,
    pub(crate) put: Vec<Put<'a>>,
}

/// An attribute to insert, in the request's own format.
#[derive(Clone, Debug)]
pub enum Put<'a> {
    /// Written by [`Format::attribute`](crate::Format::attribute).
    Made(Rc<[u8]>),
    /// Already in the request, as it is [written](Attribute::written) there.
    Moved(&'a [u8]),
}

impl Put<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Made(bytes) => bytes,
            Self::Moved(bytes) => bytes,
        }
    }
}

impl<'a> AttributeEdits<'a> {
    /// Removes an attribute, unless it has been removed already.
    ///
    /// # Errors
    /// If there is no memory to record it.
    pub fn take(&mut self, attribute: &Attribute<'_>) -> Result<(), NoMemory> {
        push(&mut self.taken, attribute.span())
    }

    /// Adds an attribute after the others.
    ///
    /// # Errors
    /// If there is no memory to record it.
    pub fn put(&mut self, attribute: Put<'a>) -> Result<(), NoMemory> {
        push(&mut self.put, attribute)
    }

    /// Whether there are no changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.put.is_empty()
    }

    /// Sorts the removed attributes into the order of the request, without duplicates.
    pub(crate) fn sort(&mut self) {
        if !self.taken.is_sorted_by(|one, next| one.start < next.start) {
            self.taken.sort_unstable_by_key(|taken| taken.start);
            self.taken.dedup();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.taken.clear();
        self.put.clear();
    }
}
