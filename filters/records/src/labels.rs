//! Keeps the number of resource attributes that become labels within the backend's limit.

use sluice_otlp::{AnyValue, Attribute, AttributeEdits, Attributes};
use sluice_stores::{LabelLimit, Overflow, Spelling};
use sluice_wire::{Unreadable, memory::push};

use crate::{spelling::Name, stamp::Stamps};

/// The compiled limit.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    /// How many of the attributes may be kept as labels.
    most: usize,
    names: Vec<Name>,
    /// The name of the label that always exists.
    service: Name,
    overflow: Overflow,
}

/// The attribute that becomes a label even if the sender does not set it (`unknown_service`), and
/// therefore is not counted.
const ALWAYS_A_LABEL: &str = "service.name";

/// What was done with a resource.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Overflown<'a> {
    /// Attributes to be moved to every scope of the resource, as they are written.
    pub(crate) moved: Vec<&'a [u8]>,
    /// How many attributes were dropped.
    pub(crate) dropped: u64,
}

impl Labels {
    pub(crate) fn new(limit: &LabelLimit, spelling: Spelling) -> Self {
        let names = limit.names.iter().filter(|name| name.as_str() != ALWAYS_A_LABEL);
        Self {
            most: limit.max.saturating_sub(1),
            names: names.map(|name| Name::new(name, spelling)).collect(),
            service: Name::new(ALWAYS_A_LABEL, spelling),
            overflow: limit.overflow,
        }
    }

    /// How many labels are allowed beside the one that always exists.
    pub(crate) const fn most(&self) -> usize {
        self.most
    }

    /// Whether attributes of a resource may have to be moved to its scopes.
    pub(crate) const fn moves(&self) -> bool {
        matches!(self.overflow, Overflow::Move)
    }

    /// How many of a sender's attributes may be labels beside the stamps that are labels.
    pub(crate) fn room_beside(&self, stamps: &Stamps<'_>) -> usize {
        let labels = stamps.names().filter(|name| self.rank(name.as_bytes()).is_some());
        self.most.saturating_sub(labels.count())
    }

    /// Calls `show` with every attribute that becomes a label but has a value that labels cannot have: one that is not
    /// UTF-8, directly or in a map. Attributes that the stamps replace are left out.
    pub(crate) fn each_odd<'a>(
        &self,
        mut attributes: Attributes<'a>,
        stamps: &Stamps<'_>,
        mut show: impl FnMut(&Attribute<'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let wanted = |key: &[u8]| self.service.is_label(key) || self.rank(key).is_some();
        while let Some(attribute) = attributes.next_where(wanted)? {
            if is_odd(&attribute)? && !stamps.replaces(&attribute)? {
                show(&attribute)?;
            }
        }
        Ok(())
    }

    /// Removes from a resource the attributes for which there is no `room`, the least important first. Attributes that
    /// the stamps replace have been removed before, and so have [odd](Self::each_odd) ones if `no_odd`.
    pub(crate) fn fit<'a>(
        &self,
        attributes: Attributes<'a>,
        stamps: &Stamps<'_>,
        room: usize,
        no_odd: bool,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Overflown<'a>, Unreadable> {
        let wanted = |key: &[u8]| self.rank(key).is_some();
        let mut count = 0_usize;
        let mut counted = attributes.clone();
        while counted.next_where(wanted)?.is_some() {
            count = count.saturating_add(1);
        }
        if count <= room {
            return Ok(Overflown::default());
        }
        self.take(attributes, stamps, room, no_odd, attribute_edits)
    }

    /// Reads the attributes twice: first to see which labels exist, then to remove attributes.
    fn take<'a>(
        &self,
        mut attributes: Attributes<'a>,
        stamps: &Stamps<'_>,
        room: usize,
        no_odd: bool,
        attribute_edits: &mut AttributeEdits<'a>,
    ) -> Result<Overflown<'a>, Unreadable> {
        let mut is_there = vec![false; self.names.len()];
        let mut looked_at = attributes.clone();
        while let Some(attribute) = looked_at.next_where(|key| self.rank(key).is_some())? {
            if let Some(is_there) =
                self.rank(attribute.key()).and_then(|rank| is_there.get_mut(rank))
                && !*is_there
                && !(no_odd && is_odd(&attribute)?)
            {
                *is_there = !stamps.replaces(&attribute)?;
            }
        }
        let mut ranks = is_there.iter().enumerate().filter(|(_, is_there)| **is_there);
        let Some((first_over, _)) = ranks.nth(room) else { return Ok(Overflown::default()) };
        let mut overflown = Overflown::default();
        let is_over = |key: &[u8]| self.rank(key).is_some_and(|rank| rank >= first_over);
        while let Some(attribute) = attributes.next_where(is_over)? {
            if stamps.replaces(&attribute)? || no_odd && is_odd(&attribute)? {
                continue;
            }
            attribute_edits.take(&attribute)?;
            match self.overflow {
                Overflow::Move => {
                    push(&mut overflown.moved, attribute.written())?;
                }
                Overflow::Drop => overflown.dropped = overflown.dropped.saturating_add(1),
            }
        }
        Ok(overflown)
    }

    /// The index of a label in the list. Keys that become the same label have the same index.
    fn rank(&self, key: &[u8]) -> Option<usize> {
        self.names.iter().position(|name| name.is_label(key))
    }
}

/// Whether an attribute has a value that labels cannot have, directly or in a map. The depth of
/// maps is limited where they are read.
fn is_odd(attribute: &Attribute<'_>) -> Result<bool, Unreadable> {
    match attribute.value()? {
        AnyValue::String(text) => Ok(str::from_utf8(&text).is_err()),
        AnyValue::KeyValues { mut entries, .. } => {
            while let Some(entry) = entries.next_where(|_| true)? {
                if is_odd(&entry)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}
