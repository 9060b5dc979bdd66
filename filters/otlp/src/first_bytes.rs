//! Which keys of attributes have to be looked at.

/// A set of first bytes. Most keys begin with a byte that is not in it, so one look-up is enough to pass over them.
#[derive(Clone, Debug)]
pub struct FirstBytes([bool; 256]);

impl FirstBytes {
    /// Every byte but the ASCII letters and digits. A key that begins with one of these may be spelled in an unusual
    /// way, or have no letter at all.
    pub const UNUSUAL: Self = Self::unusual();

    const fn unusual() -> Self {
        let mut bytes = [false; 256];
        let (mut rest, mut byte): (&mut [bool], u8) = (&mut bytes, 0);
        while let Some((is_in, behind)) = rest.split_first_mut() {
            *is_in = !byte.is_ascii_alphanumeric();
            (rest, byte) = (behind, byte.wrapping_add(1));
        }
        Self(bytes)
    }

    /// Adds a byte.
    pub fn add(&mut self, byte: u8) {
        if let Some(is_in) = self.0.get_mut(usize::from(byte)) {
            *is_in = true;
        }
    }

    #[inline(always)]
    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).is_none_or(|is_in| *is_in)
    }
}
