//! How a plugin and its VM are configured.

use std::{collections::BTreeMap, collections::BTreeSet, time::Duration};

use crate::{log::LogLevel, shared::Shared, status::Status};

/// A plugin's configuration (Envoy's `PluginConfig`).
#[derive(Clone, Debug, Default)]
pub struct PluginConfig {
    pub(crate) name: String,
    pub(crate) root_id: String,
    pub(crate) configuration: Vec<u8>,
    pub(crate) allow_on_headers_stop_iteration: bool,
}

impl PluginConfig {
    /// A plugin without a name and without a configuration.
    pub fn new(root_id: impl Into<String>) -> Self {
        Self { root_id: root_id.into(), ..Self::default() }
    }

    /// Sets the name: the property `plugin_name`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the configuration that the plugin reads.
    #[must_use]
    pub fn configuration(mut self, configuration: impl Into<Vec<u8>>) -> Self {
        self.configuration = configuration.into();
        self
    }

    /// Lets the body arrive while the filter has paused on headers (Envoy 1.35 and later). The default is off.
    #[must_use]
    pub const fn allow_on_headers_stop_iteration(mut self, allow: bool) -> Self {
        self.allow_on_headers_stop_iteration = allow;
        self
    }
}

/// A plugin that was started in a [`Vm`](crate::Vm).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PluginId {
    pub(crate) vm: usize,
    pub(crate) context: u32,
}

impl PluginId {
    /// The id of its root context, as the guest sees it.
    #[must_use]
    pub const fn context(self) -> u32 {
        self.context
    }
}

pub(crate) type ForeignFunction = Box<dyn FnMut(&[u8]) -> Result<Vec<u8>, Status> + Send>;

/// How a VM is set up (Envoy's `VmConfig`, and what the process around it offers).
pub struct VmConfig {
    pub(crate) vm_id: String,
    pub(crate) configuration: Vec<u8>,
    pub(crate) shared: Shared,
    pub(crate) time: Duration,
    pub(crate) log_level: LogLevel,
    pub(crate) clusters: Option<BTreeSet<String>>,
    pub(crate) foreign_functions: BTreeMap<String, ForeignFunction>,
    pub(crate) fuel_limit: u64,
    pub(crate) memory_limit: usize,
}

impl Default for VmConfig {
    fn default() -> Self {
        Self {
            vm_id: String::new(),
            configuration: Vec::new(),
            shared: Shared::new(),
            time: Duration::from_secs(1_700_000_000),
            log_level: LogLevel::Trace,
            clusters: None,
            foreign_functions: BTreeMap::new(),
            fuel_limit: 10_000_000_000,
            memory_limit: 1 << 30,
        }
    }
}

impl VmConfig {
    /// A VM without an id, with the time 14 November 2023, 22:13:20 UTC, in its own process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the id. VMs with the same id share data and queues if they have the same [`Shared`].
    #[must_use]
    pub fn vm_id(mut self, vm_id: impl Into<String>) -> Self {
        self.vm_id = vm_id.into();
        self
    }

    /// Sets the configuration that the guest reads when the VM starts.
    #[must_use]
    pub fn configuration(mut self, configuration: impl Into<Vec<u8>>) -> Self {
        self.configuration = configuration.into();
        self
    }

    /// Shares data and queues with other VMs.
    #[must_use]
    pub fn share(mut self, shared: &Shared) -> Self {
        self.shared = shared.clone();
        self
    }

    /// Sets the time that the guest sees, since 1970.
    #[must_use]
    pub const fn time(mut self, since_epoch: Duration) -> Self {
        self.time = since_epoch;
        self
    }

    /// Sets the level that `proxy_get_log_level` returns. Lines of every level are kept.
    #[must_use]
    pub const fn log_level(mut self, level: LogLevel) -> Self {
        self.log_level = level;
        self
    }

    /// Sets the existing clusters; a call-out to any other cluster fails. By default every cluster exists.
    #[must_use]
    pub fn clusters(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.clusters = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a foreign function. The function must not use the [`Vm`](crate::Vm) that calls it.
    #[must_use]
    pub fn foreign_function(
        mut self,
        name: impl Into<String>,
        function: impl FnMut(&[u8]) -> Result<Vec<u8>, Status> + Send + 'static,
    ) -> Self {
        self.foreign_functions.insert(name.into(), Box::new(function));
        self
    }

    /// Sets how much fuel one callback may use before it traps, at about one unit for each instruction. Envoy has no
    /// such limit; here it prevents a test from running for ever. The default is ten thousand million.
    #[must_use]
    pub const fn fuel_limit(mut self, fuel: u64) -> Self {
        self.fuel_limit = fuel;
        self
    }

    /// Sets the maximum size of the guest's memory in bytes. The default is 1 GiB, as in proxy-wasm-cpp-host's
    /// `include/proxy-wasm/limits.h`.
    #[must_use]
    pub const fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = bytes;
        self
    }
}
