//! The sender of a case.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use anyhow::Result;
use bytes::Bytes;
use envoy_local::{SenderFiles, Stack};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request,
    client::conn::{http1, http2},
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use sluice_cases::{
    case::Protocol,
    outcome::Reply,
    wire::{HeaderList, WireRequest},
};
use sluice_e2e::{
    client::{self, Alpn},
    token,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Sends a request over a new connection: HTTP/2 for gRPC, HTTP/1.1 for the rest.
pub(crate) async fn exchange(
    stack: &Stack,
    address: SocketAddr,
    sender: Option<&SenderFiles>,
    request: &WireRequest,
) -> Result<Reply> {
    let grpc = request.protocol == Protocol::Grpc;
    let alpn = if grpc { Alpn::Http2 } else { Alpn::Http1 };
    let io = TokioIo::new(connect(stack, address, sender, alpn).await?);
    let response = if grpc {
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        client.send_request(http_request(request, "https://gate.example")?).await?
    } else {
        let (mut client, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        client.send_request(http_request(request, "")?).await?
    };
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let headers = list(&head.headers);
    let trailers = body.trailers().map(list);
    let body = body.to_bytes();
    if grpc {
        Reply::from_grpc(&body, &trailers.unwrap_or(headers))
    } else {
        Reply::from_protocol(request.protocol, head.status.as_u16(), &headers, &body)
    }
}

async fn connect(
    stack: &Stack,
    address: SocketAddr,
    sender: Option<&SenderFiles>,
    alpn: Alpn,
) -> Result<TlsStream<TcpStream>> {
    let ca = stack.pki().ca_pem();
    let tls = match sender {
        Some(files) => client::tls(ca, &files.cert, &files.key, alpn)?,
        None => client::tls_without_certificate(ca, alpn)?,
    };
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    Ok(TlsConnector::from(Arc::new(tls)).connect(name, stream).await?)
}

fn http_request(
    request: &WireRequest,
    origin: &str,
) -> Result<Request<BoxBody<Bytes, Infallible>>> {
    let mut trailers = HeaderMap::new();
    for (name, value) in &request.trailers {
        trailers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value)?);
    }
    let trailers = (!trailers.is_empty()).then_some(trailers);
    let body = Full::new(Bytes::from(request.body.clone()));
    let body = match trailers {
        Some(trailers) => body.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed(),
        None => body.boxed(),
    };
    let mut built = Request::new(body);
    for (name, value) in &request.headers {
        match name.as_str() {
            ":method" => *built.method_mut() = std::str::from_utf8(value)?.parse()?,
            ":path" => {
                *built.uri_mut() = format!("{origin}{}", std::str::from_utf8(value)?).parse()?;
            }
            ":authority" if origin.is_empty() => {
                built.headers_mut().insert("host", HeaderValue::from_bytes(value)?);
            }
            // The client writes the other headers itself.
            ":authority" | ":scheme" | "content-length" => {}
            name => {
                let name: HeaderName = name.parse()?;
                built.headers_mut().append(name, HeaderValue::from_bytes(value)?);
            }
        }
    }
    if let Some(claims) = &request.token {
        let bearer = format!("Bearer {}", token::signed(claims));
        built.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(&bearer)?);
    }
    Ok(built)
}

pub(crate) fn list(headers: &HeaderMap) -> HeaderList {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    headers.iter().map(pair).collect()
}
