//! `wasm-check`: rejects a module that Envoy would not load, or that is too large.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use wasm_check::{Requirements, check};

/// Checks a proxy-wasm module: its imports, its exports and its size.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The module.
    module: PathBuf,
    /// The largest size allowed, in KiB.
    #[arg(long, default_value_t = 890)]
    budget_kib: usize,
    /// A text that must not occur in the module, such as a path of this machine. May be given more than once.
    #[arg(long, value_name = "TEXT")]
    forbid_text: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let name = arguments.module.display();
    let module = match std::fs::read(&arguments.module) {
        Ok(module) => module,
        Err(error) => {
            eprintln!("wasm-check: {name}: {error}: build it with `make wasm`");
            return ExitCode::FAILURE;
        }
    };
    let requirements = Requirements {
        budget: arguments.budget_kib.saturating_mul(1024),
        forbidden: arguments.forbid_text,
    };
    let faults = check(&module, &requirements);
    for fault in &faults {
        eprintln!("wasm-check: {name}: {fault}");
    }
    println!(
        "{name}: {:.1} KiB of at most {} KiB",
        module.len() as f64 / 1024.0,
        arguments.budget_kib
    );
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
