//! Runs a row in wasm: the guest of `tests/bench/guest` on wasmtime.

use std::{path::Path, time::Duration};

use sluice_bench_work::Task;
use wasmtime::{
    Caller, Config, Engine, Extern, Instance, Linker, Module, Result, Store, bail, ensure,
    error::Context,
};

use crate::timing::Effort;

/// The guest, compiled once for any number of rows.
pub struct Guest {
    module: Module,
    linker: Linker<Host>,
}

/// The cost of a run in wasm.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The median time.
    pub time: Duration,
    /// The instance's memory at the end, in bytes, including the request. It never shrinks.
    pub memory: usize,
}

/// What the guest reads from its host.
#[derive(Default)]
struct Host {
    vm_configuration: Vec<u8>,
    plugin_configuration: Vec<u8>,
    /// The last line that the guest has logged.
    logged: String,
}

/// The root context of all calls.
const ROOT: u32 = 1;

impl Guest {
    /// Compiles the guest in a file.
    ///
    /// # Errors
    /// If the file does not exist, or is not a module.
    pub fn from_file(file: &Path) -> Result<Self> {
        // As in tests/envoy-harness, but without fuel: Envoy's engine does not count instructions.
        let engine = Engine::new(&Config::new())?;
        let module = Module::from_file(&engine, file)
            .with_context(|| format!("{}: build it with `make bench`", file.display()))?;
        let mut linker = Linker::new(&engine);
        linker.func_wrap("env", "proxy_get_buffer_bytes", buffer_bytes)?;
        linker.func_wrap("env", "proxy_log", log)?;
        linker.define_unknown_imports_as_traps(&module)?;
        Ok(Self { module, linker })
    }

    /// Runs a task on a request in a new instance, and returns the outcome and the cost.
    ///
    /// # Errors
    /// If the guest traps, or does not accept the task.
    pub fn measure(&self, task: &Task, request: &[u8], effort: Effort) -> Result<(String, Cost)> {
        let host = Host {
            vm_configuration: serde_json::to_vec(task)?,
            plugin_configuration: request.to_vec(),
            logged: String::new(),
        };
        let mut store = Store::new(self.module.engine(), host);
        let instance = self.linker.instantiate(&mut store, &self.module)?;
        self.start(&instance, &mut store)?;
        let outcome = store.data().logged.clone();
        let queue_ready =
            instance.get_typed_func::<(u32, u32), ()>(&mut store, "proxy_on_queue_ready")?;
        let time = effort.median(|times| queue_ready.call(&mut store, (ROOT, times)))?;
        let memory = instance.get_memory(&mut store, "memory").context("it exports no memory")?;
        Ok((outcome, Cost { time, memory: memory.data_size(&store) }))
    }

    fn start(&self, instance: &Instance, store: &mut Store<Host>) -> Result<()> {
        instance.get_typed_func::<(), ()>(&mut *store, "_initialize")?.call(&mut *store, ())?;
        instance
            .get_typed_func::<(u32, u32), ()>(&mut *store, "proxy_on_context_create")?
            .call(&mut *store, (ROOT, 0))?;
        for (callback, length) in [
            ("proxy_on_vm_start", store.data().vm_configuration.len()),
            ("proxy_on_configure", store.data().plugin_configuration.len()),
        ] {
            let length = u32::try_from(length)?;
            let accepted = instance
                .get_typed_func::<(u32, u32), u32>(&mut *store, callback)?
                .call(&mut *store, (ROOT, length))?;
            ensure!(accepted == 1, "{callback}: {}", store.data().logged);
        }
        Ok(())
    }
}

/// `proxy_get_buffer_bytes` of proxy-wasm 0.2.1, for the two configurations.
fn buffer_bytes(
    mut caller: Caller<'_, Host>,
    buffer: u32,
    start: u32,
    max: u32,
    return_data: u32,
    return_size: u32,
) -> Result<u32> {
    const VM_CONFIGURATION: u32 = 6;
    const PLUGIN_CONFIGURATION: u32 = 7;
    ensure!((start, max) == (0, u32::MAX), "the guest asks for a part of a configuration");
    let host = caller.data_mut();
    let bytes = match buffer {
        VM_CONFIGURATION => std::mem::take(&mut host.vm_configuration),
        PLUGIN_CONFIGURATION => std::mem::take(&mut host.plugin_configuration),
        other => bail!("the guest asks for buffer {other}, which is no configuration"),
    };
    let length = u32::try_from(bytes.len())?;
    let Some(Extern::Func(malloc)) = caller.get_export("malloc") else {
        bail!("the guest exports no malloc");
    };
    let data = malloc.typed::<u32, u32>(&caller)?.call(&mut caller, length)?;
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        bail!("the guest exports no memory");
    };
    memory.write(&mut caller, usize::try_from(data)?, &bytes)?;
    memory.write(&mut caller, usize::try_from(return_data)?, &data.to_le_bytes())?;
    memory.write(&mut caller, usize::try_from(return_size)?, &length.to_le_bytes())?;
    Ok(0)
}

/// `proxy_log` of proxy-wasm 0.2.1.
fn log(mut caller: Caller<'_, Host>, _level: u32, data: u32, size: u32) -> Result<u32> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        bail!("the guest exports no memory");
    };
    let mut text = vec![0; usize::try_from(size)?];
    memory.read(&caller, usize::try_from(data)?, &mut text)?;
    caller.data_mut().logged = String::from_utf8_lossy(&text).into_owned();
    Ok(0)
}
