//! Shows what the gate does: with real SDKs, four senders and real Envoy, and where the records end up.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use envoy_local::{Options, SenderName, Stack};
use sluice_e2e::{
    Export, Protocol,
    demo::{
        check,
        plan::{self, RECORDS, Row},
        read_back, table,
        table::Line,
    },
};

/// Starts the gate on free ports and sends to it with the OpenTelemetry SDKs for Python and Rust.
///
/// There are four senders: `payments` and `team-blue` are on the allowlist, `stranger` has a valid certificate but is
/// not on the allowlist, `outsider` has a certificate from another CA. Some records lack `source.name`: they should be
/// dropped, and the sender told. Some requests claim the tenant `victim`, which should stay empty. The stored records
/// are read back from the stand-in backends. If any row is not as expected, the expectation is printed and the exit
/// status is 1.
#[derive(Parser)]
#[command(
    after_help = "Needs what `make wasm` and `make venv` make; `make demo` does both and runs this."
)]
struct Arguments {
    /// forward the headers before the body has been read, as with a plain WasmPlugin (holdHeaders: false)
    #[arg(long)]
    no_hold_headers: bool,
}

/// Enough time for a failed handshake, and for the SDKs to retry it.
const OUTSIDERS_TIMEOUT: Duration = Duration::from_secs(2);

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether everything was as expected.
async fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let started = Instant::now();
    let options = Options { hold_headers: !arguments.no_hold_headers, ..Options::default() };
    let run_dir = options.run_dir.clone();
    let stack = Stack::start(options).await?;
    let sent = send_all(&stack).await;
    let tenants = read_back::tenants(stack.backends()).await;
    stack.stop().await;
    let (lines, tenants) = (sent?, tenants?);

    println!("{}", table::table(&lines));
    let mut right = true;
    for (index, line) in lines.iter().enumerate() {
        for problem in &line.problems {
            right = false;
            println!("row {} ({}): {problem}", index + 1, described(&line.row));
        }
    }
    for stored in tenants.iter().filter(|stored| stored.tenant == "victim") {
        right = false;
        println!("tenant victim: expected nothing, got {} in {}", stored.records, stored.backend);
    }
    if right {
        std::fs::remove_dir_all(&run_dir)?;
    } else {
        println!("Envoy's log, configuration and certificates: {}", run_dir.display());
    }
    let wrong = lines.iter().filter(|line| !line.problems.is_empty()).count();
    println!(
        "{} requests in {:.0?}, {wrong} not as they should be",
        lines.len(),
        started.elapsed()
    );
    Ok(right)
}

async fn send_all(stack: &Stack) -> Result<Vec<Line>, Failure> {
    let rows = plan::plan();
    let progress = Progress { total: rows.len(), terminal: std::io::stderr().is_terminal() };
    let mut lines = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        progress.show(index, &row);
        let run_id = format!("demo-{index}");
        let export = export(stack, &row, run_id.clone());
        let outcome = row.sdk.send(&export).await?;
        let stored = read_back::stored(stack.backends(), &run_id).await?;
        let problems = check::problems(&row, &outcome, &stored);
        lines.push(Line { row, outcome, stored, problems });
    }
    progress.done();
    Ok(lines)
}

fn export(stack: &Stack, row: &Row, run_id: String) -> Export {
    let files = stack.pki().sender(row.sender);
    let address = match row.protocol {
        Protocol::Grpc => stack.grpc_addr(),
        Protocol::Http => stack.http_addr(),
    };
    let identity = [stack.pki().ca_pem().to_owned(), files.cert.clone(), files.key.clone()];
    let mut export = Export::new(row.protocol, row.signal, address.to_string(), identity, run_id);
    export.records = RECORDS;
    export.without = row.without;
    export.gzip = row.gzip;
    export.headers.extend(row.claims.map(|tenant| ("X-Scope-OrgID".to_owned(), tenant.to_owned())));
    if row.sender == SenderName::Outsider {
        export.timeout = OUTSIDERS_TIMEOUT;
    }
    export
}

fn described(row: &Row) -> String {
    let gzip = if row.gzip { ", gzip" } else { "" };
    format!("{}, {}, {}, {}{gzip}", row.sender.as_str(), row.sdk, row.signal, row.protocol)
}

/// One line on standard error that is overwritten, or a line for each request if standard error is not a terminal.
struct Progress {
    total: usize,
    terminal: bool,
}

impl Progress {
    fn show(&self, index: usize, row: &Row) {
        let line = format!("[{}/{}] {}", index + 1, self.total, described(row));
        if self.terminal {
            eprint!("\r\x1b[K{line}");
            // Progress is optional, so errors do not matter.
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{line}");
        }
    }

    fn done(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
