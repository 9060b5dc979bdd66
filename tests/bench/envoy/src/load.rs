//! The load: closed, where each connection sends its next request when the reply to the last has come, and open, where
//! requests are due at a fixed rate, whatever becomes of those before them.
//!
//! In the open loop a request's latency counts from when it was due and not from when it was sent. So a reply that is
//! late also makes late what had to wait for it, as it would for real senders, and is not left out of the percentiles.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{Mutex, mpsc},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsConnector;

use crate::payload::{Prepared, Protocol};

/// A sender's certificate.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// Senders with certificates, and the authority that they trust.
#[derive(Clone, Debug)]
pub struct Senders {
    /// The authority of the server's certificate.
    pub roots: Arc<RootCertStore>,
    /// The senders; connections take them in turn.
    pub identities: Arc<[Identity]>,
    next: Arc<AtomicUsize>,
}

impl Senders {
    /// Senders, of which the first has the first turn.
    #[must_use]
    pub fn new(roots: RootCertStore, identities: Vec<Identity>) -> Self {
        Self { roots: roots.into(), identities: identities.into(), next: Arc::default() }
    }

    /// How many have had a turn so far, each counted once.
    #[must_use]
    pub fn used(&self) -> usize {
        self.next.load(Ordering::Relaxed).min(self.identities.len())
    }

    fn next(&self, protocol: Protocol) -> Result<ClientConfig> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.identities.len();
        let Identity { certificate, key } = &self.identities[turn];
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions()?;
        let mut config = config
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(vec![certificate.clone()], key.clone_key())?;
        let alpn = match protocol {
            Protocol::Http1 => "http/1.1",
            Protocol::Http2 | Protocol::Grpc => "h2",
        };
        config.alpn_protocols = vec![alpn.into()];
        Ok(config)
    }
}

/// Where requests go, and what they are.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address.
    pub address: SocketAddr,
    /// Who sends, over TLS; `None` without TLS.
    pub senders: Option<Senders>,
    /// The request.
    pub request: Arc<Prepared>,
}

/// A reply.
#[derive(Debug)]
pub struct Reply {
    /// The message in it, without the frame of gRPC.
    pub message: Bytes,
}

/// What a stretch of load came to.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The latency of each request that was answered, in no order.
    pub latencies: Vec<Duration>,
    /// How many connections were made.
    pub connections: usize,
}

impl Target {
    /// Sends one request on a connection of its own.
    ///
    /// # Errors
    /// If there is no reply, or it is an error.
    pub async fn once(&self) -> Result<Reply> {
        Connection::open(self).await?.send().await
    }

    /// The closed loop: so many connections, each with one request at a time, until the time is over; at least one
    /// request each. With `per_connection`, a connection is closed after so many requests, and the next sender opens
    /// another.
    ///
    /// # Errors
    /// The first request that is not answered with success ends all.
    pub async fn closed(
        &self,
        connections: usize,
        per_connection: Option<usize>,
        time: Duration,
    ) -> Result<Sent> {
        let until = Instant::now() + time;
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            let target = self.clone();
            senders.spawn(async move {
                let mut sent = Sent::default();
                loop {
                    let mut connection = Connection::open(&target).await?;
                    sent.connections += 1;
                    let mut left = per_connection.unwrap_or(usize::MAX);
                    while left > 0 {
                        let from = Instant::now();
                        connection.send().await?;
                        sent.latencies.push(from.elapsed());
                        left -= 1;
                        if Instant::now() >= until {
                            return Ok(sent);
                        }
                    }
                }
            });
        }
        gather(senders).await
    }

    /// The open loop: so many requests a second over so many connections. A request for which no connection is free
    /// waits, and its waiting counts.
    ///
    /// # Errors
    /// The first request that is not answered with success ends all.
    pub async fn open(&self, rate: f64, connections: usize, time: Duration) -> Result<Sent> {
        let (due, requests) = mpsc::unbounded_channel();
        let requests = Arc::new(Mutex::new(requests));
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            let mut connection = Connection::open(self).await?;
            let requests = Arc::clone(&requests);
            senders.spawn(async move {
                let mut sent = Sent { connections: 1, ..Sent::default() };
                loop {
                    let Some(due) = requests.lock().await.recv().await else { return Ok(sent) };
                    connection.send().await?;
                    sent.latencies.push(Instant::now().saturating_duration_since(due));
                }
            });
        }
        // A thread, because the timers of tokio have a resolution of a millisecond.
        let pace = std::thread::spawn(move || pace(rate, time, &due));
        let sent = gather(senders).await;
        drop(requests);
        let _ = pace.join();
        sent
    }
}

async fn gather(mut senders: JoinSet<Result<Sent>>) -> Result<Sent> {
    let mut all = Sent::default();
    while let Some(sent) = senders.join_next().await {
        let sent = sent??;
        all.latencies.extend(sent.latencies);
        all.connections += sent.connections;
    }
    Ok(all)
}

/// Says when each request is due, until the time is over or nobody listens any more.
fn pace(rate: f64, time: Duration, due: &mpsc::UnboundedSender<Instant>) {
    exact_timers();
    let from = Instant::now();
    for number in 0.. {
        let at = Duration::from_secs_f64(f64::from(number) / rate);
        if at >= time {
            return;
        }
        std::thread::sleep((from + at).saturating_duration_since(Instant::now()));
        if due.send(from + at).is_err() {
            return;
        }
    }
}

/// Otherwise the system may let this thread's sleeps take 50 us longer (proc_pid_timerslack_ns(5)). Where it cannot be
/// set, latencies are longer by that, with and without the gate.
fn exact_timers() {
    let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    if let Some(id) = thread.file_name() {
        let _ = std::fs::write(Path::new("/proc").join(id).join("timerslack_ns"), "1");
    }
}

/// A connection, on which one request is sent at a time. Dropping it closes it.
struct Connection {
    sender: Sender,
    driver: AbortHandle,
    request: Arc<Prepared>,
    uri: String,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    async fn open(target: &Target) -> Result<Self> {
        let (protocol, address) = (target.request.protocol, target.address);
        let stream = TcpStream::connect(address).await.with_context(|| address.to_string())?;
        stream.set_nodelay(true)?;
        match &target.senders {
            Some(senders) => {
                let connector = TlsConnector::from(Arc::new(senders.next(protocol)?));
                let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
                Self::over(stream, "https", target).await
            }
            None => Self::over(stream, "http", target).await,
        }
    }

    async fn over<S>(stream: S, scheme: &str, target: &Target) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let request = Arc::clone(&target.request);
        let stream = TokioIo::new(stream);
        let (sender, driver, uri) = match request.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(stream).await?;
                let driver = tokio::spawn(async { drop(connection.await) });
                (Sender::One(sender), driver, request.signal.http_path().to_owned())
            }
            protocol => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                let driver = tokio::spawn(async { drop(connection.await) });
                let path = match protocol {
                    Protocol::Grpc => request.signal.grpc_path(),
                    _ => request.signal.http_path(),
                };
                (Sender::Two(sender), driver, format!("{scheme}://localhost{path}"))
            }
        };
        Ok(Self { sender, driver: driver.abort_handle(), request, uri })
    }

    async fn send(&mut self) -> Result<Reply> {
        let Prepared { protocol, encoding, body, .. } = &*self.request;
        let mut head = Request::post(&self.uri);
        head = match protocol {
            Protocol::Grpc => {
                head.header(header::CONTENT_TYPE, "application/grpc").header(header::TE, "trailers")
            }
            Protocol::Http1 | Protocol::Http2 => {
                head.header(header::CONTENT_TYPE, "application/x-protobuf")
            }
        };
        if let Some(name) = encoding.name() {
            head = match protocol {
                Protocol::Grpc => head.header("grpc-encoding", name),
                Protocol::Http1 | Protocol::Http2 => head.header(header::CONTENT_ENCODING, name),
            };
        }
        if let Sender::One(_) = self.sender {
            head = head.header(header::HOST, "localhost");
        }
        let request = head.body(Full::new(body.clone()))?;
        let response = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        read(response, *protocol).await
    }
}

async fn read(response: Response<Incoming>, protocol: Protocol) -> Result<Reply> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned();
    let mut message = body.to_bytes();
    if !head.status.is_success() {
        bail!("the answer is {}: {}", head.status, String::from_utf8_lossy(&message));
    }
    if protocol == Protocol::Grpc {
        let of = |map: &HeaderMap, name| {
            map.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let either = |name| {
            trailers.as_ref().and_then(|map| of(map, name)).or_else(|| of(&head.headers, name))
        };
        let status = either("grpc-status");
        ensure!(
            status.as_deref() == Some("0"),
            "the answer is grpc-status {}: {}",
            status.unwrap_or_else(|| "(none)".into()),
            either("grpc-message").unwrap_or_default()
        );
        message = message.slice(message.len().min(5)..);
    }
    Ok(Reply { message })
}

/// The value below which so many of a thousand latencies are; they must be in order.
#[must_use]
pub fn per_mille(sorted: &[Duration], of_thousand: usize) -> Duration {
    let rank = (sorted.len() * of_thousand).div_ceil(1_000).max(1) - 1;
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use sluice_otlp::Signal;

    use super::*;
    use crate::{
        payload::{Encoding, Payload},
        sink::Sink,
    };

    fn target(sink: &Sink, protocol: Protocol) -> Target {
        let payload = Payload::logs(10).of(Signal::Traces).encoded(Encoding::Gzip);
        let request = Arc::new(payload.prepare(protocol).unwrap());
        let address = if protocol == Protocol::Http1 { sink.http() } else { sink.grpc() };
        Target { address, senders: None, request }
    }

    #[tokio::test]
    async fn every_protocol_comes_to_the_sink_and_back() {
        let sink = Sink::start().await.unwrap();
        for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Grpc] {
            let target = target(&sink, protocol);
            let before = sink.bytes();
            assert_eq!(target.once().await.unwrap().message, "");
            assert_eq!(sink.bytes() - before, target.request.body.len() as u64, "{protocol:?}");
        }
    }

    #[tokio::test]
    async fn the_open_loop_sends_what_is_due_and_the_closed_loop_closes_connections() {
        let sink = Sink::start().await.unwrap();
        let target = target(&sink, Protocol::Http1);
        let sent = target.open(100.0, 2, Duration::from_millis(300)).await.unwrap();
        assert_eq!((sent.latencies.len(), sent.connections), (30, 2));
        let sent = target.closed(1, Some(3), Duration::from_millis(50)).await.unwrap();
        assert_eq!(sent.connections, sent.latencies.len().div_ceil(3));
    }

    /// A server that answers nothing for a while delays all that is due meanwhile.
    #[tokio::test]
    async fn what_waits_for_a_late_reply_is_late_too() {
        let sink = Sink::start().await.unwrap();
        let target = target(&sink, Protocol::Http1);
        let stall = Duration::from_millis(200);
        let load = target.open(200.0, 1, Duration::from_millis(300));
        let blocked = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            // This runtime has one thread, so neither the load nor the sink goes on.
            std::thread::sleep(stall);
        };
        let (sent, ()) = tokio::join!(load, blocked);
        let mut latencies = sent.unwrap().latencies;
        latencies.sort();
        // Without what waited, one of sixty would be late.
        let late = latencies.iter().filter(|&&latency| latency > stall / 4).count();
        assert!(late > 10, "{late} of {}", latencies.len());
    }

    #[test]
    fn a_percentile_is_one_of_the_latencies() {
        let latencies: Vec<_> = (1..=1_000).map(Duration::from_micros).collect();
        let at = |of_thousand| per_mille(&latencies, of_thousand).as_micros();
        assert_eq!([at(500), at(990), at(999), at(1_000)], [500, 990, 999, 1_000]);
        assert_eq!(per_mille(&[], 500), Duration::ZERO);
    }
}
