//! `wasm-check`: rejects a module that Envoy would not load, or that is too large, and leaves out what Envoy need not
//! call.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use wasm_check::{IDLE_EXPORTS, Requirements, check, without_exports};

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
    /// Where to put the module without the exports that would only cost Envoy a call. Without this, it is only checked.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
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
    let module = match &arguments.output {
        None => module,
        Some(_) => match without_exports(&module, IDLE_EXPORTS) {
            Ok(module) => module,
            Err(fault) => {
                eprintln!("wasm-check: {name}: {fault}");
                return ExitCode::FAILURE;
            }
        },
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
    if !faults.is_empty() {
        return ExitCode::FAILURE;
    }
    if let Some(output) = arguments.output
        && let Err(error) = std::fs::write(&output, module)
    {
        eprintln!("wasm-check: {}: {error}", output.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
