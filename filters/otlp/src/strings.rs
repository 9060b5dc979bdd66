//! The texts of a profiles export, which keys and values refer to by number
//! (`opentelemetry/proto/profiles/v1development/profiles.proto`, `ProfilesDictionary`).

use std::cell::Cell;

use sluice_wire::{OverLimit, Room, Unreadable};

/// `ProfilesDictionary.string_table`, in JSON each with its escapes; and how many bytes of long ones
/// have been referred to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings<'a>(Vec<&'a [u8]>, Cell<usize>);

impl<'a> Strings<'a> {
    /// Adds one behind the others, of which there are at most `limit`.
    ///
    /// # Errors
    /// If that is too many, or there is no room for it.
    pub(crate) fn push(
        &mut self,
        string: &'a [u8],
        limit: u64,
        room: &mut Room,
    ) -> Result<(), Unreadable> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        if self.0.len() >= most {
            return Err(OverLimit::Records { limit }.into());
        }
        room.grow(&mut self.0, 1, most)?;
        self.0.push(string);
        Ok(())
    }

    /// Counts a reference to a string. A few bytes refer to any, however long it is, so what is
    /// longer than names are is read as often as `limit` bytes hold it.
    ///
    /// # Errors
    /// If that is over.
    pub(crate) fn refer_to(&self, string: &[u8], limit: usize) -> Result<(), OverLimit> {
        /// What a reference may read without being counted, in bytes.
        const SHORT: usize = 256;
        let long = string.len().saturating_sub(SHORT);
        self.1.set(self.1.get().saturating_add(long));
        if self.1.get() > limit { Err(OverLimit::References { limit }) } else { Ok(()) }
    }

    /// The string at an index, if there is one.
    pub(crate) fn get(&self, index: u64) -> Option<&'a [u8]> {
        usize::try_from(index).ok().and_then(|index| self.0.get(index)).copied()
    }
}
