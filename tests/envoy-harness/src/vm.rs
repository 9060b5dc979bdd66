//! The public side of a VM.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use crate::{
    answer::Answer,
    calls::{GrpcCall, HttpCall},
    context::{Context, StreamState},
    crossings::Crossings,
    error::{Error, Trap},
    headers::HeaderMap,
    host::is_grpc_stream_token,
    log::{LogLevel, LogLine},
    metrics::Metric,
    module::Module,
    plugin::{PluginConfig, PluginId, VmConfig},
    property::Attributes,
    shared::Shared,
    status::Status,
    stream::Stream,
    worker::{Worker, size},
};

/// How much of one body Envoy buffers by default (`per_connection_buffer_limit_bytes` of a listener).
const DEFAULT_BUFFER_LIMIT: usize = 1024 * 1024;

/// A module in a VM, as one worker thread of Envoy has it.
///
/// A VM can have any number of plugins, and each plugin any number of streams. A VM stays on one thread; other threads
/// have their own VMs.
pub struct Vm {
    worker: Rc<RefCell<Worker>>,
}

impl Vm {
    /// A new VM with the default configuration.
    ///
    /// # Errors
    ///
    /// If the module traps while it is instantiated.
    pub fn new(module: &Module) -> Result<Self, Error> {
        Self::with_config(module, VmConfig::new())
    }

    /// A new VM with the given configuration.
    ///
    /// # Errors
    ///
    /// If the module traps while it is instantiated.
    pub fn with_config(module: &Module, config: VmConfig) -> Result<Self, Error> {
        Ok(Self { worker: Rc::new(RefCell::new(Worker::new(module, config)?)) })
    }

    /// Starts a plugin: creates, starts and configures a root context. As in Envoy, this is first tried in another VM,
    /// so a plugin that is refused does not change this VM.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the guest returns false, [`Error::Trap`] if it traps.
    pub fn start_plugin(&self, plugin: PluginConfig) -> Result<PluginId, Error> {
        let mut worker = self.worker.borrow_mut();
        let context = worker.start(&plugin)?;
        Ok(PluginId { vm: worker.host().vm, context })
    }

    /// Replaces the plugin `old` with one that has another configuration. New streams belong to the new plugin. Open
    /// streams stay with the old one, which ends with the last of them. As in Envoy, the new plugin is a new root
    /// context; the old one is not configured again.
    ///
    /// # Errors
    ///
    /// As for [`start_plugin`](Self::start_plugin). After an error, `old` is unchanged.
    pub fn reconfigure(&self, old: PluginId, plugin: PluginConfig) -> Result<PluginId, Error> {
        self.root_context(old)?;
        let new = self.start_plugin(plugin)?;
        self.worker.borrow_mut().retire(old.context);
        Ok(new)
    }

    /// Ends a plugin, when its last stream has ended.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, or the guest traps.
    pub fn shutdown(&self, plugin: PluginId) -> Result<(), Error> {
        self.root_context(plugin)?;
        let mut worker = self.worker.borrow_mut();
        worker.retire(plugin.context);
        worker.told()
    }

    /// Returns whether a plugin still exists: it is not shut down, or it waits for its streams or for `proxy_done`.
    #[must_use]
    pub fn has_plugin(&self, plugin: PluginId) -> bool {
        self.root_context(plugin).is_ok()
    }

    /// Opens a stream. The guest learns of it when its headers arrive.
    ///
    /// # Errors
    ///
    /// If there is no such plugin.
    pub fn stream(&self, plugin: PluginId, attributes: Attributes) -> Result<Stream, Error> {
        let root = self.root_context(plugin)?;
        let mut worker = self.worker.borrow_mut();
        let host = worker.host_mut();
        let root_state = host.root(root).filter(|root| !root.retired);
        let config = &root_state.ok_or(Error::UnknownPlugin)?.plugin;
        let stream = StreamState::new(attributes, DEFAULT_BUFFER_LIMIT, config);
        let id = host.next_context();
        host.contexts.insert(id, Context::stream(root, stream));
        Ok(Stream::new(Rc::clone(&self.worker), id))
    }

    /// Fires a plugin's timer.
    ///
    /// # Errors
    ///
    /// If there is no such plugin, or the guest traps.
    pub fn tick(&self, plugin: PluginId) -> Result<(), Error> {
        let root = self.root_context(plugin)?;
        let mut worker = self.worker.borrow_mut();
        worker.notify(root, "proxy_on_tick", &[root]);
        worker.told()
    }

    /// The period of a plugin's timer; `None` if it is off.
    #[must_use]
    pub fn tick_period(&self, plugin: PluginId) -> Option<Duration> {
        let root = self.root_context(plugin).ok()?;
        let period = self.worker.borrow().host().root(root)?.tick_period;
        (!period.is_zero()).then_some(period)
    }

    /// The time that the guest sees, since 1970.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.worker.borrow().host().time
    }

    /// Sets the time. No timer fires.
    pub fn set_time(&self, since_epoch: Duration) {
        self.worker.borrow_mut().host_mut().time = since_epoch;
    }

    /// Advances the time and fires every timer that is due, in order.
    ///
    /// # Errors
    ///
    /// If the guest traps. The time is then that of the trap.
    pub fn advance(&self, duration: Duration) -> Result<(), Error> {
        let mut worker = self.worker.borrow_mut();
        let end = worker.host().time.saturating_add(duration);
        while let Some((due, root)) = worker.next_tick().filter(|(due, _)| *due <= end) {
            let host = worker.host_mut();
            host.time = host.time.max(due);
            if let Some(root) = host.root_mut(root) {
                root.next_tick = Some(due.saturating_add(root.tick_period));
            }
            worker.notify(root, "proxy_on_tick", &[root]);
            worker.told()?;
        }
        worker.host_mut().time = end;
        Ok(())
    }

    /// The HTTP call-outs that are waiting for an answer, the oldest first.
    #[must_use]
    pub fn http_calls(&self) -> Vec<HttpCall> {
        self.worker.borrow().host().http_calls.clone()
    }

    /// Answers an HTTP call-out.
    ///
    /// # Errors
    ///
    /// If no such call waits, or the guest traps.
    pub fn answer_http_call(&self, token: u32, answer: Answer) -> Result<(), Error> {
        self.end_http_call(token, Some(answer.received()))
    }

    /// Fails an HTTP call-out: the guest sees no headers, no body, no trailers, and the status `BrokenConnection`.
    ///
    /// # Errors
    ///
    /// If no such call waits, or the guest traps.
    pub fn fail_http_call(&self, token: u32) -> Result<(), Error> {
        self.end_http_call(token, None)
    }

    fn end_http_call(&self, token: u32, answer: Option<Answer>) -> Result<(), Error> {
        let mut worker = self.worker.borrow_mut();
        let calls = &mut worker.host_mut().http_calls;
        let at = calls.iter().position(|call| call.token == token);
        let root = calls.remove(at.ok_or(Error::UnknownCall { token })?).root_context;
        let (headers, body, trailers) = answer.as_ref().map_or((0, 0, 0), |answer| {
            let trailers = answer.trailers.as_ref().map_or(0, HeaderMap::len);
            (size(answer.headers.len()), size(answer.body.len()), size(trailers))
        });
        if answer.is_none() {
            worker.set_status(root, Status::BrokenConnection.code(), "reset");
        }
        worker.call_out(root, |call_out| call_out.http = answer);
        let arguments = [root, token, headers, body, trailers];
        worker.notify(root, "proxy_on_http_call_response", &arguments);
        worker.call_out(root, |call_out| call_out.http = None);
        worker.told()
    }

    /// The gRPC call-outs that are open, the oldest first.
    #[must_use]
    pub fn grpc_calls(&self) -> Vec<GrpcCall> {
        self.worker.borrow().host().grpc_calls.clone()
    }

    /// Delivers the peer's initial metadata to a gRPC call-out.
    ///
    /// # Errors
    ///
    /// If no such call is open, or the guest traps.
    pub fn grpc_initial_metadata(&self, token: u32, metadata: HeaderMap) -> Result<(), Error> {
        let mut worker = self.worker.borrow_mut();
        let root = worker.grpc_root(token)?;
        let count = size(metadata.len());
        worker.call_out(root, |call_out| call_out.grpc_initial_metadata = Some(metadata));
        worker.notify(root, "proxy_on_grpc_receive_initial_metadata", &[root, token, count]);
        worker.call_out(root, |call_out| call_out.grpc_initial_metadata = None);
        worker.told()
    }

    /// Delivers a message, without its frame, to a gRPC call-out. This ends a unary call.
    ///
    /// # Errors
    ///
    /// If no such call is open, or the guest traps.
    pub fn grpc_message(&self, token: u32, message: impl Into<Vec<u8>>) -> Result<(), Error> {
        let mut worker = self.worker.borrow_mut();
        let root = worker.grpc_root(token)?;
        let message = message.into();
        let length = size(message.len());
        worker.call_out(root, |call_out| call_out.grpc_message = Some(message));
        worker.notify(root, "proxy_on_grpc_receive", &[root, token, length]);
        worker.call_out(root, |call_out| call_out.grpc_message = None);
        if !is_grpc_stream_token(token) {
            worker.host_mut().grpc_calls.retain(|call| call.token != token);
        }
        worker.told()
    }

    /// Delivers the peer's trailing metadata to a gRPC call-out.
    ///
    /// # Errors
    ///
    /// If no such call is open, or the guest traps.
    pub fn grpc_trailing_metadata(&self, token: u32, metadata: HeaderMap) -> Result<(), Error> {
        let mut worker = self.worker.borrow_mut();
        let root = worker.grpc_root(token)?;
        let count = size(metadata.len());
        worker.call_out(root, |call_out| call_out.grpc_trailing_metadata = Some(metadata));
        worker.notify(root, "proxy_on_grpc_receive_trailing_metadata", &[root, token, count]);
        worker.call_out(root, |call_out| call_out.grpc_trailing_metadata = None);
        worker.told()
    }

    /// Ends a gRPC call-out with a gRPC status and a message.
    ///
    /// # Errors
    ///
    /// If no such call is open, or the guest traps.
    pub fn grpc_close(&self, token: u32, status: u32, message: &str) -> Result<(), Error> {
        let mut worker = self.worker.borrow_mut();
        let root = worker.grpc_root(token)?;
        worker.set_status(root, status, message);
        worker.notify(root, "proxy_on_grpc_close", &[root, token, status]);
        worker.set_status(root, status, "");
        worker.host_mut().grpc_calls.retain(|call| call.token != token);
        worker.told()
    }

    /// Notifies plugins of new entries in the queues that they registered, until no notification is due, at most
    /// `limit` times. Envoy does this from time to time. Returns the number of notifications.
    ///
    /// # Errors
    ///
    /// If the guest traps.
    pub fn announce_queues(&self, limit: usize) -> Result<usize, Error> {
        let mut worker = self.worker.borrow_mut();
        for told in 0..limit {
            let host = worker.host();
            let Some((root, token)) = host.config.shared.next_announcement(host.vm) else {
                return Ok(told);
            };
            if worker.host().root(root).is_some() {
                worker.notify(root, "proxy_on_queue_ready", &[root, token]);
                worker.told()?;
            }
        }
        Ok(limit)
    }

    /// Shared data and queues.
    #[must_use]
    pub fn shared(&self) -> Shared {
        self.worker.borrow().host().config.shared.clone()
    }

    /// Every metric that the guest has defined, by its name (without Envoy's `wasmcustom.`).
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, Metric> {
        self.worker.borrow().host().metrics.by_name()
    }

    /// The value of a counter or gauge; `None` if the guest has not defined one with this name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<u64> {
        match self.metrics().get(name)? {
            Metric::Counter(value) | Metric::Gauge(value) => Some(*value),
            Metric::Histogram(_) => None,
        }
    }

    /// Every line that the guest has logged.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.worker.borrow().host().logs.clone()
    }

    /// Whether the guest has logged a line of this level with `text` in it.
    #[must_use]
    pub fn has_logged(&self, level: LogLevel, text: &str) -> bool {
        let worker = self.worker.borrow();
        worker.host().logs.iter().any(|line| line.level == level && line.message.contains(text))
    }

    /// The trap by which the VM has failed.
    #[must_use]
    pub fn trap(&self) -> Option<Trap> {
        self.worker.borrow().trap.as_deref().cloned()
    }

    /// The fuel that the guest has used since it was instantiated: about one unit for each instruction, the same on
    /// every machine. Host functions cost nothing.
    #[must_use]
    pub fn fuel(&self) -> u64 {
        self.worker.borrow().fuel
    }

    /// How often the guest and the host have called each other since the guest was instantiated, for streams and for
    /// everything else.
    #[must_use]
    pub fn crossings(&self) -> Crossings {
        self.worker.borrow().host().crossings.clone()
    }

    /// The size of the guest's memory in bytes; it never shrinks.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.worker.borrow_mut().memory_bytes()
    }

    fn root_context(&self, plugin: PluginId) -> Result<u32, Error> {
        let worker = self.worker.borrow();
        let host = worker.host();
        let here = host.vm == plugin.vm && host.root(plugin.context).is_some();
        if here { Ok(plugin.context) } else { Err(Error::UnknownPlugin) }
    }
}
