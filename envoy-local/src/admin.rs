//! Envoy's admin interface: <https://www.envoyproxy.io/docs/envoy/latest/operations/admin>.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Why a request to the admin interface failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No connection.
    #[error("cannot connect to Envoy's admin interface: {0}")]
    Connect(#[from] std::io::Error),
    /// No reply, or a reply that is not HTTP.
    #[error("Envoy's admin interface: {0}")]
    Http(#[from] hyper::Error),
    /// The request is not valid.
    #[error("Envoy's admin interface: {0}")]
    Request(#[from] http::Error),
    /// The answer of `/listeners` does not have the form in Envoy's documentation.
    #[error("Envoy's admin interface lists no address for {0}")]
    NoListener(String),
}

/// Returns whether Envoy accepts requests: `GET /ready` is 200 once its listeners are up.
pub(crate) async fn is_ready(admin: SocketAddr) -> bool {
    matches!(get(admin, "/ready").await, Ok((StatusCode::OK, _)))
}

/// Returns the first address of each named listener.
///
/// # Errors
/// If the request to Envoy fails, or if Envoy has no listener with such a name.
pub(crate) async fn listeners<'n>(
    admin: SocketAddr,
    names: impl IntoIterator<Item = &'n str>,
) -> Result<BTreeMap<String, SocketAddr>, AdminError> {
    let (_, body) = get(admin, "/listeners?format=json").await?;
    let list: Value = serde_json::from_slice(&body).unwrap_or_default();
    let find = |name: &str| {
        let found = address(&list, name).ok_or_else(|| AdminError::NoListener(name.to_owned()))?;
        Ok((name.to_owned(), found))
    };
    names.into_iter().map(find).collect()
}

fn address(list: &Value, name: &str) -> Option<SocketAddr> {
    let listeners = list["listener_statuses"].as_array()?;
    let listener = listeners.iter().find(|listener| listener["name"] == name)?;
    let address = &listener["local_address"]["socket_address"];
    let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
    Some((address["address"].as_str()?.parse::<std::net::IpAddr>().ok()?, port).into())
}

async fn get(admin: SocketAddr, path: &str) -> Result<(StatusCode, Bytes), AdminError> {
    let stream = TcpStream::connect(admin).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header(http::header::HOST, admin.to_string());
    let reply = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = reply.status();
    Ok((status, reply.into_body().collect().await?.to_bytes()))
}
