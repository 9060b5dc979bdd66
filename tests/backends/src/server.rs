//! Listening, reading bodies, and the choice between a queued reaction and a backend's own rules.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::answer::{Answer, Reaction};
use crate::push::{Body, Push, Verdict};
use crate::standin;
use crate::store::Store;
use crate::{Backend, loki, mimir, pyroscope, tempo};

/// A body over its limit is read on to here, so that the sender hears the answer; a sender that
/// goes beyond is cut off.
const READ_AT_MOST: usize = 512 << 20;

/// The response body of every answer.
type Reply = Response<axum::body::Body>;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed without an answer")]
struct Closed;

/// Serves a backend until the task is aborted; that ends its connections too.
pub(crate) async fn serve(backend: Backend, listener: TcpListener, store: Store) {
    let standin = standin::router(backend, store.clone());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(backend, stream, store.clone(), standin.clone()));
                }
                // Out of file descriptors, most likely: wait for some to come free.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(backend: Backend, stream: TcpStream, store: Store, standin: Router) {
    let standin = TowerToHyperService::new(standin);
    let service = service_fn(|request: Request<Incoming>| {
        let (store, standin) = (store.clone(), standin.clone());
        async move {
            if request.uri().path().starts_with(standin::PREFIX) {
                let Ok(reply): Result<Reply, Infallible> = standin.call(request).await;
                return Ok(reply);
            }
            let push = read(backend, request).await?;
            let response = respond(backend, push, &store).await?;
            Ok::<Reply, Closed>(response.map(axum::body::Body::new))
        }
    });
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Tempo's port does not take HTTP/2 without TLS; the preface gets the connection closed.
    if backend == Backend::Tempo {
        http = http.http1_only();
    }
    // An error here is the sender's (gone, or not HTTP) or a close that a test asked for: there is
    // nobody to tell.
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn read(backend: Backend, request: Request<Incoming>) -> Result<Push, Closed> {
    let limit = match backend {
        Backend::Loki => loki::BODY_LIMIT,
        Backend::Mimir => mimir::BODY_LIMIT,
        Backend::Tempo => tempo::BODY_LIMIT,
        Backend::Pyroscope => pyroscope::BODY_LIMIT,
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

async fn respond(
    backend: Backend,
    push: Push,
    store: &Store,
) -> Result<Response<Full<Bytes>>, Closed> {
    match store.next_reaction(backend) {
        None => {
            let verdict = judge(backend, &push, store);
            let response = verdict.answer.clone().into_response();
            store.settle(backend, push, verdict);
            Ok(response)
        }
        Some(reaction) => {
            let number = store.await_answer(backend, push);
            let answer = play(reaction).await?;
            store.answered(backend, number, answer.status);
            Ok(answer.into_response())
        }
    }
}

fn judge(backend: Backend, push: &Push, store: &Store) -> Verdict {
    match backend {
        Backend::Loki => loki::receive(push, store),
        Backend::Mimir => mimir::receive(push),
        Backend::Tempo => tempo::receive(push),
        Backend::Pyroscope => pyroscope::receive(push),
    }
}

async fn play(reaction: Reaction) -> Result<Answer, Closed> {
    match reaction {
        Reaction::Answer(answer) => {
            tokio::time::sleep(answer.delay).await;
            Ok(answer)
        }
        Reaction::Close => Err(Closed),
        Reaction::Hang => std::future::pending().await,
    }
}
