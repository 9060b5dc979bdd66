//! `gate-local`: runs the gate on this machine until Ctrl-C.

mod welcome;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use envoy_local::{Options, Stack, workspace_root};
use sluice_stand_ins::Ports;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the gate on this machine: Envoy with the module, and stand-ins for Loki, Mimir, Tempo and Pyroscope.
///
/// Everything listens on loopback only. Each run makes certificates for four senders; two of them are on the allowlist.
/// After the start it prints commands that send something and show the result. Ctrl-C stops everything.
///
/// `make run` builds what this needs. Choose a port with a flag or a variable: GRPC_PORT=24317 make run
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// Port for OTLP/gRPC; 0 means a free port, here and for all other ports.
    #[arg(long, env, default_value_t = 4317)]
    grpc_port: u16,
    /// Port for OTLP/HTTP.
    #[arg(long, env, default_value_t = 4318)]
    http_port: u16,
    /// Port for Envoy's admin interface.
    #[arg(long, env, default_value_t = 9901)]
    admin_port: u16,
    /// Port for Loki's stand-in.
    #[arg(long, env, default_value_t = 3100)]
    loki_port: u16,
    /// Port for Mimir's stand-in.
    #[arg(long, env, default_value_t = 9009)]
    mimir_port: u16,
    /// Port for Tempo's stand-in. Tempo's usual port, 4318, is the gate's here.
    #[arg(long, env, default_value_t = 14318)]
    tempo_port: u16,
    /// Port for Tempo's stand-in, for OTLP/gRPC. Tempo's usual port, 4317, is the gate's here.
    #[arg(long, env, default_value_t = 14317)]
    tempo_grpc_port: u16,
    /// Port for Pyroscope's stand-in.
    #[arg(long, env, default_value_t = 4040)]
    pyroscope_port: u16,
    /// Runs the gate in an Envoy that cannot hold the headers until the body has been read (as with Istio's
    /// WasmPlugin).
    #[arg(long)]
    no_hold_headers: bool,
    /// Envoy's worker threads.
    #[arg(long, default_value_t = 1)]
    concurrency: u32,
    /// The module [default: dist/sluice.wasm of this workspace].
    #[arg(long)]
    module: Option<PathBuf>,
    /// Where certificates, configuration and log go [default: .run/gate-GRPC_PORT of this workspace].
    #[arg(long)]
    run_dir: Option<PathBuf>,
}

impl Arguments {
    fn options(self) -> Options {
        let run = workspace_root().join(format!(".run/gate-{}", self.grpc_port));
        let defaults = Options::default();
        Options {
            run_dir: self.run_dir.unwrap_or(run),
            module: self.module.unwrap_or(defaults.module.clone()),
            grpc_port: self.grpc_port,
            http_port: self.http_port,
            admin_port: self.admin_port,
            backends: Ports {
                loki: self.loki_port,
                mimir: self.mimir_port,
                tempo: self.tempo_port,
                tempo_grpc: self.tempo_grpc_port,
                pyroscope: self.pyroscope_port,
            },
            hold_headers: !self.no_hold_headers,
            concurrency: self.concurrency,
            ..defaults
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Arguments::parse().options();
    // Listens for signals from here on, so that a signal during the start also stops everything in order.
    let stopped = match stop_signal() {
        Ok(stopped) => stopped,
        Err(error) => return failure(&format!("cannot listen for signals: {error}")),
    };
    tokio::pin!(stopped);

    println!("Starting ...");
    let run_dir = options.run_dir.clone();
    let stack = tokio::select! {
        () = &mut stopped => return done(),
        started = Stack::start(options) => match started {
            Ok(stack) => stack,
            Err(error) => return failure(&error.to_string()),
        },
    };
    match welcome::text(&stack, &run_dir) {
        Ok(text) => println!("{text}"),
        Err(error) => {
            stack.stop().await;
            return failure(&error.to_string());
        }
    }
    let ended = tokio::select! {
        () = &mut stopped => None,
        status = stack.envoy_ended() => Some(status),
    };
    let Some(status) = ended else {
        println!("Stopping ...");
        stack.stop().await;
        return done();
    };
    let status = status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string());
    let log = stack.envoy_log_path().display().to_string();
    let last_lines = stack.envoy_last_lines().await;
    stack.stop().await;
    failure(&format!(
        "Envoy exited unexpectedly ({status}). The last lines of {log}:\n{last_lines}"
    ))
}

/// Resolves on Ctrl-C, on SIGTERM, or when the terminal closes.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

fn done() -> ExitCode {
    println!("Stopped. No process is left running.");
    ExitCode::SUCCESS
}

fn failure(message: &str) -> ExitCode {
    eprintln!("gate-local: {message}");
    ExitCode::FAILURE
}
