//! Rotel as a sender: a collector in Rust that receives OTLP on loopback and exports it to the gate. `make rotel`
//! downloads it.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal as Kill, kill_process};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
};

use crate::{Protocol, SendError, Signal, client::Alpn, tunnel::Tunnel};

/// The time for it to start, and to exit after it was told to.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time between two checks whether it has started.
const PAUSE: Duration = Duration::from_millis(20);

/// A running Rotel. Dropping it kills it.
#[derive(Debug)]
pub struct Rotel {
    agent: Child,
    _tunnel: Tunnel,
    receiver: SocketAddr,
    client: reqwest::Client,
    said: Arc<Mutex<Vec<Said>>>,
    reader: JoinHandle<()>,
}

/// What Rotel logs about an export. It logs nothing about a success, and a partial success counts as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The export failed, and Rotel retries after a pause.
    Again {
        /// The answer, as Rotel prints it.
        answer: String,
    },
    /// The export failed, and its records are dropped.
    Dropped {
        /// The answer, as Rotel prints it.
        answer: String,
    },
    /// Anything else.
    Other(String),
}

/// A line of its log.
#[derive(Deserialize)]
struct Line {
    msg: String,
    status: Option<String>,
    error: Option<String>,
}

impl From<Line> for Said {
    fn from(line: Line) -> Self {
        match (line.msg.as_str(), line.status, line.error) {
            ("Exporting failed, will retry again after delay.", Some(answer), _) => {
                Self::Again { answer }
            }
            ("Exporting failed, dropping data.", _, Some(answer)) => Self::Dropped { answer },
            _ => Self::Other(line.msg),
        }
    }
}

impl Rotel {
    /// Starts it with an OTLP exporter to the gate at `endpoint` (`HOST:PORT`), as the sender with this CA, certificate
    /// and key. It sends at once, and retries after about 0.1 s; all other settings are Rotel's defaults.
    ///
    /// A tunnel shows the certificate, because Rotel reads its key and its CA as certificates too, and does not start
    /// with them (`into_exporter_config` in its `src/init/otlp_exporter.rs`).
    ///
    /// # Errors
    ///
    /// [`SendError::Missing`] if it has not been downloaded; [`SendError::Sender`] if it does not start; otherwise an
    /// error that names the file of `identity` that cannot be used.
    pub async fn start(
        protocol: Protocol,
        endpoint: &str,
        identity: &[PathBuf; 3],
    ) -> Result<Self, SendError> {
        let path = envoy_local::workspace_root().join(".cache/rotel/rotel/rotel-agent");
        if !path.exists() {
            return Err(SendError::Missing { path, target: "rotel" });
        }
        // Rotel does not support port 0.
        let [grpc, receiver] = free_addresses().map_err(failed)?;
        let alpn = match protocol {
            Protocol::Grpc => Alpn::Http2,
            Protocol::Http => Alpn::Http1,
        };
        let tunnel = Tunnel::open(endpoint, identity, alpn).await?;
        let mut command = Command::new(path);
        command.args(["--log-format", "json", "start", "--disable-batching", "--exporter", "otlp"]);
        for (name, value) in [
            ("--otlp-grpc-endpoint", grpc.to_string()),
            ("--otlp-http-endpoint", receiver.to_string()),
            ("--otlp-exporter-protocol", protocol.to_string()),
            ("--otlp-exporter-endpoint", format!("http://{}", tunnel.addr)),
            ("--otlp-exporter-retry-initial-backoff", "100ms".to_owned()),
        ] {
            command.arg(name).arg(value);
        }
        for (name, _) in std::env::vars_os() {
            let decides = ["OTEL_", "ROTEL_", "RUST_LOG"];
            if decides.iter().any(|one| name.to_string_lossy().starts_with(one)) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut agent = command.spawn().map_err(failed)?;
        let said = Arc::<Mutex<Vec<Said>>>::default();
        let stdout = agent.stdout.take().ok_or_else(|| failed("it has no output"))?;
        let reader = tokio::spawn(read(stdout, Arc::clone(&said)));
        // A proxy in the environment must not be used either.
        let client = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
        let mut rotel = Self { agent, _tunnel: tunnel, receiver, client, said, reader };
        rotel.listening().await?;
        Ok(rotel)
    }

    async fn listening(&mut self) -> Result<(), SendError> {
        let listening = async {
            loop {
                if let Some(status) = self.agent.try_wait().map_err(failed)? {
                    return Err(failed(format!("{status}: {:?}", self.said())));
                }
                if TcpStream::connect(self.receiver).await.is_ok() {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, listening)
            .await
            .map_err(|_| failed(format!("it does not listen after {PATIENCE:?}")))?
    }

    /// Sends it an export request in protobuf. Rotel accepts the request before it has forwarded it.
    ///
    /// # Errors
    ///
    /// [`SendError::Sender`] if Rotel does not accept it.
    pub async fn give(&self, signal: Signal, request: Vec<u8>) -> Result<(), SendError> {
        let url = format!("http://{}/v1/{signal}", self.receiver);
        let request =
            self.client.post(url).header("content-type", "application/x-protobuf").body(request);
        let taken = request.send().await.and_then(reqwest::Response::error_for_status);
        taken.map(|_| ()).map_err(failed)
    }

    /// What it has logged so far.
    #[must_use]
    pub fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets it send what is pending and exit, and returns its log.
    ///
    /// # Errors
    ///
    /// [`SendError::Sender`] if it does not exit, or exits with an error.
    pub async fn stop(mut self) -> Result<Vec<Said>, SendError> {
        let pid = self.agent.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Kill::TERM).map_err(failed)?;
        }
        let ended = tokio::time::timeout(PATIENCE, self.agent.wait()).await;
        let status = ended.map_err(|_| failed(format!("it does not end in {PATIENCE:?}")))?;
        (&mut self.reader).await.map_err(failed)?;
        match status.map(|status: ExitStatus| status.success()) {
            Ok(true) => Ok(self.said()),
            ended => Err(failed(format!("{ended:?}: {:?}", self.said()))),
        }
    }
}

async fn read(output: ChildStdout, said: Arc<Mutex<Vec<Said>>>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let line = serde_json::from_str::<Line>(&line).map_or(Said::Other(line), Said::from);
        said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

/// Two ports that were free a moment ago.
fn free_addresses() -> std::io::Result<[SocketAddr; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [listen()?, listen()?];
    let [grpc, http] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([grpc?, http?])
}

fn failed(problem: impl std::fmt::Display) -> SendError {
    SendError::Sender { sender: "rotel-agent", problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Said {
        serde_json::from_str::<Line>(line).expect("a line of a log").into()
    }

    #[test]
    fn what_is_sent_again_is_told_from_what_is_dropped() {
        let again = r#"{"msg":"Exporting failed, will retry again after delay.","status":"503"}"#;
        assert_eq!(read(again), Said::Again { answer: "503".to_owned() });
        let dropped = r#"{"msg":"Exporting failed, dropping data.","error":"400"}"#;
        assert_eq!(read(dropped), Said::Dropped { answer: "400".to_owned() });
        assert_eq!(read(r#"{"msg":"Starting Rotel."}"#), Said::Other("Starting Rotel.".to_owned()));
    }
}
