//! Every case through real Envoy, with the head held and with it gone.
//!
//! One Envoy runs them all: each configuration that a case asks for has a listener of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use envoy_local::{Listener, Options, SenderFiles, Stack};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, StatusCode,
    client::conn::{http1, http2},
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use sluice_backends::{Answer, Backend};
use sluice_cases::{
    case::{Protocol, Sender},
    outcome::{Forwarded, Outcome, Reply, counter},
    plan::{self, Plan, Report},
    wire::{HeaderList, WireReply, WireRequest},
};
use sluice_e2e::{
    client::{self, Alpn},
    token,
};
use sluice_otlp::Signal;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds_in_envoy() {
    // For the admin client, which wants one even where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plans = plan::all().unwrap();
    let gates: BTreeSet<_> = plans.iter().map(Gate::of).collect();
    let listeners = gates.iter().map(|gate| Listener {
        name: gate.name(),
        gate: serde_json::from_str(&gate.configuration).unwrap(),
        certificate_required: false,
        header_only_filter: gate.header_only_filter,
        filters_before: vec![token::filter()],
    });
    let run_dir = tempfile::tempdir().unwrap();
    let options = Options {
        run_dir: run_dir.path().to_owned(),
        listeners: listeners.collect(),
        ..Options::default()
    };
    let stack = Stack::start(options).await.unwrap();
    let admin = reqwest::Client::new();
    let mut senders = BTreeMap::new();
    let mut report = Report::default();
    for plan in &plans {
        let sender = identity(&stack, &mut senders, &plan.case.sender).unwrap();
        report.add(plan, "", run(&stack, &admin, plan, sender).await);
    }
    if report.has_failed() {
        println!("{}", stack.envoy_last_lines().await);
    }
    stack.stop().await;
    report.finish("in Envoy");
}

/// What a listener is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Gate {
    configuration: String,
    header_only_filter: bool,
}

impl Gate {
    fn of(plan: &Plan) -> Self {
        Self {
            configuration: plan.configuration.to_string(),
            header_only_filter: plan.case.header_only_filter,
        }
    }

    /// A listener's name.
    fn name(&self) -> String {
        format!("{} {}", self.configuration, self.header_only_filter)
    }
}

/// The files of a sender's certificate, issued when it is first asked for; `None` for a sender
/// without one.
fn identity<'s>(
    stack: &Stack,
    senders: &'s mut BTreeMap<Sender, SenderFiles>,
    sender: &Sender,
) -> Result<Option<&'s SenderFiles>> {
    if !sender.certificate {
        return Ok(None);
    }
    if !senders.contains_key(sender) {
        let name = format!("case-{}", senders.len());
        let files = stack.pki().issue(&name, &sender.dns, &sender.uri)?;
        senders.insert(sender.clone(), files);
    }
    Ok(senders.get(sender))
}

async fn run(
    stack: &Stack,
    admin: &reqwest::Client,
    plan: &Plan,
    sender: Option<&SenderFiles>,
) -> Result<Outcome> {
    let Plan { case, request, reply, .. } = plan;
    let backend = match request.signal {
        Signal::Logs => Backend::Loki,
        Signal::Metrics => Backend::Mimir,
        Signal::Profiles => Backend::Pyroscope,
        Signal::Traces => Backend::Tempo,
    };
    let store = stack.backends().store();
    store.clear();
    if case.expect.forwarded.is_some() {
        store.answer_next(backend, answer(reply)?);
    }
    let before = counters(stack, admin).await?;
    let address = stack.listener(&Gate::of(plan).name()).context("the gate has no listener")?;
    let reply = exchange(stack, address, sender, request).await?;
    let mut counts = counters(stack, admin).await?;
    for (name, count) in before {
        *counts.entry(name).or_default() -= count;
    }
    counts.retain(|_, count| *count > 0);
    let mut forwarded =
        Backend::ALL.into_iter().flat_map(|backend| store.requests(backend)).map(|request| {
            let mut headers = list(&request.headers);
            headers.push((":path".to_owned(), request.path.into_bytes()));
            headers.push((":method".to_owned(), request.method.as_str().as_bytes().to_vec()));
            Forwarded { headers, body: request.body.unwrap_or_default().to_vec() }
        });
    Ok(Outcome { forwarded: forwarded.next(), reply, counts })
}

fn answer(reply: &WireReply) -> Result<Answer> {
    let mut answer = Answer::new(StatusCode::from_u16(reply.status)?);
    for (name, value) in &reply.headers {
        answer = answer.header(name.parse()?, HeaderValue::from_bytes(value)?);
    }
    for (name, value) in &reply.trailers {
        answer = answer.trailer(name.parse()?, HeaderValue::from_bytes(value)?);
    }
    Ok(answer.body(reply.body.clone().unwrap_or_default()))
}

/// The gate's counters, by name.
async fn counters(stack: &Stack, admin: &reqwest::Client) -> Result<BTreeMap<String, u64>> {
    let url = format!("http://{}/stats?filter=sluice_.*_total", stack.admin_addr());
    let text = admin.get(url).send().await?.error_for_status()?.text().await?;
    let counters = text.lines().filter_map(|line| {
        let (stat, value) = line.rsplit_once(": ")?;
        Some((counter(stat.strip_prefix("wasmcustom.")?)?, value.parse().ok()?))
    });
    Ok(counters.collect())
}

/// Sends a request over a connection of its own: HTTP/2 for gRPC, HTTP/1.1 for the rest.
async fn exchange(
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
        Reply::from_http(head.status.as_u16(), &headers, &body)
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
            // The client writes the others itself.
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

fn list(headers: &HeaderMap) -> HeaderList {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    headers.iter().map(pair).collect()
}
