//! Runs every row of the benchmark for a moment, to check that each program starts from `envoy.yaml` as it is, that
//! each request is answered as its row says, and that the results are written. The Collector is not among the programs,
//! because it takes minutes to build; `make bench-envoy` builds it.

use anyhow::Result;
use sluice_bench_envoy::{
    machine::Machine,
    plan::{Effort, Group, Plan},
    plot,
    process::Cores,
    report, run,
    subject::Variant,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_runs_and_is_written_down() -> Result<()> {
    let mut plan = Plan::new(Effort::SMOKE);
    plan.only_variants(&[
        Variant::Bare,
        Variant::NoLog,
        Variant::Buffer,
        Variant::Gate,
        Variant::NoLua,
        Variant::NotHeld,
        Variant::TenantAlone,
        Variant::SendersOff,
        Variant::RecordsOff,
        Variant::Rotel,
    ]);
    // Another length of the allowlist is no other kind of row, and a gate takes a second to start.
    plan.rows.retain(|row| row.group != Group::Allow || row.size == 10_000);
    plan.memory.truncate(1);
    let (rows, latencies, memory) = (plan.rows.len(), plan.latencies.len(), plan.memory.len());
    let cores = Cores::of_this_machine()?;
    let folder = tempfile::tempdir()?;
    let results = run::run(plan, cores.clone(), &folder.path().join("run")).await?;
    assert!(results.failed.is_empty(), "{:#?}", results.failed);
    assert_eq!(results.rows.len(), rows);
    assert_eq!(results.latencies.len(), latencies);
    assert_eq!(results.memory.len(), memory);
    for row in &results.rows {
        assert!(
            row.cells.iter().all(|cell| cell.per_second[0] > 0.0),
            "{}: no request",
            row.row.name
        );
    }

    let plots = plot::all(&results, folder.path())?;
    assert_eq!(plots.len(), 4);
    for (file, _) in &plots {
        assert!(std::fs::read_to_string(file)?.starts_with("<svg"), "{}", file.display());
    }
    let text = report::markdown(&results, &Machine::look(&cores), Effort::SMOKE, &plots);
    let headings = Group::ALL.map(Group::heading);
    for heading in headings.into_iter().chain(["Figures to reach", "Latency", "Memory"]) {
        assert!(text.contains(&format!("\n## {heading}")), "{heading} is missing in:\n{text}");
    }
    Ok(())
}
