//! What VMs share: data and queues.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::status::Status;

/// Shared data and shared queues. In Envoy they belong to the process. Here each VM has its own, unless it is given
/// those of another VM ([`VmConfig::share`](crate::VmConfig::share)).
///
/// Both are separate for each VM id, as in proxy-wasm-cpp-host's `src/shared_data.cc` and `src/shared_queue.cc`.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    data: BTreeMap<(String, Vec<u8>), (Vec<u8>, u32)>,
    last_cas: u32,
    /// By token, which is the position in the list, counted from 1.
    queues: Vec<Queue>,
}

#[derive(Debug)]
struct Queue {
    vm_id: String,
    name: Vec<u8>,
    items: VecDeque<Vec<u8>>,
    /// The root context that is notified, and the number of notifications that are still due.
    listener: Listener,
    unannounced: u32,
}

/// A root context of one VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Identifies the VM, because several may have the same id.
    pub(crate) vm: usize,
    pub(crate) context: u32,
}

impl Shared {
    /// Empty shared data, without queues.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key` for VMs of this id.
    #[must_use]
    pub fn data(&self, vm_id: &str, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.get(vm_id, key.as_ref()).ok().map(|(value, _)| value)
    }

    /// The content of the queue `name` of VMs with this id; `None` if no guest has registered the queue.
    #[must_use]
    pub fn queue(&self, vm_id: &str, name: impl AsRef<[u8]>) -> Option<Vec<Vec<u8>>> {
        let state = self.lock();
        let queue = state.queues.iter().find(|q| q.is(vm_id, name.as_ref()))?;
        Some(queue.items.iter().cloned().collect())
    }

    /// Sets the value of `key`, as another VM would.
    pub fn set_data(&self, vm_id: &str, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.lock().store(vm_id, key.into(), value.into());
    }

    pub(crate) fn get(&self, vm_id: &str, key: &[u8]) -> Result<(Vec<u8>, u32), Status> {
        let entry = (vm_id.to_owned(), key.to_vec());
        self.lock().data.get(&entry).cloned().ok_or(Status::NotFound)
    }

    /// With a `cas` of 0, the write always succeeds. For a new key, every `cas` is accepted.
    pub(crate) fn set(
        &self,
        vm_id: &str,
        key: Vec<u8>,
        value: Vec<u8>,
        cas: u32,
    ) -> Result<(), Status> {
        let mut state = self.lock();
        let entry = (vm_id.to_owned(), key);
        if state.data.get(&entry).is_some_and(|(_, current)| cas != 0 && cas != *current) {
            return Err(Status::CasMismatch);
        }
        state.store(vm_id, entry.1, value);
        Ok(())
    }

    /// Returns the token of a queue. The last one to register is notified of new entries.
    pub(crate) fn register(&self, vm_id: &str, name: Vec<u8>, listener: Listener) -> u32 {
        let mut state = self.lock();
        match state.queues.iter_mut().position(|q| q.is(vm_id, &name)) {
            Some(at) => {
                if let Some(queue) = state.queues.get_mut(at) {
                    queue.listener = listener;
                }
                token(at)
            }
            None => {
                let vm_id = vm_id.to_owned();
                let items = VecDeque::new();
                state.queues.push(Queue { vm_id, name, items, listener, unannounced: 0 });
                token(state.queues.len().saturating_sub(1))
            }
        }
    }

    pub(crate) fn resolve(&self, vm_id: &str, name: &[u8]) -> Result<u32, Status> {
        let at = self.lock().queues.iter().position(|q| q.is(vm_id, name));
        at.map(token).ok_or(Status::NotFound)
    }

    pub(crate) fn enqueue(&self, token: u32, item: Vec<u8>) -> Result<(), Status> {
        let mut state = self.lock();
        let queue = state.of(token).ok_or(Status::NotFound)?;
        queue.items.push_back(item);
        queue.unannounced = queue.unannounced.saturating_add(1);
        Ok(())
    }

    pub(crate) fn dequeue(&self, token: u32) -> Result<Vec<u8>, Status> {
        let mut state = self.lock();
        let queue = state.of(token).ok_or(Status::NotFound)?;
        queue.items.pop_front().ok_or(Status::Empty)
    }

    /// The next call of `proxy_on_queue_ready` that is due in this VM: context and token.
    pub(crate) fn next_announcement(&self, vm: usize) -> Option<(u32, u32)> {
        let mut state = self.lock();
        let at = state.queues.iter().position(|q| q.listener.vm == vm && q.unannounced > 0)?;
        let queue = state.queues.get_mut(at)?;
        queue.unannounced = queue.unannounced.saturating_sub(1);
        Some((queue.listener.context, token(at)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn store(&mut self, vm_id: &str, key: Vec<u8>, value: Vec<u8>) {
        // 0 is not a compare-and-swap value.
        self.last_cas = self.last_cas.checked_add(1).unwrap_or(1);
        self.data.insert((vm_id.to_owned(), key), (value, self.last_cas));
    }

    fn of(&mut self, token: u32) -> Option<&mut Queue> {
        self.queues.get_mut(usize::try_from(token.checked_sub(1)?).ok()?)
    }
}

impl Queue {
    fn is(&self, vm_id: &str, name: &[u8]) -> bool {
        self.vm_id == vm_id && self.name == name
    }
}

fn token(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1)
}
