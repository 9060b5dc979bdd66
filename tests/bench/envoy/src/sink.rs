//! A backend that answers at once. It receives the whole body, because a real one does too, and looks at none of it.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A running sink. Dropping it closes its connections.
#[derive(Debug)]
pub struct Sink {
    http: SocketAddr,
    grpc: SocketAddr,
    bytes: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl Sink {
    /// Listens on two free ports of loopback: for HTTP/1.1, and for HTTP/2 without TLS.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start() -> std::io::Result<Self> {
        let mut accepting = JoinSet::new();
        let bytes = Arc::<AtomicU64>::default();
        let mut addresses = Vec::new();
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            addresses.push(listener.local_addr()?);
            accepting.spawn(accept(listener, version, Arc::clone(&bytes)));
        }
        let [http, grpc] = [addresses[0], addresses[1]];
        Ok(Self { http, grpc, bytes, _accepting: accepting })
    }

    /// The address for HTTP/1.1.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The address for gRPC: HTTP/2 without TLS.
    #[must_use]
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// How many bytes of bodies it has received so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, version: Version, bytes: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.spawn(serve(stream, version, Arc::clone(&bytes)));
        while connections.try_join_next().is_some() {}
    }
}

/// A connection that fails is the sender's to notice: it counts its failures.
async fn serve(stream: TcpStream, version: Version, bytes: Arc<AtomicU64>) {
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(stream);
    let service = service_fn(|request| answer(request, Arc::clone(&bytes)));
    let _ = if version == Version::HTTP_2 {
        let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // A whole body fits, so that no sender waits for a window.
        server.initial_stream_window_size(1 << 24).initial_connection_window_size(1 << 26);
        server.serve_connection(stream, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await
    };
}

/// Answers as the store of the path does: Loki with 204, Mimir and Tempo with 200 and an empty message, a gRPC server
/// with an empty message in its frame.
async fn answer(
    request: Request<Incoming>,
    bytes: Arc<AtomicU64>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, hyper::Error> {
    let grpc = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|content_type| content_type.as_bytes().starts_with(b"application/grpc"));
    let logs = request.uri().path().ends_with("/logs");
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
    }
    let mut response = Response::new(Full::default().boxed_unsync());
    let headers = response.headers_mut();
    if grpc {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let status = (http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
        let trailers = HeaderMap::from_iter([status]);
        let message = Full::new(Bytes::from_static(&[0; 5]));
        *response.body_mut() = message.with_trailers(async { Some(Ok(trailers)) }).boxed_unsync();
    } else if logs {
        *response.status_mut() = StatusCode::NO_CONTENT;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(response)
}
