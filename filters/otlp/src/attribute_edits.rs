//! What is to change in attributes, and how it is written.

use std::{ops::Range, rc::Rc};

use sluice_wire::{NoMemory, memory::push};

use crate::attributes::Attribute;

/// What is to change in the attributes of one resource or scope. It holds no copy of what the sender
/// wrote.
#[derive(Clone, Debug, Default)]
pub struct AttributeEdits<'a> {
    pub(crate) taken: Vec<Range<usize>>,
    pub(crate) put: Vec<Put<'a>>,
}

/// An attribute to be put somewhere, in the request's own format.
#[derive(Clone, Debug)]
pub enum Put<'a> {
    /// As [`Format::attribute`](crate::Format::attribute) has written it.
    Made(Rc<[u8]>),
    /// As it is [written](Attribute::written) in the request.
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
    /// Takes an attribute away, if that has not been done yet.
    ///
    /// # Errors
    /// If there is no memory to note it.
    pub fn take(&mut self, attribute: &Attribute<'_>) -> Result<(), NoMemory> {
        push(&mut self.taken, attribute.span())
    }

    /// Puts an attribute behind the others.
    ///
    /// # Errors
    /// If there is no memory to note it.
    pub fn put(&mut self, attribute: Put<'a>) -> Result<(), NoMemory> {
        push(&mut self.put, attribute)
    }

    /// Whether nothing is to change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.put.is_empty()
    }

    /// Brings what is taken into the order in which it lies, each once.
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
