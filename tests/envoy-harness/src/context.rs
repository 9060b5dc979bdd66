//! The contexts of a VM: the VM itself, its plugins, their streams.

use std::time::Duration;

use crate::{
    answer::Answer,
    crossings::Crossings,
    headers::HeaderMap,
    local_reply::{LocalReply, Origin},
    plugin::PluginConfig,
    property::Attributes,
    side::{Direction, Side},
};

pub(crate) struct Context {
    /// The root context of this context; for anything but a stream, its own id.
    pub(crate) root: u32,
    /// The status that `proxy_get_status` returns.
    pub(crate) status: (u32, String),
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    /// Context 0: the VM before it has a plugin.
    Vm,
    Root(Box<Root>),
    Stream(Box<StreamState>),
}

/// A plugin.
pub(crate) struct Root {
    pub(crate) plugin: PluginConfig,
    /// The plugin's configuration is readable, because the plugin is being created or configured.
    pub(crate) configuring: bool,
    /// Zero means off.
    pub(crate) tick_period: Duration,
    pub(crate) next_tick: Option<Duration>,
    /// Another plugin has replaced it. It ends with its last stream.
    pub(crate) retired: bool,
    /// It has returned false from `proxy_on_done`, and has not called `proxy_done` since.
    pub(crate) pending_done: bool,
    pub(crate) call_out: CallOut,
}

/// What the guest can read of an answer to a call-out during the callback for that answer.
#[derive(Default)]
pub(crate) struct CallOut {
    pub(crate) http: Option<Answer>,
    pub(crate) grpc_initial_metadata: Option<HeaderMap>,
    pub(crate) grpc_trailing_metadata: Option<HeaderMap>,
    pub(crate) grpc_message: Option<Vec<u8>>,
}

impl Root {
    pub(crate) fn new(plugin: PluginConfig) -> Self {
        Self {
            plugin,
            configuring: false,
            tick_period: Duration::ZERO,
            next_tick: None,
            retired: false,
            pending_done: false,
            call_out: CallOut::default(),
        }
    }
}

/// A stream: the filter manager's state and the wasm filter's.
pub(crate) struct StreamState {
    pub(crate) attributes: Attributes,
    pub(crate) request: Side,
    pub(crate) response: Side,
    pub(crate) buffer_limit: usize,
    pub(crate) allow_on_headers_stop_iteration: bool,

    /// `proxy_on_context_create` has been called.
    pub(crate) created: bool,
    /// The last headers or data that the filter got were the end of their direction.
    pub(crate) end_of_stream: bool,
    pub(crate) log_phase: bool,
    /// The filter is in a callback of the request, or of the reply.
    pub(crate) decoding: bool,
    pub(crate) encoding: bool,
    /// A local reply has ended the iteration of the filter chain.
    pub(crate) decoding_aborted: bool,
    pub(crate) encoding_aborted: bool,
    /// A local reply that is sent when the callback returns.
    pub(crate) prepared: Option<LocalReply>,
    pub(crate) failure_reply_sent: bool,
    pub(crate) is_grpc: bool,
    pub(crate) is_head: bool,

    pub(crate) origin: Option<Origin>,
    pub(crate) details: String,
    /// The downstream's stream was reset.
    pub(crate) reset: bool,
    /// The upstream's stream was reset: it had begun and will not end regularly.
    pub(crate) upstream_reset: bool,
    pub(crate) fuel: u64,
    pub(crate) crossings: Crossings,
}

impl StreamState {
    pub(crate) fn new(attributes: Attributes, buffer_limit: usize, plugin: &PluginConfig) -> Self {
        Self {
            attributes,
            request: Side::new(),
            response: Side::new(),
            buffer_limit,
            allow_on_headers_stop_iteration: plugin.allow_on_headers_stop_iteration,
            created: false,
            end_of_stream: false,
            log_phase: false,
            decoding: false,
            encoding: false,
            decoding_aborted: false,
            encoding_aborted: false,
            prepared: None,
            failure_reply_sent: false,
            is_grpc: false,
            is_head: false,
            origin: None,
            details: String::new(),
            reset: false,
            upstream_reset: false,
            fuel: 0,
            crossings: Crossings::default(),
        }
    }

    pub(crate) const fn has_local_reply(&self) -> bool {
        matches!(self.origin, Some(Origin::Envoy | Origin::Filter))
    }

    pub(crate) const fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    pub(crate) const fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}

impl Context {
    pub(crate) const fn vm() -> Self {
        Self { root: 0, status: (0, String::new()), kind: Kind::Vm }
    }

    pub(crate) fn root(id: u32, root: Root) -> Self {
        Self { root: id, status: (0, String::new()), kind: Kind::Root(Box::new(root)) }
    }

    pub(crate) fn stream(root: u32, stream: StreamState) -> Self {
        Self { root, status: (0, String::new()), kind: Kind::Stream(Box::new(stream)) }
    }

    pub(crate) fn as_root(&self) -> Option<&Root> {
        match &self.kind {
            Kind::Root(root) => Some(root),
            _ => None,
        }
    }

    pub(crate) fn as_root_mut(&mut self) -> Option<&mut Root> {
        match &mut self.kind {
            Kind::Root(root) => Some(root),
            _ => None,
        }
    }

    pub(crate) fn as_stream(&self) -> Option<&StreamState> {
        match &self.kind {
            Kind::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn into_stream(self) -> Option<Box<StreamState>> {
        match self.kind {
            Kind::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    pub(crate) fn as_stream_mut(&mut self) -> Option<&mut StreamState> {
        match &mut self.kind {
            Kind::Stream(stream) => Some(stream),
            _ => None,
        }
    }
}
