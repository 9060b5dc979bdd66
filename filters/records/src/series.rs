//! A remote write series for the rules: its labels are its attributes.

use sluice_otlp::{AttributeRef, HasAttributes};
use sluice_remote_write::{Label, Series};
use sluice_wire::Unreadable;

/// The labels of a series, used as attributes.
pub(crate) struct LabelsAsAttributes<'s, 'a>(pub(crate) &'s Series<'a>);

impl<'a> HasAttributes<'a> for LabelsAsAttributes<'_, 'a> {
    #[inline(always)]
    fn each_where(
        &self,
        wanted: impl Fn(&[u8]) -> bool,
        mut show: impl FnMut(AttributeRef<'_, 'a>) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        let mut labels = self.0.labels();
        while let Some(Label { name: key, value: text, .. }) = labels.next_label()? {
            if wanted(key) {
                show(AttributeRef::Text { key, text })?;
            }
        }
        Ok(())
    }
}
