//! Attributes that the gate sets, so that the sender that a backend shows is the one in the
//! certificate.

use std::rc::Rc;

use sluice_otlp::{Attribute, AttributeEdits, Attributes, Format, Put};
use sluice_remote_write::label_field;
use sluice_senders::Admitted;
use sluice_wire::Unreadable;

use crate::{spelling::Name, template::Template};

/// An attribute that is set on every resource.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) name: Name,
    pub(crate) value: Template,
}

/// The stamps for one request.
pub(crate) struct Stamps<'r> {
    stamps: &'r [Stamp],
    /// Their names, and the attributes in the request's format. A stamp whose value the certificate
    /// does not provide is not among them; then the attribute is removed and not set.
    written: Vec<(&'r str, Rc<[u8]>)>,
}

impl<'r> Stamps<'r> {
    /// The stamps for an OTLP request in `format`.
    pub(crate) fn new(stamps: &'r [Stamp], sender: Option<&Admitted>, format: Format) -> Self {
        Self::write(stamps, sender, |name, value| format.attribute(name, value))
    }

    /// The stamps for series, in the order of their labels' names. If two become the same label,
    /// the first is set.
    pub(crate) fn labels(stamps: &'r [Stamp], sender: Option<&Admitted>) -> Self {
        let all = Self::write(stamps, sender, label_field).written;
        let mut written = Vec::with_capacity(all.len());
        for (name, label) in all {
            // Sorted by hand, because they are few and a sort adds several kilobytes to the module.
            let place = written.iter().position(|(other, _)| *other >= name);
            match place {
                Some(place) if written.get(place).is_some_and(|(other, _)| *other == name) => {}
                place => written.insert(place.unwrap_or(written.len()), (name, label)),
            }
        }
        Self { stamps, written }
    }

    fn write(
        stamps: &'r [Stamp],
        sender: Option<&Admitted>,
        write: impl Fn(&str, &str) -> Vec<u8>,
    ) -> Self {
        let write = |stamp: &'r Stamp| {
            let value = stamp.value.fill(sender).ok()?;
            let name = stamp.name.as_str();
            Some((name, write(name, &value).into()))
        };
        Self { stamps, written: stamps.iter().filter_map(write).collect() }
    }

    /// The stamps that are set, each with its name and as it is written.
    pub(crate) fn written(&self) -> &[(&'r str, Rc<[u8]>)] {
        &self.written
    }

    /// The most bytes that they add to a resource.
    pub(crate) fn bytes(&self) -> u64 {
        /// The tag and the length of an attribute, whose name and value come from the operator.
        const FRAME: u64 = 6;
        let bytes =
            self.written.iter().map(|(_, written)| FRAME.saturating_add(written.len() as u64));
        bytes.fold(0, u64::saturating_add)
    }

    /// Whether a label is a spelling of a stamp.
    pub(crate) fn is_label(&self, name: &[u8]) -> bool {
        self.stamps.iter().any(|stamp| stamp.name.is_label(name))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// The names of the stamps that are set.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'r str> {
        self.written.iter().map(|(name, _)| *name)
    }

    /// Removes every spelling of the stamps, and adds the stamps.
    pub(crate) fn set(
        &self,
        attributes: Attributes<'_>,
        attribute_edits: &mut AttributeEdits<'_>,
    ) -> Result<(), Unreadable> {
        self.clear(attributes, attribute_edits)?;
        for (_, written) in &self.written {
            attribute_edits.put(Put::Made(Rc::clone(written)))?;
        }
        Ok(())
    }

    /// Removes every spelling of the stamps. If a map would be flattened into one, the whole map is
    /// removed.
    pub(crate) fn clear(
        &self,
        mut attributes: Attributes<'_>,
        attribute_edits: &mut AttributeEdits<'_>,
    ) -> Result<(), Unreadable> {
        let wanted = |key: &[u8]| self.stamps.iter().any(|stamp| stamp.name.may_be(key));
        while let Some(attribute) = attributes.next_where(wanted)? {
            if self.replaces(&attribute)? {
                attribute_edits.take(&attribute)?;
            }
        }
        Ok(())
    }

    /// Whether an attribute is a spelling of a stamp, or a map that contains one.
    pub(crate) fn replaces(&self, attribute: &Attribute<'_>) -> Result<bool, Unreadable> {
        for stamp in self.stamps {
            if stamp.name.is_in(attribute)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
