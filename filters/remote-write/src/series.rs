//! A series, and its labels in place in a request (`prompb/types.proto`).

use sluice_wire::{Malformed, Nested, OverLimit, Reader, Unreadable, push_field, set_once};

/// `TimeSeries.labels`.
const LABELS: u32 = 1;
/// `TimeSeries.samples`.
const SAMPLES: u32 = 2;
/// `TimeSeries.exemplars`.
const EXEMPLARS: u32 = 3;
/// `TimeSeries.histograms`.
const HISTOGRAMS: u32 = 4;
/// `Label.name`.
const NAME: u32 = 1;
/// `Label.value`.
const VALUE: u32 = 2;

/// The label that holds a metric's name.
const METRIC_NAME: &[u8] = b"__name__";

/// A series, unread.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    message: Nested<'a>,
    most_labels: usize,
}

/// One label.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value. To every backend, an empty value means that the label is not set.
    pub value: &'a [u8],
    /// Offset of its tag.
    pub(crate) start: usize,
    /// Offset just after it.
    pub(crate) end: usize,
}

/// The labels of a series, in order.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    series: Reader<'a>,
    /// How many more labels may be read.
    left: usize,
    most: usize,
}

impl<'a> Series<'a> {
    pub(crate) const fn new(message: Nested<'a>, most_labels: usize) -> Self {
        Self { message, most_labels }
    }

    /// The labels of the series.
    #[inline]
    #[must_use]
    pub const fn labels(&self) -> Labels<'a> {
        let most = self.most_labels;
        Labels { series: Reader::nested(&self.message), left: most, most }
    }

    /// How many samples the series has, native histograms included.
    ///
    /// # Errors
    /// [`Malformed`] if the series is.
    pub fn samples(&self) -> Result<u64, Malformed> {
        let mut samples = 0_u64;
        let mut series = Reader::nested(&self.message);
        while let Some(field) = series.next_field()? {
            if matches!(field.number, SAMPLES | HISTOGRAMS) {
                samples = samples.saturating_add(1);
            }
        }
        Ok(samples)
    }

    /// The name of the metric; `None` if it has none, or cannot be read.
    #[must_use]
    pub fn metric_name(&self) -> Option<&'a [u8]> {
        let mut labels = self.labels();
        while let Some(label) = labels.next_label().ok()? {
            if label.name == METRIC_NAME {
                return Some(label.value);
            }
        }
        None
    }

    pub(crate) const fn message(&self) -> &Nested<'a> {
        &self.message
    }
}

impl<'a> Labels<'a> {
    /// Returns the next label, or `None` after the last. Everything else in the series is skipped.
    ///
    /// # Errors
    /// [`Unreadable`] if the series is malformed or has too many labels. Do not read on after an
    /// error.
    #[inline(always)]
    pub fn next_label(&mut self) -> Result<Option<Label<'a>>, Unreadable> {
        while let Some(field) = self.series.next_field()? {
            match field.number {
                LABELS => {
                    let limit = self.most;
                    self.left = self.left.checked_sub(1).ok_or(OverLimit::Attributes { limit })?;
                    return Ok(Some(Label::read(&field.nested()?)?));
                }
                SAMPLES | EXEMPLARS | HISTOGRAMS => {
                    field.nested()?;
                }
                _ => {}
            }
        }
        Ok(None)
    }
}

impl<'a> Label<'a> {
    #[inline(always)]
    fn read(field: &Nested<'a>) -> Result<Self, Malformed> {
        let (name, value) = match plain(field.bytes) {
            Some(plain) => plain,
            None => Self::read_any(field)?,
        };
        Ok(Self { name, value, start: field.start, end: field.end() })
    }

    /// A label of any shape: its name and its value.
    #[inline(never)]
    fn read_any(field: &Nested<'a>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let mut label = Reader::nested(field);
        let (mut name, mut value) = (None, None);
        while let Some(field) = label.next_field()? {
            match field.number {
                NAME => set_once(&mut name, field.nested()?.bytes, &field)?,
                VALUE => set_once(&mut value, field.nested()?.bytes, &field)?,
                _ => {}
            }
        }
        Ok((name.unwrap_or_default(), value.unwrap_or_default()))
    }
}

/// A label in the form that nearly every sender writes: a short name, a short value, and nothing
/// else. `None` for any other form, including malformed ones.
#[inline(always)]
fn plain(label: &[u8]) -> Option<(&[u8], &[u8])> {
    const NAME_TAG: u8 = (NAME as u8) << 3 | 2;
    const VALUE_TAG: u8 = (VALUE as u8) << 3 | 2;
    let &[NAME_TAG, length @ ..0x80, ref rest @ ..] = label else { return None };
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    let &[VALUE_TAG, length @ ..0x80, ref value @ ..] = rest else { return None };
    (value.len() == usize::from(length)).then_some((name, value))
}

/// A label as it is written in a series.
#[must_use]
pub fn label_field(name: &str, value: &str) -> Vec<u8> {
    let mut label = Vec::new();
    push_field(&mut label, NAME, name.as_bytes());
    push_field(&mut label, VALUE, value.as_bytes());
    let mut field = Vec::new();
    push_field(&mut field, LABELS, &label);
    field
}
