//! The gates that the trials share, all in one Envoy.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use envoy_local::{Listener, Options, SenderName, Stack};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use sluice_otlp::Signal;
use sluice_stand_ins::{Backend, Backends, Store};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::Mutex};

/// The timeout of most trials: longer than the slowest takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A way to run the gate; each has its own listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) hold_headers: bool,
    pub(crate) required: Required,
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.hold_headers { "held headers" } else { "sent headers" })
    }
}

/// The attribute that each record must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Required {
    /// Where the platform requires it: on the resource, and for metrics on the data points.
    SourceName,
    /// On the resource, for every signal.
    ServiceName,
}

impl Required {
    const ALL: [Self; 2] = [Self::SourceName, Self::ServiceName];

    pub(crate) fn attribute(self) -> &'static str {
        match self {
            Self::SourceName => "source.name",
            Self::ServiceName => "service.name",
        }
    }

    fn metrics_level(self) -> &'static str {
        match self {
            Self::SourceName => "datapoint",
            Self::ServiceName => "resource",
        }
    }
}

impl Setup {
    fn all() -> impl Iterator<Item = Self> {
        let both = |required| [true, false].map(|hold_headers| Self { hold_headers, required });
        Required::ALL.into_iter().flat_map(both)
    }

    fn listener_name(self) -> String {
        format!("{self}, {}", self.required.attribute())
    }

    fn listener(self) -> Listener {
        Listener {
            timeout: None,
            name: self.listener_name(),
            gate: self.gate(),
            certificate_required: true,
            header_only_filter: true,
            filters_before: Vec::new(),
            other_paths: None,
        }
    }

    fn gate(self) -> Value {
        let mut gate = json!({
            "senders": {
                "identify": [{"clientCertificate": {"names": [{"dns": "*.{namespace}"}]}}],
                "allow": [{"namespace": TENANT}],
            },
            "tenant": {"fromNamespace": {}},
            "records": {"require": [{
                "attribute": self.required.attribute(),
                "logs": "resource",
                "metrics": self.required.metrics_level(),
                "traces": "resource",
            }]},
            "backends": {
                "logs": {"kind": "loki", "cluster": "loki"},
                // The example of the protocol's own repository has delta sums.
                "metrics": {
                    "kind": "mimir",
                    "cluster": "mimir",
                    "takesDelta": matches!(self.required, Required::ServiceName),
                },
                "traces": {"kind": "tempo", "cluster": "tempo"},
                "profiles": {"kind": "pyroscope", "cluster": "pyroscope"},
            },
            "holdHeaders": self.hold_headers,
        });
        // One of the two forwards gRPC to Tempo as gRPC.
        if !self.hold_headers {
            gate["backends"]["traces"]["grpcCluster"] = "tempo-grpc".into();
        }
        gate
    }
}

/// The tenant of [`Gates::identity`].
pub(crate) const TENANT: &str = "payments";

/// The gates, which start with the first trial, and their runtime.
pub(crate) struct Gates {
    runtime: Runtime,
    run_dir: TempDir,
    started: Mutex<Option<Result<Stack, String>>>,
}

impl Gates {
    pub(crate) fn new() -> Self {
        // The admin client needs a crypto provider even if nothing is encrypted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        Self {
            runtime: runtime.expect("a tokio runtime"),
            run_dir: tempfile::tempdir().expect("a folder for this run"),
            started: Mutex::default(),
        }
    }

    /// A trial that runs alone and with empty backends, because the backends are shared.
    pub(crate) fn trial(
        self: &Arc<Self>,
        setup: Setup,
        name: String,
        run: impl AsyncFnOnce(Gate<'_>) + Send + 'static,
    ) -> Trial {
        self.trial_within(PATIENCE, setup, name, run)
    }

    /// The same for a trial with its own timeout.
    pub(crate) fn trial_within(
        self: &Arc<Self>,
        patience: Duration,
        setup: Setup,
        name: String,
        run: impl AsyncFnOnce(Gate<'_>) + Send + 'static,
    ) -> Trial {
        let gates = Arc::clone(self);
        let run = move || gates.run(patience, setup, run).map_err(Into::into);
        Trial::test(format!("{setup}::{name}"), run)
    }

    fn run(
        &self,
        patience: Duration,
        setup: Setup,
        run: impl AsyncFnOnce(Gate<'_>),
    ) -> Result<(), String> {
        self.runtime.block_on(async {
            let mut started = self.started.lock().await;
            if started.is_none() {
                *started = Some(self.start().await);
            }
            // Gates that failed to start are not tried again: each trial fails with the reason.
            let stack = match started.as_ref() {
                Some(Ok(stack)) => stack,
                Some(Err(error)) => return Err(error.clone()),
                None => unreachable!("it has just been started"),
            };
            stack.backends().store().clear();
            let trial = tokio::time::timeout(patience, run(Gate { stack, setup })).await;
            trial.map_err(|_| format!("not done after {patience:?}"))
        })
    }

    async fn start(&self) -> Result<Stack, String> {
        let options = Options {
            run_dir: self.run_dir.path().to_owned(),
            listeners: Setup::all().map(Setup::listener).collect(),
            ..Options::default()
        };
        Stack::start(options).await.map_err(|error| error.to_string())
    }

    /// Stops Envoy. After a failure, it prints the end of Envoy's log.
    pub(crate) fn stop(&self, failed: bool) {
        self.runtime.block_on(async {
            let Some(Ok(stack)) = self.started.lock().await.take() else { return };
            if failed {
                eprintln!("{}", stack.envoy_last_lines().await);
            }
            stack.stop().await;
        });
    }
}

/// One of the gates, and the backends behind it.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'s> {
    stack: &'s Stack,
    setup: Setup,
}

impl Gate<'_> {
    /// The address for both gRPC and HTTP.
    pub(crate) fn addr(self) -> SocketAddr {
        let addr = self.stack.listener(&self.setup.listener_name());
        addr.expect("each setup has a listener")
    }

    /// The CA, and the certificate and key of the sender of [`TENANT`].
    pub(crate) fn identity(self) -> [PathBuf; 3] {
        self.identity_of(SenderName::Payments)
    }

    /// The same for any sender.
    pub(crate) fn identity_of(self, sender: SenderName) -> [PathBuf; 3] {
        let pki = self.stack.pki();
        let files = pki.sender(sender);
        [pki.ca_pem().to_owned(), files.cert.clone(), files.key.clone()]
    }

    /// Whether senders over gRPC reach the signal's backend over gRPC too.
    pub(crate) fn takes_on_grpc(self, signal: Signal) -> bool {
        signal == Signal::Traces && !self.setup.hold_headers
    }

    pub(crate) fn backends(&self) -> &Backends {
        self.stack.backends()
    }

    pub(crate) fn store(&self) -> &Store {
        self.backends().store()
    }

    /// Another of the gates, with the same backends.
    pub(crate) fn with(self, setup: Setup) -> Self {
        Gate { setup, ..self }
    }

    /// Asserts the number of records of each backend: this many for the tenant in this one, and nothing anywhere else.
    pub(crate) fn assert_stored(self, backend: Backend, records: usize) {
        for each in Backend::ALL {
            let found = self.store().tenants(each);
            let found: Vec<_> = found.iter().map(|(tenant, n)| (tenant.as_str(), *n)).collect();
            let expected = (each == backend && records > 0).then_some((TENANT, records));
            assert_eq!(found, Vec::from_iter(expected), "{each}");
        }
    }
}

/// The backend of a signal.
pub(crate) fn backend(signal: Signal) -> Backend {
    match signal {
        Signal::Logs => Backend::Loki,
        Signal::Metrics => Backend::Mimir,
        Signal::Traces => Backend::Tempo,
        Signal::Profiles => Backend::Pyroscope,
    }
}
