//! The inside of a VM: the guest, and how it is called.

use std::{
    mem,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use wasmtime::{Instance, Store, Val, WasmBacktrace};

use crate::{
    context::{CallOut, Context, Root},
    error::{Error, Refused, Trap},
    host::{AfterCall, Host},
    module::Module,
    plugin::{PluginConfig, VmConfig},
};

/// How many of the last log lines a trap contains.
const LAST_LOGS: usize = 10;

pub(crate) struct Worker {
    module: Module,
    pub(crate) store: Store<Host>,
    pub(crate) instance: Option<Instance>,
    /// The trap by which this VM has failed. The guest is not called again.
    pub(crate) trap: Option<Box<Trap>>,
    trap_told: bool,
    pub(crate) fuel: u64,
}

/// The result of a call of an exported function.
pub(crate) enum Called {
    /// The module does not export it.
    Absent,
    /// The VM has failed, now or before.
    Failed,
    /// The returned value; 0 if the function returns nothing.
    Returned(u32),
}

impl Worker {
    /// Instantiates the module and lets it initialize itself (`WasmBase::startVm`).
    pub(crate) fn new(module: &Module, config: VmConfig) -> Result<Self, Error> {
        // The number only distinguishes VMs; it synchronizes nothing.
        static VMS: AtomicUsize = AtomicUsize::new(0);
        let host = Host::new(VMS.fetch_add(1, Ordering::Relaxed), config);
        let mut store = Store::new(module.engine(), host);
        store.limiter(|host| &mut host.limits);
        let mut worker = Self {
            module: module.clone(),
            store,
            instance: None,
            trap: None,
            trap_told: false,
            fuel: 0,
        };
        worker.refuel();
        match module.instance.instantiate(&mut worker.store) {
            Ok(instance) => worker.instance = Some(instance),
            Err(error) => worker.fail("instantiation", 0, &error),
        }
        let initialized = worker.call(0, "_initialize", &[]);
        let main: (&str, &[u32]) = match initialized {
            Called::Absent => ("_start", &[]),
            _ => ("main", &[0, 0]),
        };
        worker.call(0, main.0, main.1);
        worker.told()?;
        Ok(worker)
    }

    pub(crate) fn host(&self) -> &Host {
        self.store.data()
    }

    pub(crate) fn host_mut(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// The trap by which the VM has failed; returned only by the first call.
    pub(crate) fn told(&mut self) -> Result<(), Error> {
        match &self.trap {
            Some(trap) if !mem::replace(&mut self.trap_told, true) => Err(trap.clone().into()),
            _ => Ok(()),
        }
    }

    /// Calls an exported function for `context`. Actions that Envoy does after the guest has returned wait for
    /// [`settle`](Self::settle).
    pub(crate) fn call(&mut self, context: u32, callback: &str, arguments: &[u32]) -> Called {
        let Some(instance) = self.instance.filter(|_| self.trap.is_none()) else {
            return Called::Failed;
        };
        let Some(function) = instance.get_func(&mut self.store, callback) else {
            return Called::Absent;
        };
        let results = function.ty(&self.store).results().len();
        let mut results = vec![Val::I32(0); results];
        let arguments: Vec<Val> =
            arguments.iter().map(|&argument| Val::I32(argument.cast_signed())).collect();

        let host = self.host_mut();
        host.current = context;
        host.count_entry(callback);
        let fuel = self.refuel();
        let outcome = function.call(&mut self.store, &arguments, &mut results);
        let used = fuel.saturating_sub(self.store.get_fuel().unwrap_or_default());
        self.fuel = self.fuel.saturating_add(used);
        let host = self.host_mut();
        (host.current, host.effective) = (0, 0);
        if let Some(stream) = host.stream_mut(context) {
            stream.fuel = stream.fuel.saturating_add(used);
        }
        match outcome {
            Ok(()) => {
                Called::Returned(results.first().and_then(Val::i32).unwrap_or(0).cast_unsigned())
            }
            Err(error) => {
                self.fail(callback, context, &error);
                Called::Failed
            }
        }
    }

    /// Does the actions that were waiting for the guest to return.
    pub(crate) fn settle(&mut self) {
        self.host_mut().stop_next_iteration = false;
        while let Some(action) = self.host_mut().after_call.pop_front() {
            match action {
                AfterCall::Continue { context, direction } => self.resume(context, direction),
                AfterCall::Delete { root } => self.delete_root(root),
                AfterCall::Reply { context, reply } => self.reply(context, reply),
                AfterCall::Reset { context } => self.reset(context),
            }
        }
    }

    /// Calls a function whose result does not matter.
    pub(crate) fn notify(&mut self, context: u32, callback: &str, arguments: &[u32]) {
        self.call(context, callback, arguments);
        self.settle();
    }

    /// Starts a plugin. As in Envoy, this is first tried in a separate VM, so that a plugin that refuses its
    /// configuration or traps does not change this VM (`WasmHandleBase::canary`, proxy-wasm-cpp-host's `src/wasm.cc`).
    pub(crate) fn start(&mut self, plugin: &PluginConfig) -> Result<u32, Error> {
        if let Some(trap) = &self.trap {
            return Err(Error::Failed(trap.clone()));
        }
        let config = self.canary_config();
        let mut canary = Self::new(&self.module.clone(), config)?;
        let tried = canary.start_here(plugin);
        let foreign_functions = mem::take(&mut canary.host_mut().config.foreign_functions);
        self.host_mut().config.foreign_functions = foreign_functions;
        tried?;
        self.start_here(plugin)
    }

    fn start_here(&mut self, plugin: &PluginConfig) -> Result<u32, Error> {
        let id = self.host_mut().next_context();
        let logged = self.host().logs.len();
        let vm_configuration = size(self.host().config.configuration.len());
        let configuration = size(plugin.configuration.len());
        let root = Context::root(id, Root::new(plugin.clone()));
        self.host_mut().contexts.insert(id, root);
        self.configuring(id, true);
        self.notify(id, "proxy_on_context_create", &[id, 0]);
        self.configuring(id, false);
        let steps = [
            ("proxy_on_vm_start", vm_configuration, false),
            ("proxy_on_configure", configuration, true),
        ];
        for (callback, size, configuring) in steps {
            self.configuring(id, configuring);
            let called = self.call(id, callback, &[id, size]);
            self.settle();
            self.configuring(id, false);
            if matches!(called, Called::Returned(0)) {
                self.host_mut().contexts.remove(&id);
                let logs = self.host().logs.get(logged..).unwrap_or_default().to_vec();
                let root_id = plugin.root_id.clone();
                return Err(Box::new(Refused { root_id, callback, logs }).into());
            }
        }
        self.told()?;
        Ok(id)
    }

    fn configuring(&mut self, id: u32, yes: bool) {
        if let Some(root) = self.host_mut().root_mut(id) {
            root.configuring = yes;
        }
    }

    fn canary_config(&mut self) -> VmConfig {
        let host = self.host_mut();
        let config = &mut host.config;
        VmConfig {
            vm_id: config.vm_id.clone(),
            configuration: config.configuration.clone(),
            shared: config.shared.clone(),
            time: host.time,
            log_level: config.log_level,
            clusters: config.clusters.clone(),
            foreign_functions: mem::take(&mut config.foreign_functions),
            fuel_limit: config.fuel_limit,
            memory_limit: config.memory_limit,
        }
    }

    /// Ends a plugin when its last stream has ended (`WasmBase::startShutdown`).
    pub(crate) fn retire(&mut self, id: u32) {
        let host = self.host_mut();
        let in_use = host.contexts.values().any(|c| c.root == id && c.as_stream().is_some());
        let Some(root) = host.root_mut(id) else { return };
        root.retired = true;
        root.next_tick = None;
        if in_use || root.pending_done {
            return;
        }
        // Set before the call, because the guest may call proxy_done during it.
        root.pending_done = true;
        let called = self.call(id, "proxy_on_done", &[id]);
        if matches!(called, Called::Returned(0)) {
            self.settle();
            return;
        }
        if let Some(root) = self.host_mut().root_mut(id) {
            root.pending_done = false;
        }
        self.settle();
        self.delete_root(id);
    }

    fn delete_root(&mut self, id: u32) {
        if self.host().root(id).is_none() {
            return;
        }
        self.notify(id, "proxy_on_delete", &[id]);
        let host = self.host_mut();
        host.contexts.remove(&id);
        host.http_calls.retain(|call| call.root_context != id);
        host.grpc_calls.retain(|call| call.root_context != id);
    }

    /// The time of the next timer, and its plugin.
    pub(crate) fn next_tick(&self) -> Option<(Duration, u32)> {
        let due = |(id, context): (&u32, &Context)| Some((context.as_root()?.next_tick?, *id));
        self.host().contexts.iter().filter_map(due).min()
    }

    /// The root context of an open gRPC call-out.
    pub(crate) fn grpc_root(&self, token: u32) -> Result<u32, Error> {
        let call = self.host().grpc_calls.iter().find(|call| call.token == token);
        call.map(|call| call.root_context).ok_or(Error::UnknownCall { token })
    }

    pub(crate) fn call_out(&mut self, root: u32, change: impl FnOnce(&mut CallOut)) {
        if let Some(root) = self.host_mut().root_mut(root) {
            change(&mut root.call_out);
        }
    }

    pub(crate) fn set_status(&mut self, context: u32, code: u32, message: &str) {
        if let Some(context) = self.host_mut().contexts.get_mut(&context) {
            context.status = (code, message.into());
        }
    }

    pub(crate) fn memory_bytes(&mut self) -> usize {
        let memory = self.instance.and_then(|guest| guest.get_memory(&mut self.store, "memory"));
        memory.map_or(0, |memory| memory.data_size(&self.store))
    }

    /// Sets the fuel for one callback, and returns how much it is.
    fn refuel(&mut self) -> u64 {
        let fuel = self.host().config.fuel_limit;
        // Only fails if fuel is off, and `Module` turns it on.
        if self.store.set_fuel(fuel).is_err() { 0 } else { fuel }
    }

    fn fail(&mut self, callback: &str, context: u32, error: &wasmtime::Error) {
        let host = self.host_mut();
        let root = host.contexts.get(&context).map_or(0, |context| context.root);
        let root_id = host.root(root).map_or_else(String::new, |r| r.plugin.root_id.clone());
        let logs = host.logs.len().saturating_sub(LAST_LOGS);
        let logs = host.logs.get(logs..).unwrap_or_default().to_vec();
        let trap = Trap {
            callback: callback.into(),
            context,
            root_id,
            reason: error.root_cause().to_string(),
            backtrace: error.downcast_ref::<WasmBacktrace>().map(functions).unwrap_or_default(),
            logs,
        };
        self.trap = Some(Box::new(trap));
    }
}

fn functions(backtrace: &WasmBacktrace) -> Vec<String> {
    let name = |frame: &wasmtime::FrameInfo| {
        let symbol = frame.symbols().first().and_then(|symbol| symbol.name());
        let name = symbol.or(frame.func_name()).map(ToOwned::to_owned);
        name.unwrap_or_else(|| format!("function {}", frame.func_index()))
    };
    backtrace.frames().iter().map(name).collect()
}

pub(crate) fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
