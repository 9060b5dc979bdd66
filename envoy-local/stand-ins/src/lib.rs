//! Stand-ins for Loki, Mimir, Tempo and Pyroscope: servers on loopback that answer OTLP pushes as the real ones do,
//! oddities included, and that show a test what they stored.
//!
//! `server` reads the body of a push and sends a queued [`Reaction`] if there is one. Then the rules of the backend
//! apply (`loki`, `mimir`, `tempo`, `pyroscope`), and the telemetry goes into the [`Store`]. This crate's README says
//! which behaviour of each backend is imitated and which is not.

mod answer;
mod encoding;
mod loki;
mod mimir;
mod otlp;
mod profiles_json;
mod push;
mod pyroscope;
mod server;
mod standin;
mod status;
mod store;
mod tempo;
mod tempo_grpc;
mod tenant;
mod value;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

pub use answer::{Answer, Reaction};
pub use profiles_json::read as profiles_from_json;
use server::Switch;
pub use store::{Record, Request, Store, Telemetry};
use tokio::{net::TcpListener, task::JoinSet};
pub use value::text as value_text;

/// One of the four backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// Accepts logs at `POST /otlp/v1/logs`.
    Loki,
    /// Accepts metrics at `POST /otlp/v1/metrics`.
    Mimir,
    /// Accepts traces at `POST /v1/traces`.
    Tempo,
    /// Accepts profiles at `POST /v1development/profiles`.
    Pyroscope,
}

impl Backend {
    /// All backends, in the order in which they start.
    pub const ALL: [Self; 4] = [Self::Loki, Self::Mimir, Self::Tempo, Self::Pyroscope];
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loki => "Loki",
            Self::Mimir => "Mimir",
            Self::Tempo => "Tempo",
            Self::Pyroscope => "Pyroscope",
        })
    }
}

/// A port of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Its HTTP port.
    Http(Backend),
    /// Tempo's OTLP/gRPC port.
    TempoGrpc,
}

impl Door {
    pub(crate) const fn backend(self) -> Backend {
        match self {
            Self::Http(backend) => backend,
            Self::TempoGrpc => Backend::Tempo,
        }
    }
}

/// The ports to listen on, at 127.0.0.1; 0 means a free one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Loki's HTTP port.
    pub loki: u16,
    /// Mimir's HTTP port.
    pub mimir: u16,
    /// Tempo's OTLP/HTTP port.
    pub tempo: u16,
    /// Tempo's OTLP/gRPC port.
    pub tempo_grpc: u16,
    /// Pyroscope's HTTP port.
    pub pyroscope: u16,
}

/// The addresses to listen on; each must be a loopback address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Loki's HTTP address.
    pub loki: SocketAddr,
    /// Mimir's HTTP address.
    pub mimir: SocketAddr,
    /// Tempo's OTLP/HTTP address.
    pub tempo: SocketAddr,
    /// Tempo's OTLP/gRPC address.
    pub tempo_grpc: SocketAddr,
    /// Pyroscope's HTTP address.
    pub pyroscope: SocketAddr,
}

impl From<Ports> for Addresses {
    fn from(ports: Ports) -> Self {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            loki: at(ports.loki),
            mimir: at(ports.mimir),
            tempo: at(ports.tempo),
            tempo_grpc: at(ports.tempo_grpc),
            pyroscope: at(ports.pyroscope),
        }
    }
}

/// Why the backends did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program listens on the port.
    #[error("port {} is in use ({backend}): stop what listens there, or choose another port", address.port())]
    InUse {
        /// The backend that was to listen there.
        backend: Backend,
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The address is not a loopback address. The stand-ins do no authentication, so they must not be reachable from
    /// outside.
    #[error("{address} is not a loopback address ({backend}): use 127.0.0.1 or [::1]")]
    NotLoopback {
        /// The backend that was to listen there.
        backend: Backend,
        /// The address that was refused.
        address: SocketAddr,
    },
    /// The system rejected the address for another reason.
    #[error("cannot listen on {address} ({backend}): {source}")]
    Listen {
        /// The backend that was to listen there.
        backend: Backend,
        /// Where it was to listen.
        address: SocketAddr,
        /// The error of the system.
        source: std::io::Error,
    },
}

/// The running servers. Dropping this stops them; [`Backends::stop`] also waits until they have stopped.
#[derive(Debug)]
pub struct Backends {
    addresses: Addresses,
    store: Store,
    servers: JoinSet<()>,
    switches: Vec<(Backend, Switch)>,
}

impl Backends {
    /// Binds all addresses and serves them on the current tokio runtime.
    ///
    /// Takes [`Ports`] (at 127.0.0.1) or [`Addresses`].
    ///
    /// # Errors
    /// [`StartError`] names the first backend that could not listen, and its port. After an error, none keeps running.
    pub async fn start(at: impl Into<Addresses>) -> Result<Self, StartError> {
        let at = at.into();
        let loki = listen(Backend::Loki, at.loki).await?;
        let mimir = listen(Backend::Mimir, at.mimir).await?;
        let tempo = listen(Backend::Tempo, at.tempo).await?;
        let tempo_grpc = listen(Backend::Tempo, at.tempo_grpc).await?;
        let pyroscope = listen(Backend::Pyroscope, at.pyroscope).await?;
        let addresses = Addresses {
            loki: loki.1,
            mimir: mimir.1,
            tempo: tempo.1,
            tempo_grpc: tempo_grpc.1,
            pyroscope: pyroscope.1,
        };
        let store = Store::default();
        let mut servers = JoinSet::new();
        let mut switches = Vec::new();
        for (door, listener) in [
            (Door::Http(Backend::Loki), loki.0),
            (Door::Http(Backend::Mimir), mimir.0),
            (Door::Http(Backend::Tempo), tempo.0),
            (Door::TempoGrpc, tempo_grpc.0),
            (Door::Http(Backend::Pyroscope), pyroscope.0),
        ] {
            let (switch, switched) = Switch::new();
            switches.push((door.backend(), switch));
            servers.spawn(server::serve(door, listener, store.clone(), switched));
        }
        Ok(Self { addresses, store, servers, switches })
    }

    /// The address of Loki.
    pub fn loki(&self) -> SocketAddr {
        self.addresses.loki
    }

    /// The address of Mimir.
    pub fn mimir(&self) -> SocketAddr {
        self.addresses.mimir
    }

    /// The address of Tempo for OTLP/HTTP.
    pub fn tempo(&self) -> SocketAddr {
        self.addresses.tempo
    }

    /// The address of Tempo for OTLP/gRPC, over HTTP/2 without TLS.
    pub fn tempo_grpc(&self) -> SocketAddr {
        self.addresses.tempo_grpc
    }

    /// The address of Pyroscope.
    pub fn pyroscope(&self) -> SocketAddr {
        self.addresses.pyroscope
    }

    /// The address of the given backend for HTTP.
    pub fn address(&self, backend: Backend) -> SocketAddr {
        match backend {
            Backend::Loki => self.loki(),
            Backend::Mimir => self.mimir(),
            Backend::Tempo => self.tempo(),
            Backend::Pyroscope => self.pyroscope(),
        }
    }

    /// What the backends stored, and the queue of their next answers.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Closes a backend's ports, as if its process had ended: requests that have been read are answered, then
    /// connections are closed, and new ones are refused until [`Backends::bring_up`]. What it has stored stays.
    pub async fn take_down(&self, backend: Backend) {
        self.turn(backend, false).await;
    }

    /// Opens the ports that [`Backends::take_down`] closed.
    pub async fn bring_up(&self, backend: Backend) {
        self.turn(backend, true).await;
    }

    async fn turn(&self, backend: Backend, open: bool) {
        for (_, switch) in self.switches.iter().filter(|(of, _)| *of == backend) {
            switch.turn(open).await;
        }
    }

    /// Closes the listeners and every connection, and waits until the ports are free again.
    pub async fn stop(mut self) {
        self.servers.shutdown().await;
    }
}

async fn listen(
    backend: Backend,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    if !address.ip().is_loopback() {
        return Err(StartError::NotLoopback { backend, address });
    }
    let refused = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::InUse { backend, address },
        _ => StartError::Listen { backend, address, source },
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}
