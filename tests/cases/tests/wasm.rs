//! Runs every case through the compiled module, on wasmtime: with the head held and not held, and with the body whole
//! and in pieces.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, Result};
use envoy_harness::{
    Attributes, HeaderMap, Metric, Module, PluginConfig, PluginId, Progress, Stream, Vm,
};
use sluice_cases::{
    case::{Fails, Protocol},
    native,
    outcome::{Forwarded, Outcome, Reply, counter},
    pki::Authority,
    plan::{self, Plan, Report},
    token,
    wire::{HeaderList, WireReply, WireRequest},
};

/// The sizes of the pieces of a body, in bytes; the last one is for the whole body.
const PIECES: [usize; 4] = [1, 5, 4096, usize::MAX];

/// The size with which a reply also has trailers. No case can distinguish this from a reply without trailers.
const WITH_TRAILERS: usize = 4096;

/// A body that would need more pieces is only cut into larger ones.
const MAX_PIECES: usize = 50_000;

/// The value in `envoy-local/envoy.yaml`, which is far above the limits of the cases.
const BUFFER_LIMIT: usize = 17 << 20;

#[test]
fn every_case_holds_in_the_module() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/sluice.wasm");
    let module =
        Module::from_file(file).expect("the module is not there: build it with `make wasm`");
    let authority = Authority::new().unwrap();
    let mut gates = BTreeMap::new();
    let mut report = Report::default();
    for plan in plan::all().unwrap() {
        let certificate = authority.certificate(&plan.case.sender).unwrap();
        let gate = gates
            .entry(plan.configuration.to_string())
            .or_insert_with_key(|configuration| Gate::start(&module, configuration, plan.hold));
        let bytes = plan.request.body.len().max(plan.reply.body.as_ref().map_or(0, Vec::len));
        for piece in PIECES.into_iter().filter(|piece| bytes / piece <= MAX_PIECES) {
            let how = if piece == usize::MAX { "whole".into() } else { format!("by {piece}") };
            report.add(&plan, &format!(", {how}"), gate.run(certificate.as_deref(), &plan, piece));
        }
    }
    report.finish("in the module on wasmtime");
}

/// A worker with one configured plugin.
struct Gate {
    vm: Vm,
    plugin: PluginId,
}

impl Gate {
    fn start(module: &Module, configuration: &str, hold: bool) -> Self {
        let vm = Vm::new(module).expect("the module starts");
        vm.set_time(Duration::from_secs(native::NOW));
        let plugin = PluginConfig::new("sluice")
            .configuration(configuration)
            .allow_on_headers_stop_iteration(hold);
        let plugin = vm.start_plugin(plugin).expect("the configuration of a case is accepted");
        Self { vm, plugin }
    }

    fn run(&self, certificate: Option<&str>, plan: &Plan, piece: usize) -> Result<Outcome> {
        let Plan { request, reply, .. } = plan;
        let before = self.counts();
        let attributes = match certificate {
            Some(pem) => Attributes::new()
                .with(["connection", "mtls"], true)
                .with(["connection", "peer_certificate"], pem)
                .with(["connection", "peer_certificate_valid"], true),
            None => Attributes::new().with(["connection", "mtls"], false),
        };
        let attributes = attributes.with(["response", "code_details"], reply.details);
        let attributes = token::attributes(attributes, request.token.as_ref());
        let mut stream = self.vm.stream(self.plugin, attributes)?;
        stream.set_buffer_limit(BUFFER_LIMIT);
        if reply.early && !plan.hold {
            stream.request_headers(map(&request.headers), request.body.is_empty())?;
            answer(&mut stream, reply, piece)?;
        } else {
            send(&mut stream, request, piece)?;
        }
        // What the backend had received when it answered. If the gate replaces the answer later, this does not change.
        let forwarded = stream.forwarded();
        let is_whole = forwarded.complete && !stream.is_upstream_reset();
        if is_whole && stream.local_reply().is_none() {
            answer(&mut stream, reply, piece)?;
        }
        stream.finish()?;
        let received = stream.received();
        anyhow::ensure!(received.complete, "the sender got no whole reply");
        let headers = list(received.headers.as_ref());
        let read = match request.protocol {
            Protocol::Grpc => {
                let trailers = received.trailers.as_ref().map(|trailers| list(Some(trailers)));
                Reply::from_grpc(&received.body, &trailers.unwrap_or(headers))?
            }
            protocol => {
                let status = received.status().context("the reply has no status")?;
                Reply::from_protocol(protocol, status, &headers, &received.body)?
            }
        };
        let mut counts = self.counts();
        for (name, count) in before {
            *counts.entry(name).or_default() -= count;
        }
        counts.retain(|_, count| *count > 0);
        let is_reached = plan.case.backend.fails.is_none_or(Fails::is_reached);
        let forwarded = (is_reached && is_whole)
            .then(|| Forwarded { headers: list(forwarded.headers.as_ref()), body: forwarded.body });
        Ok(Outcome { forwarded, reply: read, counts })
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let metrics = self.vm.metrics();
        let counters = metrics.iter().filter_map(|(name, metric)| match metric {
            Metric::Counter(value) => Some((counter(name)?, *value)),
            Metric::Gauge(_) | Metric::Histogram(_) => None,
        });
        counters.collect()
    }
}

fn send(stream: &mut Stream, request: &WireRequest, piece: usize) -> Result<()> {
    stream.request_headers(map(&request.headers), request.body.is_empty())?;
    let mut pieces = request.body.chunks(piece).peekable();
    let trailers = !request.trailers.is_empty();
    while let Some(bytes) = pieces.next() {
        stream.request_body(bytes, pieces.peek().is_none() && !trailers)?;
    }
    if trailers {
        stream.request_trailers(map(&request.trailers))?;
    }
    Ok(())
}

fn answer(stream: &mut Stream, reply: &WireReply, piece: usize) -> Result<()> {
    let (headers, body) = reply.at_the_module();
    let Some(body) = body else {
        stream.response_headers(map(&headers), true)?;
        return Ok(());
    };
    if stream.response_headers(map(&headers), false)? == Progress::Replied {
        // Envoy ends the upstream's stream.
        return Ok(());
    }
    // The trailers of the case, or some without meaning.
    let some = [("x-checksum".to_owned(), b"1".to_vec())].into();
    let trailers = if reply.trailers.is_empty() { &some } else { &reply.trailers };
    let has_trailers = piece == WITH_TRAILERS || !reply.trailers.is_empty();
    let mut pieces = body.chunks(piece).peekable();
    while let Some(bytes) = pieces.next() {
        stream.response_body(bytes, pieces.peek().is_none() && !has_trailers)?;
    }
    if body.is_empty() && !has_trailers {
        stream.response_body([], true)?;
    }
    if has_trailers {
        stream.response_trailers(map(trailers))?;
    }
    Ok(())
}

fn map(headers: &HeaderList) -> HeaderMap {
    let mut map = HeaderMap::default();
    for (name, value) in headers {
        map.add(name, value);
    }
    map
}

fn list(headers: Option<&HeaderMap>) -> HeaderList {
    let pair = |(name, value): (&[u8], &[u8])| {
        (String::from_utf8_lossy(name).into_owned(), value.to_vec())
    };
    headers.into_iter().flat_map(HeaderMap::iter).map(pair).collect()
}
