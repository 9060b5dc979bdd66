//! Prometheus as a sender: an agent that scrapes itself and writes to a gate.

use std::{fs::File, net::SocketAddr, path::Path, process::Stdio, time::Instant};

use envoy_local::SenderFiles;
use serde_json::json;
use tokio::process::{Child, Command};

use super::{GLANCE, Kind, PATIENCE, StoreError, find, free_address};

/// A target of an agent: itself, under this name.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The label `job`.
    pub job: &'a str,
    /// Labels that each of its series gets.
    pub labels: &'a [(&'a str, &'a str)],
}

/// A running agent. Dropping it kills it.
#[derive(Debug)]
pub struct Agent {
    address: SocketAddr,
    client: reqwest::Client,
    process: Child,
}

impl Agent {
    /// Starts an agent that scrapes itself twice a second for each target, and writes to `gate` with a sender's
    /// certificate. Its unsent data and its log are below `folder`.
    ///
    /// # Errors
    /// [`StoreError`] says what is missing.
    pub async fn start(
        gate: SocketAddr,
        ca: &Path,
        sender: &SenderFiles,
        targets: &[Target<'_>],
        folder: &Path,
    ) -> Result<Self, StoreError> {
        let program = find(Kind::Prometheus).await?;
        let started = |source| StoreError::Start { program: program.display().to_string(), source };
        let folder = folder.join("agent");
        std::fs::create_dir_all(&folder).map_err(started)?;
        let address = free_address().map_err(started)?;
        let scrape = |target: &Target<'_>| {
            let labels: serde_json::Map<_, _> = target
                .labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            json!({
                "job_name": target.job,
                "static_configs": [{ "targets": [address.to_string()], "labels": labels }],
                "metric_relabel_configs":
                    [{ "source_labels": ["__name__"], "regex": "go_goroutines", "action": "keep" }],
            })
        };
        // JSON is YAML.
        let config = json!({
            "global": { "scrape_interval": "500ms", "scrape_timeout": "400ms" },
            "scrape_configs": targets.iter().map(scrape).collect::<Vec<_>>(),
            "remote_write": [{
                "url": format!("https://{gate}/api/v1/write"),
                "headers": { "X-Scope-OrgID": "victim" },
                "tls_config": {
                    "ca_file": ca, "cert_file": sender.cert, "key_file": sender.key, "server_name": "localhost",
                },
                // One batch at a time, each with every series.
                "queue_config":
                    { "max_shards": 1, "batch_send_deadline": "1s", "min_backoff": "50ms", "max_backoff": "100ms" },
            }],
        });
        let file = folder.join("agent.json");
        std::fs::write(&file, config.to_string()).map_err(started)?;
        let log = File::create(folder.join("log")).map_err(started)?;
        let mut command = Command::new(&program);
        command.arg("--enable-feature=agent");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.agent.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        command.current_dir(&folder).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(log.try_clone().map_err(started)?).stderr(log);
        let process = command.spawn().map_err(started)?;
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.map_err(|error| started(std::io::Error::other(error)))?;
        let agent = Self { address, client, process };
        let deadline = Instant::now() + PATIENCE;
        while agent.metrics().await.is_none() {
            if Instant::now() > deadline {
                let log = std::fs::read(folder.join("log")).unwrap_or_default();
                let last_lines = String::from_utf8_lossy(&log).into_owned();
                let program = program.display().to_string();
                return Err(StoreError::NotReady { program, last_lines });
            }
            tokio::time::sleep(GLANCE).await;
        }
        Ok(agent)
    }

    /// Returns the sum of one of its own counters over all label values; 0 if it does not have the counter.
    pub async fn counter(&self, name: &str) -> f64 {
        let text = self.metrics().await.unwrap_or_default();
        let values = text.lines().filter_map(|line| {
            let (metric, value) = line.rsplit_once(' ')?;
            let is_it = metric.split('{').next() == Some(name);
            is_it.then(|| value.parse::<f64>().ok()).flatten()
        });
        values.sum()
    }

    /// Stops it and waits until it has exited.
    pub async fn stop(mut self) {
        // Only fails for a process that has already exited.
        let _ = self.process.kill().await;
    }

    async fn metrics(&self) -> Option<String> {
        let reply =
            self.client.get(format!("http://{}/metrics", self.address)).send().await.ok()?;
        reply.error_for_status().ok()?.text().await.ok()
    }
}
