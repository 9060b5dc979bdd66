//! Attributes that the gate sets, so that what a backend shows as the sender is what the
//! certificate said.

use sluice_otlp::{
    Format,
    attributes::{Attribute, Attributes},
    limits::Unreadable,
    policy::Rewrite,
};
use sluice_senders::Admitted;

use crate::{spelling::Name, template::Template};

/// An attribute that is set on every resource.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) name: Name,
    pub(crate) value: Template,
}

/// The stamps as they stand for one request.
pub(crate) struct Stamps<'r> {
    stamps: &'r [Stamp],
    /// Their names, and the attributes as the request's format writes them. A stamp whose value the
    /// certificate does not say is not among them: then nobody has it.
    written: Vec<(&'r str, Vec<u8>)>,
}

impl<'r> Stamps<'r> {
    pub(crate) fn new(stamps: &'r [Stamp], sender: Option<&Admitted>, format: Format) -> Self {
        let write = |stamp: &'r Stamp| {
            let value = stamp.value.fill(sender)?;
            let name = stamp.name.as_str();
            Some((name, format.attribute(name, &value)))
        };
        Self { stamps, written: stamps.iter().filter_map(write).collect() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// The names of the attributes that are set.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'r str> {
        self.written.iter().map(|(name, _)| *name)
    }

    /// Takes every spelling of the stamps away, and puts the stamps there.
    pub(crate) fn set(
        &self,
        attributes: Attributes<'_>,
        rewrite: &mut Rewrite,
    ) -> Result<(), Unreadable> {
        self.clear(attributes, rewrite)?;
        for (_, written) in &self.written {
            rewrite.put(written.clone());
        }
        Ok(())
    }

    /// Takes every spelling of the stamps away. A map that holds one, and is flattened into it, goes
    /// whole.
    pub(crate) fn clear(
        &self,
        mut attributes: Attributes<'_>,
        rewrite: &mut Rewrite,
    ) -> Result<(), Unreadable> {
        let wanted = |key: &[u8]| self.stamps.iter().any(|stamp| stamp.name.may_be(key));
        while let Some(attribute) = attributes.next_where(wanted)? {
            if self.replaces(&attribute)? {
                rewrite.take(&attribute);
            }
        }
        Ok(())
    }

    /// Whether an attribute is a spelling of a stamp, or a map that holds one.
    pub(crate) fn replaces(&self, attribute: &Attribute<'_>) -> Result<bool, Unreadable> {
        for stamp in self.stamps {
            if stamp.name.is_in(attribute)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
