//! Runs cases in one Envoy: each configuration of a case has its own listener.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use envoy_local::{Cluster, Listener, Options, SenderFiles, Stack};
use hyper::{StatusCode, header::HeaderValue};
use serde_json::Value;
use sluice_cases::{
    case::{Fails, NOWHERE, REFUSING, Sender},
    outcome::{Forwarded, Outcome, counter},
    plan::{self, Plan, Report},
    wire::WireReply,
};
use sluice_e2e::token;
use sluice_otlp::Signal;
use sluice_stand_ins::{Answer, Backend, Reaction};
use tokio::net::TcpSocket;

use crate::client::{exchange, list};

/// Runs the plans that `keep` selects through an Envoy with this configuration, or with `envoy.yaml` if there is none.
pub(crate) async fn every_case_holds(
    through: &str,
    envoy: Option<String>,
    keep: fn(&Plan) -> bool,
) -> Result<()> {
    // The admin client needs a crypto provider even if nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut plans = plan::all()?;
    plans.retain(keep);
    let of_manifests = envoy.is_some();
    if of_manifests {
        // A case with its own cluster, or with a path that is not OTLP's, needs a route that the manifests do not have.
        plans.retain(|plan| {
            let gate = Gate::of(plan);
            let fails = plan.case.backend.fails.is_some();
            !fails && !gate.lets_pass() && clusters(&BTreeSet::from([gate]), None).is_empty()
        });
    }
    let gates: BTreeSet<_> = plans.iter().map(Gate::of).collect();
    let listeners = gates.iter().map(|gate| Listener {
        name: gate.name(),
        timeout: gate.is_impatient.then(|| "0.3s".to_owned()),
        gate: gate.parsed(),
        certificate_required: false,
        header_only_filter: gate.header_only_filter,
        filters_before: vec![token::filter()],
        other_paths: gate.lets_pass().then(|| "loki".to_owned()),
    });
    let run_dir = tempfile::tempdir()?;
    // Bound, but without a listener, so that no other program gets the port.
    let refusing = TcpSocket::new_v4()?;
    refusing.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let closed = refusing.local_addr()?;
    let options = Options {
        run_dir: run_dir.path().to_owned(),
        envoy,
        listeners: listeners.collect(),
        clusters: clusters(&gates, Some(closed)),
        ..Options::default()
    };
    let stack = Stack::start(options).await?;
    let admin = reqwest::Client::new();
    let mut senders = BTreeMap::new();
    let mut report = Report::default();
    for plan in &plans {
        let sender = identity(&stack, &mut senders, &plan.case.sender)?;
        let mut outcome = run(&stack, &admin, plan, sender).await;
        if of_manifests && let Ok(Outcome { forwarded: Some(forwarded), .. }) = &mut outcome {
            // Istio's routes have a `max_grpc_timeout`, so Envoy's router tells a backend how long it waits.
            forwarded.headers.retain(|(name, _)| name != "grpc-timeout");
        }
        report.add(plan, "", outcome);
    }
    if report.has_failed() {
        println!("{}", stack.envoy_last_lines().await);
    }
    stack.stop().await;
    report.finish(through);
    Ok(())
}

/// The settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Gate {
    configuration: String,
    header_only_filter: bool,
    /// Whether Envoy has a short timeout for a backend.
    is_impatient: bool,
}

impl Gate {
    fn of(plan: &Plan) -> Self {
        Self {
            configuration: plan.configuration.to_string(),
            header_only_filter: plan.case.header_only_filter,
            is_impatient: plan.case.backend.fails == Some(Fails::Hangs),
        }
    }

    fn parsed(&self) -> Value {
        serde_json::from_str(&self.configuration).expect("a case's configuration is JSON")
    }

    /// Whether it lets requests pass that are not telemetry.
    fn lets_pass(&self) -> bool {
        self.parsed()["otherPaths"].is_array()
    }

    /// A listener's name.
    fn name(&self) -> String {
        format!("{} {} {}", self.configuration, self.header_only_filter, self.is_impatient)
    }
}

/// Returns every cluster that a configuration names for a backend and that `envoy.yaml` does not have. Each is the
/// signal's stand-in, at its port for HTTP or for gRPC. Clusters for copies are not included, so Envoy makes no copies
/// here. `closed` is the address that refuses connections.
fn clusters(gates: &BTreeSet<Gate>, closed: Option<SocketAddr>) -> Vec<Cluster> {
    const STAND_INS: [(&str, &str); 4] =
        [("logs", "loki"), ("metrics", "mimir"), ("profiles", "pyroscope"), ("traces", "tempo")];
    let mut found = BTreeMap::new();
    for gate in gates {
        let configuration = gate.parsed();
        for (signal, stand_in) in STAND_INS {
            let backend = &configuration["backends"][signal];
            let cells = backend["cells"].as_array().into_iter().flatten();
            for place in cells.chain([backend, &backend["canary"]]) {
                for (key, like) in [("cluster", stand_in), ("grpcCluster", "tempo-grpc")] {
                    if let Some(name) = place[key].as_str().filter(|name| *name != NOWHERE) {
                        let before = found.insert(name.to_owned(), like);
                        assert!(
                            before.is_none_or(|before| before == like),
                            "{name} is two clusters"
                        );
                    }
                }
            }
        }
    }
    let of_envoy_yaml = ["loki", "mimir", "pyroscope", "tempo", "tempo-grpc"];
    found.retain(|name, _| !of_envoy_yaml.contains(&name.as_str()));
    let cluster = |(name, like): (String, &str)| {
        let address = closed.filter(|_| name.starts_with(REFUSING));
        Cluster { name, like: like.to_owned(), address }
    };
    found.into_iter().map(cluster).collect()
}

/// Returns the files of a sender's certificate, which is issued on first use; `None` for a sender without one.
pub(crate) fn identity<'s>(
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
    match case.backend.fails {
        Some(Fails::Hangs) => store.answer_next(backend, Reaction::Hang),
        Some(Fails::HangsUp) => store.answer_next(backend, Reaction::Close),
        Some(Fails::NoCluster | Fails::Refuses) => {}
        None if case.expect.forwarded.is_some() => store.answer_next(backend, answer(reply)?),
        None => {}
    }
    let before = counters(stack, admin).await?;
    let address = stack.listener(&Gate::of(plan).name()).context("the gate has no listener")?;
    let reply = exchange(stack, address, sender, request).await?;
    let mut counts = counted_since(stack, admin, &before).await?;
    // The gate hands over what it has counted when its last stream ends, which is after the reply, or within a second.
    let asked = Instant::now();
    while counts != case.expect.counts && asked.elapsed() < HANDED_OVER_WITHIN {
        tokio::time::sleep(Duration::from_millis(5)).await;
        counts = counted_since(stack, admin, &before).await?;
    }
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

/// More than the period of the gate's timer.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(3);

/// By how much the gate's counters have increased.
async fn counted_since(
    stack: &Stack,
    admin: &reqwest::Client,
    before: &BTreeMap<String, u64>,
) -> Result<BTreeMap<String, u64>> {
    let mut counts = counters(stack, admin).await?;
    for (name, count) in before {
        *counts.entry(name.clone()).or_default() -= count;
    }
    counts.retain(|_, count| *count > 0);
    Ok(counts)
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
