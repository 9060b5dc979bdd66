//! The OpenTelemetry SDK for Python as a sender: `tests/e2e/python/send.py` in the environment that
//! `make venv` makes.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::{Export, Outcome, SendError};

/// For the interpreter to start and import the SDK, on top of the export's own time.
const START_UP: Duration = Duration::from_secs(60);

/// Sends with the Python SDK.
///
/// # Errors
///
/// [`SendError::NoVenv`] where the environment is missing, [`SendError::Python`] with the script's last
/// words where it failed, was cut off, or said nothing that can be read.
pub async fn send(export: &Export) -> Result<Outcome, SendError> {
    match &mut send_for(export, Duration::ZERO, Duration::ZERO).await?[..] {
        [outcome] => Ok(outcome.clone()),
        outcomes => Err(SendError::Python(format!("{} outcomes of one export", outcomes.len()))),
    }
}

/// Exports again and again for so long, with a pause of `every` after each, and at least once; the records are
/// numbered on. Each export has its own outcome.
///
/// # Errors
///
/// As [`send`].
pub async fn send_for(
    export: &Export,
    duration: Duration,
    every: Duration,
) -> Result<Vec<Outcome>, SendError> {
    let root = envoy_local::workspace_root();
    let python = root.join(".cache/venv/bin/python");
    if !python.exists() {
        return Err(SendError::NoVenv(python));
    }
    let mut command = Command::new(python);
    command.arg(root.join("tests/e2e/python/send.py")).args(arguments(export));
    let seconds = |time: Duration| time.as_secs_f64().to_string();
    command.args(["--for", &seconds(duration), "--every", &seconds(every)]);
    // The sender's own surroundings must not decide what is sent, nor over which proxy.
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_"))
    {
        command.env_remove(name);
    }
    let host = export.endpoint.rsplit_once(':').map_or(export.endpoint.as_str(), |(host, _)| host);
    command.env("NO_PROXY", host).env("no_proxy", host);
    command.stdin(Stdio::null()).kill_on_drop(true);

    let limit = START_UP + export.timeout + duration;
    let output = tokio::time::timeout(limit, command.output())
        .await
        .map_err(|_| SendError::Python(format!("not done after {limit:?}")))?
        .map_err(|error| SendError::Python(error.to_string()))?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if !output.status.success() {
        return Err(SendError::Python(format!("{}: {}", output.status, said())));
    }
    serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| SendError::Python(format!("{error}: {}", said())))
}

fn arguments(export: &Export) -> Vec<String> {
    let path = |path: &PathBuf| path.display().to_string();
    let mut arguments: Vec<String> = [
        ("--protocol", export.protocol.to_string()),
        ("--signal", export.signal.to_string()),
        ("--endpoint", export.endpoint.clone()),
        ("--cacert", path(&export.cacert)),
        ("--cert", path(&export.cert)),
        ("--key", path(&export.key)),
        ("--records", export.records.to_string()),
        ("--without", export.without.to_string()),
        ("--run-id", export.run_id.clone()),
        ("--timeout", export.timeout.as_secs_f64().to_string()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    arguments.push(if export.gzip { "--gzip" } else { "--no-gzip" }.to_owned());
    for (name, value) in &export.headers {
        arguments.push("--header".to_owned());
        arguments.push(format!("{name}={value}"));
    }
    arguments
}
