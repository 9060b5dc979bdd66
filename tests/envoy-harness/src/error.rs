//! Errors and their texts.

use std::{fmt, io, path::PathBuf};

use crate::log::LogLine;

/// Why a module could not be loaded or driven.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the module {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The bytes are not a WebAssembly module, or it cannot be compiled.
    #[error("not a WebAssembly module: {reason}")]
    NotAModule {
        /// The message of the compiler.
        reason: String,
    },
    /// The module imports something that proxy-wasm 0.2.1 does not offer.
    #[error(
        "the module imports what proxy-wasm 0.2.1 does not offer: {}; WASI is not offered here: \
         build for wasm32-unknown-unknown",
        names.join(", ")
    )]
    UnknownImports {
        /// Each import as `module.name`.
        names: Vec<String>,
    },
    /// The module imports a host function with another signature.
    #[error("an import does not have the signature of proxy-wasm 0.2.1: {reason}")]
    ImportType {
        /// The import, and how it differs.
        reason: String,
    },
    /// The module does not export what every proxy-wasm module must.
    #[error("the module does not export {name}; {way_out}")]
    MissingExport {
        /// The export.
        name: &'static str,
        /// What to do so that the module exports it.
        way_out: &'static str,
    },
    /// The guest returned false when it was started or configured.
    #[error(transparent)]
    Refused(#[from] Box<Refused>),
    /// The guest trapped.
    #[error(transparent)]
    Trap(#[from] Box<Trap>),
    /// The VM has failed before, so it cannot take a plugin.
    #[error("the VM has failed and starts nothing any more: {0}")]
    Failed(Box<Trap>),
    /// This VM has no plugin with this id, or the plugin has been shut down.
    #[error("this VM has no such plugin: it was started in another VM, or shut down")]
    UnknownPlugin,
    /// No call-out with this token is waiting for an answer.
    #[error("no call-out with token {token} waits for an answer; see `http_calls`, `grpc_calls`")]
    UnknownCall {
        /// The token.
        token: u32,
    },
    /// The test did something that a peer of Envoy cannot do.
    #[error("{what}: {why}")]
    OutOfOrder {
        /// What the test tried to do.
        what: &'static str,
        /// Why this is not possible.
        why: &'static str,
    },
}

/// A guest that returned false from `proxy_on_vm_start` or `proxy_on_configure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The plugin's root id.
    pub root_id: String,
    /// The callback that returned false.
    pub callback: &'static str,
    /// What the guest logged during the attempt.
    pub logs: Vec<LogLine>,
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin \"{}\" was refused: {} answered false", self.root_id, self.callback)?;
        write_logs(f, &self.logs)
    }
}

/// A guest that trapped: because of a panic, an access outside its memory, or too much fuel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The exported function that was called.
    pub callback: String,
    /// The context for which it was called.
    pub context: u32,
    /// The root id of that context's plugin.
    pub root_id: String,
    /// The reason for the trap.
    pub reason: String,
    /// The guest's functions on the stack, the innermost first, if the module has names.
    pub backtrace: Vec<String>,
    /// The last lines that the guest logged. They include the panic message of a Rust guest if it has installed a hook
    /// that logs it, as the Rust SDK does.
    pub logs: Vec<LogLine>,
}

impl std::error::Error for Trap {}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { callback, context, root_id, reason, backtrace, logs } = self;
        write!(f, "{callback} trapped in context {context} of plugin \"{root_id}\": {reason}")?;
        for (depth, function) in backtrace.iter().enumerate() {
            write!(f, "\n  {depth}: {function}")?;
        }
        write_logs(f, logs)
    }
}

fn write_logs(f: &mut fmt::Formatter<'_>, logs: &[LogLine]) -> fmt::Result {
    if logs.is_empty() {
        return write!(f, "\n  the guest logged nothing");
    }
    write!(f, "\n  its last logs:")?;
    logs.iter().try_for_each(|line| write!(f, "\n    {line}"))
}
