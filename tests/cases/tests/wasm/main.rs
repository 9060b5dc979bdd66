//! Runs every case through the compiled module, on wasmtime: with the head held and not held, and with the body whole
//! and in pieces. Also counts the crossings between the module and its host ([`crossings`]).

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod connections;
mod crossings;

use std::{collections::BTreeMap, path::Path, sync::LazyLock, time::Duration};

use anyhow::{Context, Result};
use envoy_harness::{
    Attributes, Crossings, HeaderMap, Metric, Module, PluginConfig, PluginId, Progress, Stream, Vm,
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

/// How a body arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// In pieces of this many bytes; the end comes with the last one.
    Pieces(usize),
    /// The same, and the reply also has trailers. No case can distinguish this from a reply without trailers.
    WithTrailers(usize),
    /// Whole, and then the end by itself, as Envoy passes on a short body over HTTP/1.1. The crossings are counted in
    /// this run. It is the last one of a case, so that nothing in it happens for the first time.
    ThenTheEnd,
}

const CUTS: [Cut; 5] = [
    Cut::Pieces(1),
    Cut::Pieces(5),
    Cut::WithTrailers(4096),
    Cut::Pieces(usize::MAX),
    Cut::ThenTheEnd,
];

/// A body that would need more pieces is only cut into larger ones.
const MAX_PIECES: usize = 50_000;

/// The value in `envoy-local/envoy.yaml`, which is far above the limits of the cases.
const BUFFER_LIMIT: usize = 17 << 20;

#[test]
fn every_case_holds_in_the_module() {
    let module = module();
    let authority = Authority::new().unwrap();
    let mut gates = BTreeMap::new();
    let mut report = Report::default();
    let mut counted = crossings::Counted::default();
    for plan in plan::all().unwrap() {
        let certificate = authority.certificate(&plan.case.sender).unwrap();
        let gate: &mut Gate = gates
            .entry(plan.configuration.to_string())
            .or_insert_with_key(|configuration| Gate::start(&module, configuration, plan.hold));
        let bytes = plan.request.body.len().max(plan.reply.body.as_ref().map_or(0, Vec::len));
        for cut in CUTS.into_iter().filter(|cut| bytes / cut.piece() <= MAX_PIECES) {
            let run = gate.run(certificate.as_deref(), &plan, cut);
            let outcome = run.map(|(outcome, crossings)| {
                if cut == Cut::ThenTheEnd {
                    counted.add(&plan, crossings);
                }
                outcome
            });
            report.add(&plan, &format!(", {cut:?}"), outcome);
        }
    }
    report.finish("in the module on wasmtime");
    counted.finish();
}

impl Cut {
    const fn piece(self) -> usize {
        match self {
            Self::Pieces(bytes) | Self::WithTrailers(bytes) => bytes,
            Self::ThenTheEnd => usize::MAX,
        }
    }
}

/// The module, compiled once for all tests.
fn module() -> Module {
    static MODULE: LazyLock<Module> = LazyLock::new(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/sluice.wasm");
        Module::from_file(file).expect("the module is not there: build it with `make wasm`")
    });
    MODULE.clone()
}

/// A worker with one configured plugin.
struct Gate {
    vm: Vm,
    plugin: PluginId,
    /// The ids of connections, by their certificates.
    connections: BTreeMap<Option<String>, usize>,
}

impl Gate {
    fn start(module: &Module, configuration: &str, hold: bool) -> Self {
        let vm = Vm::new(module).expect("the module starts");
        vm.set_time(Duration::from_secs(native::NOW));
        let plugin = PluginConfig::new("sluice")
            .configuration(configuration)
            .allow_on_headers_stop_iteration(hold);
        let plugin = vm.start_plugin(plugin).expect("the configuration of a case is accepted");
        Self { vm, plugin, connections: BTreeMap::new() }
    }

    /// Sends a request over the connection of this certificate, which other requests have used and will use.
    fn run(
        &mut self,
        certificate: Option<&str>,
        plan: &Plan,
        cut: Cut,
    ) -> Result<(Outcome, Crossings)> {
        let Plan { request, reply, .. } = plan;
        // With another stream, as under load, counts are handed over by the timer; without, when the stream ends.
        let mut other = None;
        if cut == Cut::ThenTheEnd {
            let stream = other.insert(self.vm.stream(self.plugin, Attributes::new())?);
            stream.request_headers([(":method", "GET"), (":path", "/other")], true)?;
            self.vm.tick(self.plugin)?;
        }
        let before = self.counts();
        let connection = self.connections.len();
        let connection =
            *self.connections.entry(certificate.map(ToOwned::to_owned)).or_insert(connection);
        let attributes = match certificate {
            Some(pem) => Attributes::new()
                .with(["connection", "mtls"], true)
                .with(["connection", "peer_certificate"], pem)
                .with(["connection", "peer_certificate_valid"], true),
            None => Attributes::new().with(["connection", "mtls"], false),
        };
        let attributes = attributes
            .with(["connection_id"], u64::try_from(connection)?)
            .with(["request", "protocol"], request.protocol.version())
            .with(["response", "code_details"], reply.details);
        let attributes = token::attributes(attributes, request.token.as_ref());
        let mut stream = self.vm.stream(self.plugin, attributes)?;
        stream.set_buffer_limit(BUFFER_LIMIT);
        if reply.early && !plan.hold {
            stream.request_headers(map(&request.headers), request.body.is_empty())?;
            answer(&mut stream, reply, cut)?;
        } else {
            send(&mut stream, request, cut)?;
        }
        // What the backend had received when it answered. If the gate replaces the answer later, this does not change.
        let forwarded = stream.forwarded();
        let is_whole = forwarded.complete && !stream.is_upstream_reset();
        if is_whole && stream.local_reply().is_none() {
            answer(&mut stream, reply, cut)?;
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
        if let Some(mut other) = other {
            self.vm.tick(self.plugin)?;
            other.finish()?;
        }
        let mut counts = self.counts();
        for (name, count) in before {
            *counts.entry(name).or_default() -= count;
        }
        counts.retain(|_, count| *count > 0);
        let is_reached = plan.case.backend.fails.is_none_or(Fails::is_reached);
        let forwarded = (is_reached && is_whole)
            .then(|| Forwarded { headers: list(forwarded.headers.as_ref()), body: forwarded.body });
        Ok((Outcome { forwarded, reply: read, counts }, stream.crossings()))
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

fn send(stream: &mut Stream, request: &WireRequest, cut: Cut) -> Result<()> {
    stream.request_headers(map(&request.headers), request.body.is_empty())?;
    let mut pieces = request.body.chunks(cut.piece()).peekable();
    let trailers = !request.trailers.is_empty();
    let end_alone = cut == Cut::ThenTheEnd && !trailers && !request.body.is_empty();
    while let Some(bytes) = pieces.next() {
        stream.request_body(bytes, pieces.peek().is_none() && !trailers && !end_alone)?;
    }
    if end_alone {
        stream.request_body([], true)?;
    }
    if trailers {
        stream.request_trailers(map(&request.trailers))?;
    }
    Ok(())
}

fn answer(stream: &mut Stream, reply: &WireReply, cut: Cut) -> Result<()> {
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
    let has_trailers = matches!(cut, Cut::WithTrailers(_)) || !reply.trailers.is_empty();
    // The Lua filter passes on a body that it has made or waited for with its end.
    let end_alone = cut == Cut::ThenTheEnd && !has_trailers && !reply.waits_in_lua();
    let mut pieces = body.chunks(cut.piece()).peekable();
    while let Some(bytes) = pieces.next() {
        stream.response_body(bytes, pieces.peek().is_none() && !has_trailers && !end_alone)?;
    }
    if (body.is_empty() || end_alone) && !has_trailers {
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
