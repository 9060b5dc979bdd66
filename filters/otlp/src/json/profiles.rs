//! The strings of a profiles export.

use sluice_wire::{ReadLimits, Room, Unreadable};

use super::text::{Node, Text, wrong_type};
use crate::strings::Strings;

/// Reads `dictionary.stringTable`. The strings stay as they are written. Without a dictionary, the
/// table is empty.
///
/// # Errors
/// [`Unreadable`] if there are more strings than the limit on records allows.
pub(crate) fn strings<'a>(
    text: &Text<'a>,
    dictionary: Option<Node>,
    limits: ReadLimits,
    room: &mut Room,
) -> Result<Strings<'a>, Unreadable> {
    let Some(dictionary) = text.object(dictionary)? else { return Ok(Strings::default()) };
    let [table] = text.members(dictionary, &["stringTable"])?;
    let mut strings = Strings::default();
    for element in text.elements(text.array(table)?) {
        let string = text.string(Some(element))?.ok_or(wrong_type(element))?;
        strings.push(string, limits.records, room)?;
    }
    Ok(strings)
}
