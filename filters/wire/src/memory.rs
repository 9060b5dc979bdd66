//! Memory whose size a sender chooses. It is counted before it is taken, and allocated in a way
//! that can fail: if there is no memory, one request is refused and the worker lives on.

use thiserror::Error;

/// A request needs more memory than it may take, or than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no memory for {0} bytes")]
pub struct NoMemory(
    /// How many bytes were asked for.
    pub usize,
);

/// Appends to a list whose length is limited elsewhere. Returns an error if there is no memory.
///
/// # Errors
/// If there is no memory for it.
#[inline]
pub fn push<T>(list: &mut Vec<T>, element: T) -> Result<(), NoMemory> {
    let mut room = Room::ANY;
    room.grow(list, 1, usize::MAX)?;
    list.push(element);
    Ok(())
}

/// How many bytes a request may still take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room(usize);

impl Room {
    /// No limit but the memory that there is.
    pub const ANY: Self = Self(usize::MAX);

    /// This many bytes.
    #[must_use]
    pub const fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0
    }

    /// Checks that this many bytes may be taken.
    ///
    /// # Errors
    /// If they may not.
    pub const fn has(self, bytes: usize) -> Result<(), NoMemory> {
        if bytes > self.0 { Err(NoMemory(bytes)) } else { Ok(()) }
    }

    /// Takes this many bytes.
    ///
    /// # Errors
    /// If fewer are left. Nothing is taken then.
    pub const fn take(&mut self, bytes: usize) -> Result<(), NoMemory> {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(NoMemory(bytes)),
        }
    }

    /// Gives this many bytes back.
    pub const fn give_back(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes);
    }

    /// Makes room in a list for `more` elements after its last. The capacity doubles, but does not
    /// exceed `most` elements unless they are needed.
    ///
    /// # Errors
    /// If there is no memory, or no room for the new list beside the old one (both exist while the
    /// elements are moved).
    #[inline]
    pub fn grow<T>(&mut self, list: &mut Vec<T>, more: usize, most: usize) -> Result<(), NoMemory> {
        if list.capacity().saturating_sub(list.len()) >= more {
            return Ok(());
        }
        self.grow_now(list, more, most)
    }

    #[cold]
    #[inline(never)]
    fn grow_now<T>(&mut self, list: &mut Vec<T>, more: usize, most: usize) -> Result<(), NoMemory> {
        let (len, capacity) = (list.len(), list.capacity());
        let needed = len.saturating_add(more);
        let wanted = capacity.saturating_mul(2).min(most).max(needed);
        let bytes = |elements: usize| elements.saturating_mul(size_of::<T>());
        self.has(bytes(wanted))?;
        let no_memory = |_| NoMemory(bytes(wanted));
        list.try_reserve_exact(wanted.saturating_sub(len)).map_err(no_memory)?;
        let taken = list.capacity().saturating_sub(capacity);
        self.0 = self.0.saturating_sub(bytes(taken));
        Ok(())
    }

    /// Checks that this much memory can be allocated in one piece, for code that aborts the program
    /// if it cannot. Nothing else runs on this worker before that code does.
    ///
    /// # Errors
    /// If there is no such memory, or no room for it.
    pub fn probe(self, bytes: usize) -> Result<(), NoMemory> {
        self.has(bytes)?;
        Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| NoMemory(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_and_what_is_given_back_is_there() {
        let mut room = Room::of(10);
        assert_eq!(room.take(7), Ok(()));
        assert_eq!(room.take(4), Err(NoMemory(4)));
        assert_eq!((room.bytes(), room.has(3)), (3, Ok(())));
        room.give_back(7);
        assert_eq!(room.take(10), Ok(()));
    }

    #[test]
    fn a_list_grows_by_doubling_and_within_its_room() {
        let mut room = Room::of(100);
        let mut list: Vec<u16> = Vec::new();
        let mut sizes = Vec::new();
        while room.grow(&mut list, 1, 30).is_ok() {
            list.push(0);
            if sizes.last() != Some(&list.capacity()) {
                sizes.push(list.capacity());
            }
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 30]);
        // The next list would take 62 bytes, beside the 60 of this one.
        assert_eq!((list.len(), room.bytes()), (30, 40));
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        let mut room = Room::ANY;
        let most = usize::MAX / 4;
        assert_eq!(room.grow(&mut Vec::<u8>::new(), most, most), Err(NoMemory(most)));
        assert_eq!(room.probe(most), Err(NoMemory(most)));
        assert_eq!(room, Room::ANY);
    }
}
