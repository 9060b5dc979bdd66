//! Checks that Envoy can load a module: valid WebAssembly that only imports host functions of proxy-wasm, exports what
//! the ABI requires, and stays within a size budget.

use std::collections::BTreeSet;

use wasm_encoder::{ExportKind, ExportSection, Module, RawSection};
use wasmparser::{BinaryReaderError, ExternalKind, Parser, Payload, Validator};

/// The exports that Envoy calls for a request, and those without which the module cannot start. Source: proxy-wasm ABI
/// 0.2.1, <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>.
const EXPORTS: &[&str] = &[
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_request_body",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_body",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
    "proxy_on_vm_start",
];

/// Exports of which the ABI requires one: the older name or the newer.
const ALTERNATIVES: &[[&str; 2]] =
    &[["_initialize", "_start"], ["proxy_on_memory_allocate", "malloc"]];

/// The module name of the host's functions. A module that also imports `wasi_snapshot_preview1` could be loaded, but
/// then something in it uses a clock, files or an environment, which the gate must not have.
const HOST: &str = "env";

/// Exports of the Rust SDK that do nothing in a module that does not implement them. Envoy calls whatever is exported,
/// so each would cost every request a call (`onLog` and `onDone` in proxy-wasm-cpp-host's `src/context.cc`); without
/// `proxy_on_done`, a context is done.
pub const IDLE_EXPORTS: &[&str] = &["proxy_on_done", "proxy_on_log"];

/// The requirements on a module, other than that it can be loaded.
#[derive(Debug)]
pub struct Requirements {
    /// The largest size allowed, in bytes.
    pub budget: usize,
    /// Texts that must not occur in the module, for example the path of the machine that built it.
    pub forbidden: Vec<String>,
}

/// A reason to reject a module.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not WebAssembly, or not valid.
    #[error("not a valid WebAssembly module: {0}")]
    Invalid(String),
    /// An import that Envoy does not offer, or that the gate must not use.
    #[error(
        "imports {module}.{name}: only {HOST}.* is allowed; build for wasm32-unknown-unknown and find the dependency that needs it"
    )]
    Import {
        /// The import's module.
        module: String,
        /// The import's name.
        name: String,
    },
    /// A function that the ABI requires is missing.
    #[error(
        "does not export {0}, which proxy-wasm ABI 0.2.1 requires: does filters/module still call \
         proxy_wasm::main! and is it a cdylib?"
    )]
    Export(String),
    /// An export that is to be left out is not there.
    #[error("does not export {0}: the SDK has changed, so look at what Envoy calls of the module")]
    NotThere(String),
    /// Larger than the budget, both in bytes.
    #[error(
        "is {size} bytes, {over} over the budget of {budget}: find out what grew, or raise the budget on purpose",
        over = size - budget
    )]
    Size {
        /// The module's size.
        size: usize,
        /// The largest size allowed.
        budget: usize,
    },
    /// A forbidden text.
    #[error("contains the text {0:?}: a path that --remap-path-prefix should have replaced")]
    Text(String),
}

/// Checks a module's bytes and returns all faults, in a stable order. A module without faults may be shipped.
#[must_use]
pub fn check(module: &[u8], requirements: &Requirements) -> Vec<Fault> {
    let mut faults = match Interface::read(module) {
        Ok(interface) => interface.faults(),
        Err(error) => vec![Fault::Invalid(error.to_string())],
    };
    if module.len() > requirements.budget {
        faults.push(Fault::Size { size: module.len(), budget: requirements.budget });
    }
    let forbidden = requirements.forbidden.iter().filter(|text| contains(module, text.as_bytes()));
    faults.extend(forbidden.map(|text| Fault::Text(text.clone())));
    faults
}

/// The module without the exports of these names. Nothing else changes; the functions stay, for whoever calls them
/// inside.
///
/// # Errors
/// If the module is not valid, or does not have one of them.
pub fn without_exports(module: &[u8], names: &[&str]) -> Result<Vec<u8>, Fault> {
    let invalid = |error: BinaryReaderError| Fault::Invalid(error.to_string());
    let mut left: BTreeSet<&str> = names.iter().copied().collect();
    let mut without = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(invalid)?;
        if let Payload::ExportSection(section) = payload {
            let mut exports = ExportSection::new();
            for export in section {
                let export = export.map_err(invalid)?;
                if !left.remove(export.name) {
                    let kind = kind(export.kind)
                        .ok_or_else(|| Fault::Invalid(format!("the kind of {}", export.name)))?;
                    exports.export(export.name, kind, export.index);
                }
            }
            without.section(&exports);
        } else if let Some((id, range)) = payload.as_section() {
            let [start, end] = [range.start, range.end].map(usize::try_from);
            let data = start.ok().zip(end.ok()).and_then(|(start, end)| module.get(start..end));
            without.section(&RawSection { id, data: data.unwrap_or_default() });
        }
    }
    match left.first() {
        Some(name) => Err(Fault::NotThere((*name).into())),
        None => Ok(without.finish()),
    }
}

const fn kind(kind: ExternalKind) -> Option<ExportKind> {
    Some(match kind {
        ExternalKind::Func => ExportKind::Func,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Global => ExportKind::Global,
        ExternalKind::Tag => ExportKind::Tag,
        ExternalKind::FuncExact => return None,
    })
}

/// A module's imports and exports.
struct Interface<'a> {
    imports: BTreeSet<(&'a str, &'a str)>,
    exports: BTreeSet<&'a str>,
}

impl<'a> Interface<'a> {
    fn read(module: &'a [u8]) -> Result<Self, BinaryReaderError> {
        Validator::new().validate_all(module)?;
        let mut interface = Self { imports: BTreeSet::new(), exports: BTreeSet::new() };
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        interface.imports.insert((import.module, import.name));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        interface.exports.insert(export?.name);
                    }
                }
                _ => {}
            }
        }
        Ok(interface)
    }

    fn faults(&self) -> Vec<Fault> {
        let foreign = self.imports.iter().filter(|(module, _)| *module != HOST);
        let foreign = foreign
            .map(|(module, name)| Fault::Import { module: (*module).into(), name: (*name).into() });
        let missing = EXPORTS.iter().filter(|name| !self.exports.contains(*name));
        let missing = missing.map(|name| Fault::Export((*name).into()));
        let neither = ALTERNATIVES
            .iter()
            .filter(|names| !names.iter().any(|name| self.exports.contains(name)));
        let neither = neither.map(|names| Fault::Export(names.join(" or ")));
        foreign.chain(missing).chain(neither).collect()
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests;
