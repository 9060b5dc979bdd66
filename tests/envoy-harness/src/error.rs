//! What can go wrong, and how it reads.

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
        /// What the system said.
        source: io::Error,
    },
    /// The bytes are not a WebAssembly module that can be compiled.
    #[error("not a WebAssembly module: {reason}")]
    NotAModule {
        /// What the compiler said.
        reason: String,
    },
    /// The module imports what no proxy-wasm 0.2.1 host offers.
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
        /// Which one, and how it differs.
        reason: String,
    },
    /// The module does not export what every proxy-wasm module must.
    #[error("the module does not export {name}; {way_out}")]
    MissingExport {
        /// The export.
        name: &'static str,
        /// How a module comes by it.
        way_out: &'static str,
    },
    /// The guest answered false when it was started or configured.
    #[error(transparent)]
    Refused(#[from] Box<Refused>),
    /// The guest trapped.
    #[error(transparent)]
    Trap(#[from] Box<Trap>),
    /// The VM has failed before, so it cannot take a plugin.
    #[error("the VM has failed and starts nothing any more: {0}")]
    Failed(Box<Trap>),
    /// There is no plugin of this id in this VM, or it has been shut down.
    #[error("this VM has no such plugin: it was started in another VM, or shut down")]
    UnknownPlugin,
    /// There is no call-out with this token that waits for an answer.
    #[error("no call-out with token {token} waits for an answer; see `http_calls`, `grpc_calls`")]
    UnknownCall {
        /// The token.
        token: u32,
    },
    /// The test did what no peer of Envoy's could do.
    #[error("{what}: {why}")]
    OutOfOrder {
        /// What was asked for.
        what: &'static str,
        /// Why it cannot be.
        why: &'static str,
    },
}

/// A guest that answered false to `proxy_on_vm_start` or `proxy_on_configure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The plugin's root id.
    pub root_id: String,
    /// The callback that answered false.
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

/// A guest that trapped: a panic, an access out of its memory, or too much fuel used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trap {
    /// The exported function that Envoy had called.
    pub callback: String,
    /// The context that it was called for.
    pub context: u32,
    /// The root id of that context's plugin.
    pub root_id: String,
    /// What the guest ran into.
    pub reason: String,
    /// The guest's functions, the innermost first, where the module has names.
    pub backtrace: Vec<String>,
    /// The last lines that the guest logged. A Rust guest's panic message is among them, if it
    /// has installed a hook that logs it, as the Rust SDK does.
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
