//! A compiled module.

use std::{fs, path::Path};

use wasmtime::{Config, Engine, ExternType, InstancePre, Linker, Store, WasmBacktraceDetails};

use crate::{abi, error::Error, host::Host, plugin::VmConfig};

/// A proxy-wasm module. It is compiled once for any number of [`Vm`](crate::Vm)s, is cheap to clone, and can be sent
/// between threads.
#[derive(Clone)]
pub struct Module {
    pub(crate) instance: InstancePre<Host>,
}

impl Module {
    /// Compiles the module in a file.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and if the file cannot be read.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
        Self::from_bytes(&bytes)
    }

    /// Compiles a module in the binary format.
    ///
    /// # Errors
    ///
    /// If the bytes are not a module; if it imports anything that is not in proxy-wasm 0.2.1, or imports it with
    /// another signature; if it lacks an export that the ABI requires: `proxy_abi_version_0_2_1` (or `_0_2_0`),
    /// `memory`, and `malloc` (or `proxy_on_memory_allocate`).
    pub fn from_bytes(wasm: &[u8]) -> Result<Self, Error> {
        let not_a_module =
            |error: wasmtime::Error| Error::NotAModule { reason: format!("{error:#}") };
        let mut config = Config::new();
        // Only function names are needed; looking for source lines is slow.
        config.consume_fuel(true).wasm_backtrace_details(WasmBacktraceDetails::Disable);
        let engine = Engine::new(&config).map_err(not_a_module)?;
        let module = wasmtime::Module::new(&engine, wasm).map_err(not_a_module)?;
        check_exports(&module)?;
        let mut linker = Linker::new(&engine);
        abi::define(&mut linker).map_err(not_a_module)?;
        check_imports(&module, &linker)?;
        let instance = linker
            .instantiate_pre(&module)
            .map_err(|error| Error::ImportType { reason: format!("{error:#}") })?;
        Ok(Self { instance })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.instance.module().engine()
    }
}

fn check_exports(module: &wasmtime::Module) -> Result<(), Error> {
    let exports = |names: &[&str]| {
        let has = |name: &&str| matches!(module.get_export(name), Some(ExternType::Func(_)));
        names.iter().any(has)
    };
    let missing = |name, way_out| Err(Error::MissingExport { name, way_out });
    if !exports(&["proxy_abi_version_0_2_1", "proxy_abi_version_0_2_0"]) {
        return missing("proxy_abi_version_0_2_1", "an SDK for proxy-wasm 0.2.1 exports it");
    }
    if !exports(&["malloc", "proxy_on_memory_allocate"]) {
        return missing("malloc", "an SDK exports it, or proxy_on_memory_allocate in its place");
    }
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return missing("memory", "every linker exports it unless it is told not to");
    }
    Ok(())
}

fn check_imports(module: &wasmtime::Module, linker: &Linker<Host>) -> Result<(), Error> {
    let mut store = Store::new(module.engine(), Host::new(0, VmConfig::new()));
    let names: Vec<String> = module
        .imports()
        .filter(|import| linker.get(&mut store, import.module(), import.name()).is_err())
        .map(|import| format!("{}.{}", import.module(), import.name()))
        .collect();
    if names.is_empty() { Ok(()) } else { Err(Error::UnknownImports { names }) }
}
