//! What the services in `envoy-local/docker-compose.yaml` run, run here: every health check against the program that it
//! asks, and how Prometheus gets its rules.

use std::{net::SocketAddr, path::Path, process::Output};

use envoy_local::{Options, Stack, workspace_root};
use serde::{Deserialize, de::DeserializeOwned};
use sluice_e2e::stores::{self, Kind, Store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};

/// A command as Compose's own code has read it (`make manifests`).
#[derive(Deserialize)]
struct Check {
    service: String,
    command: Vec<String>,
}

fn read<T: DeserializeOwned>(file: &str) -> T {
    let path = workspace_root().join(".cache/manifests").join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make manifests`", path.display()));
    serde_json::from_str(&text).unwrap()
}

impl Check {
    /// Runs the command with its program's fixed address replaced by the one here. Nothing else is changed.
    async fn run(&self, fixed: &str, here: &str) -> Output {
        let changed = self.command.iter().map(|argument| argument.replace(fixed, here));
        let changed: Vec<_> = changed.collect();
        assert_ne!(changed, self.command, "{}: {:?} asks {fixed}", self.service, self.command);
        execute(&changed).await
    }
}

async fn execute(command: &[String]) -> Output {
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).env("no_proxy", "*").kill_on_drop(true);
    process.output().await.unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A server that answers every request with this status, as long as it is not dropped.
async fn answering(status: &'static str) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            // One read has the whole head of such a short request.
            let _ = stream.read(&mut request).await;
            let reply =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    (address, task)
}

async fn stack(folder: &Path) -> Stack {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Stack::start(Options { run_dir: folder.join("run"), ..Options::default() }).await.unwrap()
}

/// A check that never succeeds keeps everything waiting that depends on it; one that always succeeds lets it start too
/// early. Envoy and Prometheus are the real ones. Grafana and the stores behind `backends-ready` are under the AGPL and
/// not downloaded: a server with their status stands in, and their paths are those of their manuals (`/api/health`,
/// `/ready`).
#[tokio::test(flavor = "multi_thread")]
async fn every_health_check_tells_a_program_that_is_ready_from_one_that_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut checked = Vec::new();
    for check in read::<Vec<Check>>("compose.checks.json") {
        let succeeds = |output: Output| {
            println!("{}: {:?}", check.service, output.status);
            output.status.success()
        };
        match check.service.as_str() {
            "envoy" => {
                let stack = stack(folder.path()).await;
                let fixed = "127.0.0.1/9901";
                let here = stack.admin_addr().to_string().replace(':', "/");
                assert!(succeeds(check.run(fixed, &here).await));
                stack.stop().await;
                assert!(!succeeds(check.run(fixed, &here).await));
            }
            "prometheus" => {
                let store = Store::start(Kind::Prometheus, folder.path()).await.unwrap();
                let (fixed, here) = ("127.0.0.1:9090", store.address().to_string());
                assert!(succeeds(check.run(fixed, &here).await));
                store.stop().await;
                assert!(!succeeds(check.run(fixed, &here).await));
            }
            "grafana" => {
                let url = "http://127.0.0.1:3000/api/health";
                assert!(check.command.contains(&url.to_owned()), "{:?}", check.command);
                for (status, healthy) in [("200 OK", true), ("503 Service Unavailable", false)] {
                    let (address, server) = answering(status).await;
                    let output = check.run("127.0.0.1:3000", &address.to_string()).await;
                    assert_eq!(succeeds(output), healthy, "{status}");
                    server.abort();
                }
            }
            "backends-ready" => {
                let asked = check.command.iter().filter(|argument| argument.ends_with("/ready"));
                assert_eq!(asked.count(), 4, "{:?}", check.command);
                for (status, ready) in [("200 OK", true), ("503 Service Unavailable", false)] {
                    let (address, server) = answering(status).await;
                    let mut command = check.command.clone();
                    // In place of the hosts' addresses; and without the pauses, of which there are 60.
                    command.extend(["--connect-to".to_owned(), format!("::{address}")]);
                    command.extend(["--retry", "0"].map(str::to_owned));
                    assert_eq!(succeeds(execute(&command).await), ready, "{status}");
                    server.abort();
                }
            }
            other => panic!("no test knows the program that {other} checks"),
        }
        checked.push(check.service);
    }
    assert_eq!(checked, ["backends-ready", "envoy", "grafana", "prometheus"]);
}

/// Compose's Prometheus reads the alerts of the cluster.
#[tokio::test]
async fn prometheus_reads_the_alerts() {
    #[derive(Deserialize)]
    struct Started {
        command: Vec<String>,
    }
    let folder = tempfile::tempdir().unwrap();
    let (rules, alerts) =
        (folder.path().join("alerts.yaml"), workspace_root().join("istio/monitoring/alerts.yaml"));
    let mut started: Started = read("compose.prometheus.json");
    let promtool = stores::promtool().await.unwrap();
    let script = started.command.last_mut().unwrap();
    *script = script.replace("/prometheus/alerts.yaml", &rules.display().to_string());
    *script = script.replace("/etc/alerts.yaml", &alerts.display().to_string());
    let (taken, _) = script.split_once("exec /bin/prometheus ").unwrap();
    *script = format!("{taken} exec {} check rules {}", promtool.display(), rules.display());
    let output = execute(&started.command).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("rules found"), "{said}");
}
