//! The texts of a profiles export.

use super::text::{Node, Text, wrong_type};
use crate::{
    limits::{OverLimit, ReadLimits, Unreadable},
    profiles::Strings,
};

/// Reads `dictionary.stringTable`, whose strings stay as they are written; without a dictionary it
/// is empty.
///
/// # Errors
/// As [`Strings::read`].
pub(super) fn strings<'a>(
    text: &Text<'a>,
    dictionary: Option<Node>,
    limits: ReadLimits,
) -> Result<Strings<'a>, Unreadable> {
    let Some(dictionary) = text.object(dictionary)? else { return Ok(Strings::default()) };
    let [table] = text.members(dictionary, &["stringTable"])?;
    let limit = limits.records;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut strings = Vec::new();
    for element in text.elements(text.array(table)?) {
        if strings.len() >= most {
            return Err(OverLimit::Records { limit }.into());
        }
        strings.push(text.string(Some(element))?.ok_or(wrong_type(element))?);
    }
    Ok(Strings::new(strings))
}
