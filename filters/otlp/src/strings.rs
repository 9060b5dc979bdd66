//! The strings of a profiles export, to which keys and values refer by number
//! (`opentelemetry/proto/profiles/v1development/profiles.proto`, `ProfilesDictionary`).

use std::cell::Cell;

use sluice_wire::{OverLimit, Room, Unreadable};

/// `ProfilesDictionary.string_table` (in JSON with escapes), and how many bytes of long strings
/// have been read through references.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strings<'a>(Vec<&'a [u8]>, Cell<usize>);

impl<'a> Strings<'a> {
    /// Appends a string; at most `limit` are allowed.
    ///
    /// # Errors
    /// If that is too many, or there is no memory for it.
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

    /// Counts a reference to a string. A reference of a few bytes can refer to a string of any
    /// length, so the bytes of strings longer than usual names are counted, up to `limit`.
    ///
    /// # Errors
    /// If that exceeds the limit.
    pub(crate) fn refer_to(&self, string: &[u8], limit: usize) -> Result<(), OverLimit> {
        /// Bytes of each referenced string that are not counted.
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
