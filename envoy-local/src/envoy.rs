//! The Envoy process: finds or downloads Envoy, then starts, watches and stops it.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{oneshot, watch};

/// How often the process is polled.
const GLANCE: Duration = Duration::from_millis(20);

/// How long Envoy may take to stop after it was asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Why Envoy could not be found or started.
#[derive(Debug, thiserror::Error)]
pub enum EnvoyError {
    /// The script that finds or downloads Envoy could not be run.
    #[error("cannot run {}: {source}", script.display())]
    Script {
        /// The script.
        script: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No Envoy could be found or downloaded, or the one in the variable `ENVOY` is too old.
    #[error("{0}")]
    NotFound(String),
    /// The process could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// Envoy.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Returns the path of an Envoy that is new enough: the one in the variable `ENVOY`, or the pinned one, which is
/// downloaded if necessary.
///
/// # Errors
/// If `fetch-envoy.sh` fails; the error contains its message.
pub(crate) async fn find() -> Result<PathBuf, EnvoyError> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fetch-envoy.sh");
    let output = tokio::process::Command::new(&script).output().await;
    let output = output.map_err(|source| EnvoyError::Script { script, source })?;
    if output.status.success() {
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
    } else {
        Err(EnvoyError::NotFound(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()))
    }
}

/// How to start Envoy.
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    pub(crate) config: &'a Path,
    /// The file into which Envoy writes the address of its admin interface.
    pub(crate) admin_address: &'a Path,
    /// The file for Envoy's output.
    pub(crate) log: &'a Path,
    /// Worker threads.
    pub(crate) concurrency: u32,
}

/// A running Envoy. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Envoy {
    pid: u32,
    ended: watch::Receiver<Option<ExitStatus>>,
    /// `drop` takes this end of the channel, and the keeper thread then sees that no more orders can come.
    orders: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Envoy {
    /// Starts Envoy. Envoy is not ready yet when this returns.
    ///
    /// # Errors
    /// If the log cannot be written or the program cannot be run.
    pub(crate) async fn start(start: Start<'_>) -> Result<Self, EnvoyError> {
        let program = start.program.to_owned();
        let failed = |source| EnvoyError::Start { program, source };
        let command = match command(&start) {
            Ok(command) => command,
            Err(source) => return Err(failed(source)),
        };
        let (orders, listening) = mpsc::channel();
        let (tell, ended) = watch::channel(None);
        let (started, pid) = oneshot::channel();
        let keeper = std::thread::spawn(move || keep(command, started, &listening, &tell));
        let pid = match pid.await {
            Ok(Ok(pid)) => pid,
            Ok(Err(source)) => return Err(failed(source)),
            Err(_) => {
                return Err(failed(std::io::Error::other(
                    "the thread that starts Envoy has ended",
                )));
            }
        };
        Ok(Self { pid, ended, orders: Some(orders), keeper: Some(keeper) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until Envoy has exited, for whatever reason.
    pub(crate) async fn ended(&self) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        // An error means that the keeper thread has ended, and it ends after Envoy.
        ended.wait_for(Option::is_some).await.ok().and_then(|status| *status)
    }

    /// Asks Envoy to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        if let Some(orders) = &self.orders {
            // If the keeper thread has ended, Envoy has ended too.
            let _ = orders.send(());
        }
        self.ended().await;
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(keeper) = self.keeper.take() {
            // The thread does not panic, and there is nobody to report to.
            let _ = keeper.join();
        }
    }
}

fn command(start: &Start<'_>) -> std::io::Result<Command> {
    let log = File::create(start.log)?;
    let mut command = match dies_with_us() {
        true => {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--pdeathsig", "KILL", "--"]).arg(start.program);
            setpriv
        }
        false => Command::new(start.program),
    };
    command
        .arg("--config-path")
        .arg(start.config)
        .arg("--admin-address-path")
        .arg(start.admin_address)
        .arg("--concurrency")
        .arg(start.concurrency.to_string())
        .args(["--disable-hot-restart", "--log-level", "info"])
        // Writes the access log at once, so that it also has the last request.
        .args(["--file-flush-interval-msec", "200"])
        // Otherwise a filter that signs requests to Amazon would ask an Amazon instance for credentials.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C at a terminal is sent to the whole process group. It is for this process, which then stops Envoy
        // itself.
        .process_group(0);
    Ok(command)
}

/// Returns whether setpriv on this machine (util-linux 2.33 and newer) can make a process end with its parent, even
/// when the parent is killed. If it cannot, Envoy keeps running after its parent is killed; nothing else depends on it.
fn dies_with_us() -> bool {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--pdeathsig", "KILL", "--", "true"]);
    setpriv.stdout(Stdio::null()).stderr(Stdio::null());
    setpriv.status().is_ok_and(|status| status.success())
}

/// Starts the process and waits for it. One thread does both, because the "parent" of PR_SET_PDEATHSIG (prctl(2)) is
/// the thread that started the process.
fn keep(
    mut command: Command,
    started: oneshot::Sender<std::io::Result<u32>>,
    orders: &mpsc::Receiver<()>,
    tell: &watch::Sender<Option<ExitStatus>>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return drop(started.send(Err(error))),
    };
    // If nobody waits for this any more, `orders` reports that below.
    let _ = started.send(Ok(child.id()));
    let status = loop {
        if let Ok(Some(status)) = child.try_wait() {
            break Some(status);
        }
        match orders.recv_timeout(GLANCE) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) => break terminate(&mut child),
            Err(RecvTimeoutError::Disconnected) => break kill(&mut child),
        }
    };
    tell.send_replace(status);
}

fn terminate(child: &mut Child) -> Option<ExitStatus> {
    // The process has not been waited for yet, so its id is still its own. If it has already exited, there is nothing
    // to stop.
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(GLANCE);
    }
    kill(child)
}

fn kill(child: &mut Child) -> Option<ExitStatus> {
    // Only fails for a process that has already exited.
    let _ = child.kill();
    child.wait().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that takes Envoy's place and runs the given shell commands. Another process writes the file: if this
    /// one had it open for writing while a parallel test forks, the file could not be executed (ETXTBSY, execve(2)).
    fn program(folder: &Path, commands: &str) -> PathBuf {
        let path = folder.join("envoy");
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod 755 "$0""#;
        let written = Command::new("sh").args(["-c", write]).arg(&path).arg(commands).status();
        assert!(written.unwrap().success());
        path
    }

    async fn start(folder: &Path, program: &Path) -> Result<Envoy, EnvoyError> {
        Envoy::start(Start {
            program,
            config: Path::new("envoy.json"),
            admin_address: Path::new("admin"),
            log: &folder.join("envoy.log"),
            concurrency: 1,
        })
        .await
    }

    fn runs(pid: u32) -> bool {
        Path::new("/proc").join(pid.to_string()).exists()
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_written_is_an_error_that_names_envoy() {
        let error = start(Path::new("/nonexistent"), Path::new("/bin/true")).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot start /bin/true: "), "{error}");
    }

    #[tokio::test]
    async fn its_end_and_its_status_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let envoy = start(folder.path(), &program(folder.path(), "exit 7")).await.unwrap();
        assert_eq!(envoy.ended().await.and_then(|status| status.code()), Some(7));
    }

    #[tokio::test]
    async fn dropping_it_leaves_no_process_even_if_it_will_not_listen() {
        let folder = tempfile::tempdir().unwrap();
        let deaf = program(folder.path(), "trap '' TERM INT; while :; do sleep 0.05; done");
        let envoy = start(folder.path(), &deaf).await.unwrap();
        let pid = envoy.pid();
        assert!(runs(pid));
        drop(envoy);
        assert!(!runs(pid));
    }

    #[tokio::test]
    async fn stopping_it_asks_first() {
        let folder = tempfile::tempdir().unwrap();
        let polite = program(
            folder.path(),
            "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.05; done",
        );
        let envoy = start(folder.path(), &polite).await.unwrap();
        let log = || std::fs::read_to_string(folder.path().join("envoy.log")).unwrap();
        let ready = async {
            while !log().contains("ready") {
                tokio::time::sleep(GLANCE).await;
            }
        };
        tokio::time::timeout(GRACE, ready).await.expect("the program to say that it is ready");
        envoy.stop().await;
        assert!(log().contains("asked"), "{}", log());
    }
}
