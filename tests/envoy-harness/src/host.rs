//! The host's state, on which all host functions work. It is in the wasmtime store.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use wasmtime::{StoreLimits, StoreLimitsBuilder};

use crate::{
    calls::{GrpcCall, HttpCall},
    context::{Context, Root, StreamState},
    crossings::Crossings,
    local_reply::LocalReply,
    log::LogLine,
    metrics::Metrics,
    plugin::VmConfig,
    side::Direction,
};

/// The distance between ids of call-outs of one kind; the kind is in the low bits (`kCalloutTypeMask` and
/// `kCalloutIncrement`, `include/proxy-wasm/wasm.h`).
const CALL_STEP: u32 = 0b100;
const GRPC_CALL: u32 = 1;
const GRPC_STREAM: u32 = 2;

pub(crate) struct Host {
    /// Identifies this VM.
    pub(crate) vm: usize,
    pub(crate) config: VmConfig,
    pub(crate) limits: StoreLimits,
    pub(crate) time: Duration,

    pub(crate) contexts: BTreeMap<u32, Context>,
    pub(crate) last_context: u32,
    /// The context that the guest was called for.
    pub(crate) current: u32,
    /// The context that the guest has chosen instead; 0 means none.
    pub(crate) effective: u32,
    /// The guest sent a local reply in this callback, so nothing is forwarded, whatever the callback returns.
    pub(crate) stop_next_iteration: bool,
    /// What to do when the guest has returned.
    pub(crate) after_call: VecDeque<AfterCall>,

    /// All crossings of this VM.
    pub(crate) crossings: Crossings,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) metrics: Metrics,
    pub(crate) http_calls: Vec<HttpCall>,
    pub(crate) grpc_calls: Vec<GrpcCall>,
    last_http_call: u32,
    last_grpc_call: u32,
    last_grpc_stream: u32,
}

/// Envoy does these only after the guest has returned (`addAfterVmCallAction`).
pub(crate) enum AfterCall {
    Continue { context: u32, direction: Direction },
    Delete { root: u32 },
    Reply { context: u32, reply: LocalReply },
    Reset { context: u32 },
}

impl Host {
    pub(crate) fn new(vm: usize, config: VmConfig) -> Self {
        Self {
            vm,
            limits: StoreLimitsBuilder::new().memory_size(config.memory_limit).build(),
            time: config.time,
            config,
            contexts: BTreeMap::from([(0, Context::vm())]),
            last_context: 0,
            current: 0,
            effective: 0,
            stop_next_iteration: false,
            after_call: VecDeque::new(),
            crossings: Crossings::default(),
            logs: Vec::new(),
            metrics: Metrics::default(),
            http_calls: Vec::new(),
            grpc_calls: Vec::new(),
            last_http_call: 0,
            last_grpc_call: 0,
            last_grpc_stream: 0,
        }
    }

    /// The id of the context on which host functions work (`contextOrEffectiveContext`).
    pub(crate) fn active_id(&self) -> u32 {
        let chosen = self.effective != 0 && self.contexts.contains_key(&self.effective);
        if chosen { self.effective } else { self.current }
    }

    /// The guest has called a host function.
    pub(crate) fn count_host_call(&mut self, name: &str) {
        self.crossings.add_host_call(name);
        if let Some(stream) = self.active_stream_mut() {
            stream.crossings.add_host_call(name);
        }
    }

    /// The guest's function is called for the active context.
    pub(crate) fn count_entry(&mut self, name: &str) {
        self.crossings.add_entry(name);
        if let Some(stream) = self.active_stream_mut() {
            stream.crossings.add_entry(name);
        }
    }

    pub(crate) fn active(&self) -> Option<&Context> {
        self.contexts.get(&self.active_id())
    }

    pub(crate) fn stream(&self, id: u32) -> Option<&StreamState> {
        self.contexts.get(&id)?.as_stream()
    }

    pub(crate) fn stream_mut(&mut self, id: u32) -> Option<&mut StreamState> {
        self.contexts.get_mut(&id)?.as_stream_mut()
    }

    pub(crate) fn active_stream(&self) -> Option<&StreamState> {
        self.stream(self.active_id())
    }

    pub(crate) fn active_stream_mut(&mut self) -> Option<&mut StreamState> {
        self.stream_mut(self.active_id())
    }

    pub(crate) fn root(&self, id: u32) -> Option<&Root> {
        self.contexts.get(&id)?.as_root()
    }

    pub(crate) fn root_mut(&mut self, id: u32) -> Option<&mut Root> {
        self.contexts.get_mut(&id)?.as_root_mut()
    }

    /// The root context of the active context.
    pub(crate) fn active_root_id(&self) -> u32 {
        self.active().map_or(0, |context| context.root)
    }

    pub(crate) fn active_root(&self) -> Option<&Root> {
        self.root(self.active_root_id())
    }

    pub(crate) fn has_cluster(&self, name: &str) -> bool {
        self.config.clusters.as_ref().is_none_or(|known| known.contains(name))
    }

    pub(crate) fn next_context(&mut self) -> u32 {
        self.last_context = self.last_context.wrapping_add(1);
        self.last_context
    }

    pub(crate) const fn next_http_call(&mut self) -> u32 {
        self.last_http_call = self.last_http_call.wrapping_add(CALL_STEP);
        self.last_http_call
    }

    pub(crate) const fn next_grpc_call(&mut self, streaming: bool) -> u32 {
        let (last, kind) = if streaming {
            (&mut self.last_grpc_stream, GRPC_STREAM)
        } else {
            (&mut self.last_grpc_call, GRPC_CALL)
        };
        *last = last.wrapping_add(CALL_STEP);
        *last | kind
    }
}

/// Returns whether the token can be that of a gRPC call, unary or streaming.
pub(crate) const fn is_grpc_token(token: u32) -> bool {
    is_grpc_stream_token(token) || token % CALL_STEP == GRPC_CALL
}

pub(crate) const fn is_grpc_stream_token(token: u32) -> bool {
    token % CALL_STEP == GRPC_STREAM
}
