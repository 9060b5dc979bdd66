//! Stand-in Loki, Mimir, Tempo and Pyroscope: servers on loopback that answer OTLP pushes as the real
//! ones do, oddities included, and keep what they took where a test can look at it.
//!
//! A push goes through `server` (reads the body, plays a queued [`Reaction`] if there is one),
//! then through the rules of its backend (`loki`, `mimir`, `tempo`, `pyroscope`), and ends in the
//! [`Store`]. What is kept of each contract, and what is not, is in this crate's README.

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
    /// Takes logs at `POST /otlp/v1/logs`.
    Loki,
    /// Takes metrics at `POST /otlp/v1/metrics`.
    Mimir,
    /// Takes traces at `POST /v1/traces`.
    Tempo,
    /// Takes profiles at `POST /v1development/profiles`.
    Pyroscope,
}

impl Backend {
    /// All of them, in the order in which they start.
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

/// Where a backend is knocked at.
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

/// The ports to listen on, at 127.0.0.1; 0 takes a free one.
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
    /// Something else listens there.
    #[error("port {} is in use ({backend}): stop what listens there, or choose another port", address.port())]
    InUse {
        /// The backend that was to listen there.
        backend: Backend,
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The stand-ins hold no secret and ask for none, so they must not be reachable from outside.
    #[error("{address} is not a loopback address ({backend}): use 127.0.0.1 or [::1]")]
    NotLoopback {
        /// The backend that was to listen there.
        backend: Backend,
        /// The address that was refused.
        address: SocketAddr,
    },
    /// The system refused the address for another reason.
    #[error("cannot listen on {address} ({backend}): {source}")]
    Listen {
        /// The backend that was to listen there.
        backend: Backend,
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The running servers. They end when this is dropped; [`Backends::stop`] also waits for that.
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
    /// [`StartError`] names the first backend that could not listen, and its port. None is left
    /// running then.
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

    /// Where Loki listens.
    pub fn loki(&self) -> SocketAddr {
        self.addresses.loki
    }

    /// Where Mimir listens.
    pub fn mimir(&self) -> SocketAddr {
        self.addresses.mimir
    }

    /// Where Tempo listens for OTLP/HTTP.
    pub fn tempo(&self) -> SocketAddr {
        self.addresses.tempo
    }

    /// Where Tempo listens for OTLP/gRPC, over HTTP/2 without TLS.
    pub fn tempo_grpc(&self) -> SocketAddr {
        self.addresses.tempo_grpc
    }

    /// Where Pyroscope listens.
    pub fn pyroscope(&self) -> SocketAddr {
        self.addresses.pyroscope
    }

    /// Where the given backend listens for HTTP.
    pub fn address(&self, backend: Backend) -> SocketAddr {
        match backend {
            Backend::Loki => self.loki(),
            Backend::Mimir => self.mimir(),
            Backend::Tempo => self.tempo(),
            Backend::Pyroscope => self.pyroscope(),
        }
    }

    /// What the backends took, and the queue of answers they will give.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Closes a backend's ports, as when its process has ended: what has been read is answered, then its
    /// connections end, and new ones are refused until [`Backends::bring_up`]. What it has stored stays.
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
