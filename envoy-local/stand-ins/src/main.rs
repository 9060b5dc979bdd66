//! `stand-ins`: the stand-ins for Loki, Mimir, Tempo and Pyroscope as a program.

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;
use sluice_stand_ins::{Addresses, Backend, Backends};
use tokio::signal::unix::{SignalKind, signal};

/// Stand-ins for Loki, Mimir, Tempo and Pyroscope: they answer OTLP pushes as the real ones do, and show what they
/// stored under /standin/records. Everything is kept in memory. Ctrl-C or SIGTERM stops them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where Loki listens (POST /otlp/v1/logs); port 0 means a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3100")]
    loki: SocketAddr,
    /// Where Mimir listens (POST /otlp/v1/metrics)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9009")]
    mimir: SocketAddr,
    /// Where Tempo listens for OTLP/HTTP (POST /v1/traces)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:14318")]
    tempo: SocketAddr,
    /// Where Tempo listens for OTLP/gRPC
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:14317")]
    tempo_grpc: SocketAddr,
    /// Where Pyroscope listens (POST /v1development/profiles)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4040")]
    pyroscope: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { loki, mimir, tempo, tempo_grpc, pyroscope } = Arguments::parse();
    match run(Addresses { loki, mimir, tempo, tempo_grpc, pyroscope }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backends: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(addresses: Addresses) -> Result<(), Box<dyn std::error::Error>> {
    // Set up before the addresses are printed, because whoever reads them may send a signal at once.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let backends = Backends::start(addresses).await?;
    for backend in Backend::ALL {
        println!("{backend} http://{}", backends.address(backend));
    }
    println!("{} grpc://{}", Backend::Tempo, backends.tempo_grpc());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    backends.stop().await;
    Ok(())
}
