//! The strings of a profiles export.

use sluice_wire::{Nested, ReadLimits, Reader, Room, Unreadable, set_once};

use crate::strings::Strings;

/// `ExportProfilesServiceRequest.dictionary`.
const DICTIONARY: u32 = 2;
/// `ProfilesDictionary.string_table`.
const STRING_TABLE: u32 = 5;

/// Reads the string table of an export request. Without a dictionary, it is empty.
///
/// # Errors
/// [`Unreadable`] if there are two dictionaries, or more strings than the limit on records allows.
pub(crate) fn strings<'a>(
    request: &Nested<'a>,
    limits: ReadLimits,
    room: &mut Room,
) -> Result<Strings<'a>, Unreadable> {
    let mut reader = Reader::nested(request);
    let mut dictionary = None;
    while let Some(field) = reader.next_field()? {
        if field.number == DICTIONARY {
            set_once(&mut dictionary, field.nested()?, &field)?;
        }
    }
    let Some(dictionary) = dictionary else { return Ok(Strings::default()) };
    let mut strings = Strings::default();
    let mut reader = Reader::nested(&dictionary);
    while let Some(field) = reader.next_field()? {
        if field.number == STRING_TABLE {
            strings.push(field.nested()?.bytes, limits.records, room)?;
        }
    }
    Ok(strings)
}
