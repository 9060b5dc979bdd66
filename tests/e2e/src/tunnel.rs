//! Mutual TLS for senders that have none: a tunnel from loopback to the gate.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use rustls::pki_types::ServerName;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;

use crate::{
    SendError,
    client::{self, Alpn},
};

/// Accepts plain connections and forwards each to the gate in its own TLS connection. Dropping it closes them.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// The address where it accepts them.
    pub(crate) addr: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Tunnel {
    /// Opens a tunnel to `endpoint` (`HOST:PORT`), as the sender with this CA, certificate and key.
    ///
    /// # Errors
    ///
    /// If a file cannot be used; the error names it. [`SendError::Sender`] if there is no free port or no such host.
    pub(crate) async fn open(
        endpoint: &str,
        identity: &[PathBuf; 3],
        alpn: Alpn,
    ) -> Result<Self, SendError> {
        let [cacert, cert, key] = identity;
        let connector = TlsConnector::from(Arc::new(client::tls(cacert, cert, key, alpn)?));
        let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
        let host = ServerName::try_from(host.to_owned()).map_err(failed)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let endpoint = endpoint.to_owned();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((plain, _)) = listener.accept().await {
                let (connector, host) = (connector.clone(), host.clone());
                carried.spawn(carry(plain, endpoint.clone(), connector, host));
            }
        });
        Ok(Self { addr, _accepting: accepting })
    }
}

/// An error on one side closes the other side. Its sender sees that, so nothing is reported here.
async fn carry(
    mut plain: TcpStream,
    endpoint: String,
    connector: TlsConnector,
    host: ServerName<'static>,
) {
    let Ok(stream) = TcpStream::connect(endpoint).await else { return };
    let Ok(mut stream) = connector.connect(host, stream).await else { return };
    let _ = copy_bidirectional(&mut plain, &mut stream).await;
}

fn failed(problem: impl std::fmt::Display) -> SendError {
    SendError::Sender { sender: "tests/e2e/src/tunnel.rs", problem: problem.to_string() }
}
