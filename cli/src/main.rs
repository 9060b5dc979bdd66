//! The command `sluice`.

use std::process::ExitCode;

use clap::Parser;
use sluice_cli::{args::Cli, run};

fn main() -> ExitCode {
    match run::run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("sluice: {error:#}");
            ExitCode::from(run::UNREADABLE)
        }
    }
}
