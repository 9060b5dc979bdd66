//! Sends one OTLP export with the OpenTelemetry SDK for Rust, and prints the result.

use std::process::ExitCode;

use clap::Parser;
use sluice_e2e::{Export, Sdk};

/// Sends one OTLP export with the OpenTelemetry SDK for Rust, and prints the result as one line of JSON. The exit
/// status is 0 if a request was sent, whatever its result.
#[derive(Parser)]
#[command(
    after_help = "example: rust-sender --protocol grpc --signal logs --endpoint 127.0.0.1:4317 \
    --cacert ca.pem --cert payments.pem --key payments.key --records 10 --run-id try-1"
)]
struct Arguments {
    #[command(flatten)]
    export: Export,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { export } = Arguments::parse();
    match Sdk::Rust.send(&export).await.map(|outcome| serde_json::json!(outcome)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("rust-sender: {error}");
            ExitCode::FAILURE
        }
    }
}
