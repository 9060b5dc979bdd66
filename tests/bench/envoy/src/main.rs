//! `make bench-envoy`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, ensure};
use clap::Parser;
use envoy_local::workspace_root;
use sluice_bench_envoy::{
    machine::Machine,
    plan::{Effort, Plan},
    plot,
    process::Cores,
    report, run,
};
use tokio::signal::unix::{SignalKind, signal};

/// Measures what the gate costs in Envoy.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only rows that have this text in their names or in the headings of their tables.
    #[arg(long)]
    rows: Option<String>,
    /// Short measurements, for a first look.
    #[arg(long)]
    quick: bool,
    /// The folder for the results. By default tests/bench for everything, and .cache/bench for a part or a quick look.
    #[arg(long, value_parser = |path: &str| std::path::absolute(path))]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nbench-envoy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let arguments = Arguments::parse();
    let cores = Cores::of_this_machine()?;
    // Before the runtime starts its threads, because they inherit it.
    cores.keep_to_load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.for_load())
        .enable_all()
        .build()?;
    runtime.block_on(bench(arguments, cores))
}

async fn bench(arguments: Arguments, cores: Cores) -> Result<()> {
    let mut plan = Plan::new(if arguments.quick { Effort::QUICK } else { Effort::FULL });
    if let Some(text) = &arguments.rows {
        plan.only(text);
        ensure!(!plan.is_empty(), "no row has {text:?} in its name");
    }
    let published = workspace_root().join("tests/bench");
    let out = arguments.out.unwrap_or_else(|| {
        let part = arguments.quick || arguments.rows.is_some();
        if part { workspace_root().join(".cache/bench") } else { published.clone() }
    });
    // Other files have figures of a whole run on a quiet machine.
    let publish = arguments.rows.is_none() && out == published;
    let takes = plan.takes().as_secs();
    eprintln!(
        "about {} minutes and {} seconds; results in {}",
        takes / 60,
        takes % 60,
        out.display()
    );
    let folder = workspace_root().join(".run").join(format!("bench-{}", std::process::id()));
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let effort = plan.effort;
    let results = tokio::select! {
        results = run::run(plan, cores.clone(), &folder) => results?,
        // Dropping the run ends everything that it has started.
        _ = interrupt.recv() => return stopped(&folder),
        _ = terminate.recv() => return stopped(&folder),
    };
    let machine = Machine::look(&cores);
    let out =
        if publish && results.too_busy() { workspace_root().join(".cache/bench") } else { out };
    let plots = plot::all(&results, &out.join("plots"))?;
    let text = report::markdown(&results, &machine, effort, &plots);
    std::fs::write(out.join("RESULTS.md"), &text)?;
    if publish && results.too_busy() {
        eprintln!(
            "\nthe machine was busy: the published figures stay, and these are in {}",
            out.display()
        );
    } else if publish {
        report::fill_in(&workspace_root().join("README.md"), &report::summary(&results))?;
        report::fill_in(&workspace_root().join("istio/README.md"), &report::sizing(&results))?;
    }
    eprintln!();
    println!("{text}");
    ensure!(results.failed.is_empty(), "some rows could not be measured: {:?}", results.failed);
    Ok(())
}

fn stopped(folder: &Path) -> Result<()> {
    let _ = std::fs::remove_dir_all(folder);
    anyhow::bail!("stopped; nothing was written")
}
