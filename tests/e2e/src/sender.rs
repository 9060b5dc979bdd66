//! The SDKs as senders: the Rust SDK in this process, the others in programs in their own language, with the same flags
//! and output as `rust-sender`.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use tokio::process::Command;

use crate::{Export, Outcome, Sdk, SendError, rust_sdk};

/// The time for a runtime to start and load the SDK, in addition to the exports' own time.
const START_UP: Duration = Duration::from_secs(60);

/// Exports of one exporter, one after the other, with increasing record numbers.
#[derive(Clone, Debug)]
pub enum Series {
    /// One export for each number, which says how many of its records lack `source.name`.
    Without(Vec<usize>),
    /// As many exports as there is time for, and at least one.
    Lasting {
        /// From the first to the last.
        duration: Duration,
        /// The pause after each.
        every: Duration,
    },
}

impl Sdk {
    /// Sends once. The Rust SDK needs a multi-threaded tokio runtime.
    ///
    /// # Errors
    ///
    /// [`SendError::Missing`] if the sender has not been built; [`SendError::Sender`] with the last lines of its output
    /// if it failed, was killed, or printed nothing readable; [`SendError::NoExporter`] if the SDK does not have such
    /// an exporter. The Rust SDK can have other reasons not to send.
    pub async fn send(self, export: &Export) -> Result<Outcome, SendError> {
        let outcomes = self.send_series(export, &Series::Without(vec![export.without])).await?;
        match <[Outcome; 1]>::try_from(outcomes) {
            Ok([outcome]) => Ok(outcome),
            Err(outcomes) => {
                Err(self.stopped(format!("{} outcomes of one export", outcomes.len())))
            }
        }
    }

    /// Sends several times; each export has its own outcome. [`Export::without`] only matters in [`Series::Lasting`].
    ///
    /// # Errors
    ///
    /// As for [`Self::send`].
    pub async fn send_series(
        self,
        export: &Export,
        series: &Series,
    ) -> Result<Vec<Outcome>, SendError> {
        let &Export { signal, protocol, encoding, .. } = export;
        if !self.exports(signal, protocol, encoding) {
            return Err(SendError::NoExporter { sdk: self, signal, protocol, encoding });
        }
        let Some(command) = self.program()? else { return send_here(export, series).await };
        let output = self.run(command, export, series).await?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            return Err(self.stopped(format!("{}: {}", output.status, said())));
        }
        serde_json::Deserializer::from_slice(&output.stdout)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| self.stopped(format!("{error}: {}", said())))
    }

    /// The program without its arguments; `None` for the Rust SDK.
    fn program(self) -> Result<Option<Command>, SendError> {
        let root = envoy_local::workspace_root();
        let made = |path: &str, target| {
            let path = root.join(path);
            if path.exists() { Ok(path) } else { Err(SendError::Missing { path, target }) }
        };
        let mut command;
        match self {
            Self::Rust => return Ok(None),
            Self::Go => command = Command::new(made(".cache/go/sender", "go")?),
            Self::Java => {
                let classes = made(".cache/java/classes", "java")?;
                command = Command::new("java");
                // It starts twice as fast with only the first compiler.
                command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
                command.arg(format!(
                    "{}:{}/*",
                    classes.display(),
                    root.join(".cache/java/lib").display()
                ));
                command.arg("sluice.Send");
            }
            Self::JavaScript => {
                command = Command::new("node");
                command.arg(made(".cache/javascript/send.js", "javascript")?);
            }
            Self::Python => {
                command = Command::new(made(".cache/venv/bin/python", "venv")?);
                command.arg(root.join("tests/e2e/python/send.py"));
            }
        }
        Ok(Some(command))
    }

    async fn run(
        self,
        mut command: Command,
        export: &Export,
        series: &Series,
    ) -> Result<Output, SendError> {
        command.args(arguments(export, series));
        // The environment must not decide what is sent, nor through which proxy.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_"))
        {
            command.env_remove(name);
        }
        let host =
            export.endpoint.rsplit_once(':').map_or(export.endpoint.as_str(), |(host, _)| host);
        command.env("NO_PROXY", host).env("no_proxy", host);
        command.stdin(Stdio::null()).kill_on_drop(true);

        let limit = START_UP + series.patience(export);
        tokio::time::timeout(limit, command.output())
            .await
            .map_err(|_| self.stopped(format!("not done after {limit:?}")))?
            .map_err(|error| self.stopped(error.to_string()))
    }

    fn stopped(self, problem: String) -> SendError {
        let sender = match self {
            Self::Go => "tests/e2e/go",
            Self::Java => "tests/e2e/java",
            Self::JavaScript => "tests/e2e/javascript",
            Self::Python => "tests/e2e/python/send.py",
            Self::Rust => "tests/e2e/src/rust_sdk",
        };
        SendError::Sender { sender, problem }
    }
}

impl Series {
    /// How long it can take.
    fn patience(&self, export: &Export) -> Duration {
        match self {
            Self::Without(all) => {
                export.timeout.saturating_mul(u32::try_from(all.len()).unwrap_or(u32::MAX))
            }
            Self::Lasting { duration, .. } => *duration + export.timeout,
        }
    }
}

/// With the Rust SDK.
async fn send_here(export: &Export, series: &Series) -> Result<Vec<Outcome>, SendError> {
    let mut export = export.clone();
    let mut outcomes = Vec::new();
    match series {
        Series::Without(all) => {
            for &without in all {
                export.without = without;
                outcomes.push(rust_sdk::send(&export).await?);
                export.first += export.records;
            }
        }
        &Series::Lasting { duration, every } => {
            let began = Instant::now();
            while outcomes.is_empty() || began.elapsed() < duration {
                outcomes.push(rust_sdk::send(&export).await?);
                export.first += export.records;
                tokio::time::sleep(every).await;
            }
        }
    }
    Ok(outcomes)
}

fn arguments(export: &Export, series: &Series) -> Vec<String> {
    let path = |path: &Path| path.display().to_string();
    let seconds = |time: Duration| time.as_secs_f64().to_string();
    let mut arguments: Vec<String> = [
        ("--protocol", export.protocol.to_string()),
        ("--encoding", export.encoding.to_string()),
        ("--signal", export.signal.to_string()),
        ("--endpoint", export.endpoint.clone()),
        ("--cacert", path(&export.cacert)),
        ("--cert", path(&export.cert)),
        ("--key", path(&export.key)),
        ("--records", export.records.to_string()),
        ("--run-id", export.run_id.clone()),
        ("--padding", export.padding.to_string()),
        ("--timeout", seconds(export.timeout)),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    match series {
        Series::Without(all) => {
            let all: Vec<_> = all.iter().map(usize::to_string).collect();
            arguments.extend(["--without".to_owned(), all.join(",")]);
        }
        Series::Lasting { duration, every } => {
            arguments.extend(["--without".to_owned(), export.without.to_string()]);
            arguments.extend(["--for".to_owned(), seconds(*duration)]);
            arguments.extend(["--every".to_owned(), seconds(*every)]);
        }
    }
    if export.gzip {
        arguments.push("--gzip".to_owned());
    }
    for (name, value) in &export.headers {
        arguments.extend(["--header".to_owned(), format!("{name}={value}")]);
    }
    arguments
}
