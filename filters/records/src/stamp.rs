//! Attributes that the gate sets, so that what a backend shows as the sender is what the
//! certificate said.

use sluice_otlp::{Format, attributes::Attributes, limits::Unreadable, policy::Rewrite};
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
    /// The attributes, as the request's format writes them. A name that the certificate does not
    /// say has none: then nobody has it.
    written: Vec<Vec<u8>>,
}

impl<'r> Stamps<'r> {
    pub(crate) fn new(stamps: &'r [Stamp], sender: Option<&Admitted>, format: Format) -> Self {
        let write = |stamp: &Stamp| {
            let value = stamp.value.fill(sender)?;
            Some(format.attribute(stamp.name.as_str(), &value))
        };
        Self { stamps, written: stamps.iter().filter_map(write).collect() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// Takes every spelling of the stamps away, and puts the stamps there.
    pub(crate) fn set(
        &self,
        attributes: Attributes<'_>,
        rewrite: &mut Rewrite,
    ) -> Result<(), Unreadable> {
        self.clear(attributes, rewrite)?;
        for written in &self.written {
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
            for stamp in self.stamps {
                if stamp.name.is_in(&attribute)? {
                    rewrite.take(&attribute);
                    break;
                }
            }
        }
        Ok(())
    }
}
