//! Listens, reads bodies, and chooses between a queued reaction and a backend's own rules.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, time::Duration};

use axum::Router;
use bytes::BytesMut;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
};

use crate::{
    Backend, Door,
    answer::{Answer, Reaction},
    loki, mimir,
    push::{Body, Push, Verdict},
    pyroscope, standin,
    store::Store,
    tempo, tempo_grpc,
};

/// A body above its limit is read up to this size, so that the sender gets the answer. The connection of a sender that
/// sends more is closed.
const READ_AT_MOST: usize = 512 << 20;

/// The response body of every answer.
type Reply = Response<axum::body::Body>;

/// The connection must be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
struct Closed;

/// Closes and opens a backend's port, from outside of the server.
#[derive(Debug)]
pub(crate) struct Switch {
    wanted: watch::Sender<bool>,
    open: watch::Receiver<bool>,
}

/// The server's end of a [`Switch`].
#[derive(Debug)]
pub(crate) struct Switched {
    wanted: watch::Receiver<bool>,
    open: watch::Sender<bool>,
}

impl Switch {
    pub(crate) fn new() -> (Self, Switched) {
        let (wanted, to_be) = watch::channel(true);
        let (is, open) = watch::channel(true);
        (Self { wanted, open }, Switched { wanted: to_be, open: is })
    }

    /// Waits until the port has this state.
    pub(crate) async fn turn(&self, open: bool) {
        self.wanted.send_replace(open);
        until(&mut self.open.clone(), open).await;
    }
}

/// Waits until the port should have this state, or until the other side is dropped, because then the server stops.
async fn until(told: &mut watch::Receiver<bool>, open: bool) {
    let _ended = told.wait_for(|now| *now == open).await.is_err();
}

/// Serves a backend until the task is aborted, which also closes the connections.
pub(crate) async fn serve(
    door: Door,
    mut listener: TcpListener,
    store: Store,
    mut switch: Switched,
) {
    let backend = door.backend();
    let standin = standin::router(backend, store.clone());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let wanted = switch.wanted.clone();
                    connections.spawn(converse(door, stream, store.clone(), standin.clone(), wanted));
                }
                // Most likely there are no free file descriptors: wait for some.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            () = until(&mut switch.wanted, false) => {
                listener = match pause(listener, &mut switch).await {
                    Ok(listener) => listener,
                    Err(error) => panic!("{backend}'s stand-in lost its port: {error}"),
                };
            }
        }
    }
}

/// Closes the port until it should be open again. Meanwhile the address stays bound, so that no other program gets it,
/// but nothing listens on it, so connections are refused.
async fn pause(listener: TcpListener, switch: &mut Switched) -> io::Result<TcpListener> {
    let address = listener.local_addr()?;
    drop(listener);
    let held = hold(address)?;
    switch.open.send_replace(false);
    until(&mut switch.wanted, true).await;
    let listener = held.listen(1024)?;
    switch.open.send_replace(true);
    Ok(listener)
}

fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Earlier connections may still be open.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Serves a connection until its end. If the port closes, requests that have been read are answered first.
async fn converse(
    door: Door,
    stream: TcpStream,
    store: Store,
    standin: Router,
    mut wanted: watch::Receiver<bool>,
) {
    let standin = TowerToHyperService::new(standin);
    let service = service_fn(|request: Request<Incoming>| {
        let (store, standin) = (store.clone(), standin.clone());
        async move {
            if request.uri().path().starts_with(standin::PREFIX) {
                let Ok(reply): Result<Reply, Infallible> = standin.call(request).await;
                return Ok(reply);
            }
            let push = read(door, request).await?;
            respond(door, push, &store).await
        }
    });
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Tempo's port does not support HTTP/2 without TLS: the HTTP/2 preface closes the connection.
    http = match door {
        Door::Http(Backend::Tempo) => http.http1_only(),
        Door::TempoGrpc => http.http2_only(),
        Door::Http(_) => http,
    };
    // An error here comes from the sender (disconnected, or not HTTP) or is a close that a test asked for. There is
    // nobody to report it to.
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ended = connection.as_mut() => {}
        () = until(&mut wanted, false) => {
            connection.as_mut().graceful_shutdown();
            let _ended = connection.await;
        }
    }
}

async fn read(door: Door, request: Request<Incoming>) -> Result<Push, Closed> {
    let limit = match door {
        Door::Http(Backend::Loki) => loki::BODY_LIMIT,
        Door::Http(Backend::Mimir) => mimir::BODY_LIMIT,
        Door::Http(Backend::Tempo) => tempo::BODY_LIMIT,
        Door::Http(Backend::Pyroscope) => pyroscope::BODY_LIMIT,
        Door::TempoGrpc => tempo_grpc::BODY_LIMIT,
    };
    let (head, mut incoming) = request.into_parts();
    let mut body = BytesMut::new();
    let mut received = 0;
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|_| Closed)?.into_data() else {
            continue;
        };
        received += data.len();
        if received <= limit {
            body.extend_from_slice(&data);
        } else if received <= READ_AT_MOST {
            body = BytesMut::new();
        } else {
            return Err(Closed);
        }
    }
    Ok(Push {
        method: head.method,
        uri: head.uri,
        version: head.version,
        headers: head.headers,
        body: if received > limit { Body::TooLarge } else { Body::Whole(body.freeze()) },
    })
}

async fn respond(door: Door, push: Push, store: &Store) -> Result<Reply, Closed> {
    let backend = door.backend();
    match store.next_reaction(backend) {
        None => {
            let verdict = judge(door, &push, store);
            let response = verdict.answer.clone().into_response();
            let status = verdict.answer.status;
            store.settle(backend, push, verdict, Some(status));
            Ok(response)
        }
        Some(Reaction::StoreAndClose) => {
            let verdict = judge(door, &push, store);
            store.settle(backend, push, verdict, None);
            Err(Closed)
        }
        Some(reaction) => {
            let number = store.await_answer(backend, push);
            let answer = play(reaction).await?;
            store.answered(backend, number, answer.status);
            Ok(answer.into_response())
        }
    }
}

fn judge(door: Door, push: &Push, store: &Store) -> Verdict {
    match door {
        Door::Http(Backend::Loki) => loki::receive(push, store),
        Door::Http(Backend::Mimir) => mimir::receive(push),
        Door::Http(Backend::Tempo) => tempo::receive(push),
        Door::Http(Backend::Pyroscope) => pyroscope::receive(push),
        Door::TempoGrpc => tempo_grpc::receive(push),
    }
}

async fn play(reaction: Reaction) -> Result<Answer, Closed> {
    match reaction {
        Reaction::Answer(answer) => {
            tokio::time::sleep(answer.delay).await;
            Ok(answer)
        }
        Reaction::Close | Reaction::StoreAndClose => Err(Closed),
        Reaction::Hang => std::future::pending().await,
    }
}
