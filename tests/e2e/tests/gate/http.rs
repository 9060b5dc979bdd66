//! HTTP requests as no SDK would send them, over mutual TLS.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use envoy_local::SenderName;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::{Body, Frame},
    client::conn::{http1, http2},
    header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::ServerName;
use sluice_e2e::{
    Protocol, Signal,
    client::{self, Alpn},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::Code;
use tonic_types::pb;

use crate::fixture::Gate;

pub(crate) const PROTOBUF: &str = "application/x-protobuf";

/// The HTTP version that a request is sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

impl Version {
    pub(crate) const ALL: [Self; 2] = [Self::Http1, Self::Http2];
}

/// A request to be sent.
pub(crate) struct Call {
    pub(crate) sender: SenderName,
    pub(crate) protocol: Protocol,
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    body: BoxBody<Bytes, Infallible>,
}

impl Call {
    /// An export of `payments` to the OTLP/HTTP port.
    pub(crate) fn export(version: Version, signal: Signal, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        Self {
            sender: SenderName::Payments,
            protocol: Protocol::Http,
            version,
            method: Method::POST,
            path: format!("/v1/{signal}"),
            headers,
            body: BoxBody::new(Full::new(body.into())),
        }
    }

    pub(crate) fn from(self, sender: SenderName) -> Self {
        Self { sender, ..self }
    }

    /// Adds a header; headers with the same name stay.
    pub(crate) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value =
            HeaderValue::from_bytes(value.as_ref()).expect("bytes that HTTP allows in a header");
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    /// Replaces all headers with this name.
    pub(crate) fn only(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Sets a body in pieces of 16 KiB, without `content-length`.
    pub(crate) fn in_pieces(mut self, body: &[u8]) -> Self {
        self.body = BoxBody::new(Pieces(body.chunks(16_384).map(Bytes::copy_from_slice).collect()));
        self
    }

    /// Sends it over a new connection.
    pub(crate) async fn send(self, gate: &Gate) -> Reply {
        self.try_send(gate).await.unwrap_or_else(|failure| panic!("no reply: {failure}"))
    }

    /// As [`send`](Self::send), but no reply is also a valid result.
    pub(crate) async fn try_send(self, gate: &Gate) -> Result<Reply, Box<dyn std::error::Error>> {
        let io = TokioIo::new(connect(gate, self.sender, self.protocol, self.version).await?);
        let (version, request) = (self.version, self.request(gate));
        let response = match version {
            Version::Http1 => {
                let (mut sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?
            }
            Version::Http2 => {
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: collected.to_bytes(),
            trailers,
        })
    }

    fn request(self, gate: &Gate) -> Request<BoxBody<Bytes, Infallible>> {
        let authority = gate.addr(self.protocol).to_string();
        let uri = match self.version {
            Version::Http1 => self.path.clone(),
            Version::Http2 => format!("https://{authority}{}", self.path),
        };
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri.parse::<Uri>().expect("a URI");
        *request.headers_mut() = self.headers;
        if self.version == Version::Http1 {
            request.headers_mut().insert(HOST, HeaderValue::try_from(authority).expect("a host"));
        }
        request
    }
}

/// A body whose length is unknown until its end.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// A TLS connection with this sender's certificate. A TLS 1.3 server rejects a certificate after the client has
/// finished its handshake: then the first read fails, not this call.
pub(crate) async fn connect(
    gate: &Gate,
    sender: SenderName,
    protocol: Protocol,
    version: Version,
) -> Result<TlsStream<TcpStream>, Box<dyn std::error::Error>> {
    let alpn = match version {
        Version::Http1 => Alpn::Http1,
        Version::Http2 => Alpn::Http2,
    };
    let files = gate.pki().sender(sender);
    let tls = client::tls(gate.pki().ca_pem(), &files.cert, &files.key, alpn)?;
    let stream = TcpStream::connect(gate.addr(protocol)).await?;
    stream.set_nodelay(true)?;
    Ok(TlsConnector::from(Arc::new(tls)).connect(server_name(), stream).await?)
}

/// The same without a certificate.
pub(crate) async fn handshake_without_certificate(
    gate: &Gate,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let tls = client::tls_without_certificate(gate.pki().ca_pem(), Alpn::Both)
        .expect("the CA of our own making");
    TlsConnector::from(Arc::new(tls)).connect(server_name(), stream).await
}

fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a DNS name")
}

/// A complete reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header in ASCII"))
    }

    /// The protobuf message in a reply with status 200.
    pub(crate) fn message<M: Message + Default>(&self) -> M {
        assert_eq!(
            (self.status, self.header("content-type")),
            (StatusCode::OK, PROTOBUF),
            "{self:?}"
        );
        M::decode(self.body.clone()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `google.rpc.Status` of a refusal.
    pub(crate) fn error(&self) -> pb::Status {
        assert!(!self.status.is_success(), "{self:?}");
        assert_eq!(self.header("content-type"), PROTOBUF, "{self:?}");
        pb::Status::decode(self.body.clone()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts a refusal with this status, this code in its body, and these words in its message.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, code: Code, words: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        let error = self.error();
        assert_eq!(Code::from(error.code), code, "{error:?}");
        assert!(error.message.contains(words), "expected {words:?} in {:?}", error.message);
    }
}
