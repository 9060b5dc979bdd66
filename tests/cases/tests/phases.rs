//! Tests every order in which Envoy may call the compiled module: in every order, nothing of a body is forwarded before
//! the verdict on it, and no sender is told of a success that did not happen.

use std::path::Path;

use envoy_harness::{Attributes, Error, HeaderMap, Module, PluginConfig, Stream, Vm};
use sluice_cases::{
    pki::Authority,
    plan::{self, Plan},
    wire::HeaderList,
};

/// Some of its records must be dropped.
const CASE: &str = "records/records_that_lack_the_attribute_are_dropped_and_counted";

/// The next event of a stream whose head has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// A third of the body.
    Piece,
    /// The rest of the body, and its end.
    Rest,
    /// Trailers after the body.
    Trailers,
    /// The head of a reply, with this status.
    Reply(&'static str),
    /// The head of a reply that only has a head.
    Headers(&'static str),
    /// A part of a reply's body.
    ReplyPiece,
    /// The end of a reply.
    ReplyEnd,
    /// Trailers after a reply.
    ReplyTrailers,
}

const EVENTS: [Event; 10] = [
    Event::Piece,
    Event::Rest,
    Event::Trailers,
    Event::Reply("200"),
    Event::Reply("503"),
    Event::Headers("204"),
    Event::Headers("401"),
    Event::ReplyPiece,
    Event::ReplyEnd,
    Event::ReplyTrailers,
];

/// More events than a complete exchange has.
const LONGEST: usize = 6;

#[test]
fn no_order_of_callbacks_lets_a_body_by() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/sluice.wasm");
    let module =
        Module::from_file(file).expect("the module is not there: build it with `make wasm`");
    let authority = Authority::new().unwrap();
    let plans: Vec<_> =
        plan::all().unwrap().into_iter().filter(|plan| plan.case.name == CASE).collect();
    assert_eq!(plans.len(), 6, "three protocols, the head held and gone");
    for plan in plans {
        let certificate = authority.certificate(&plan.case.sender).unwrap().unwrap();
        // The source of the answer, as Envoy reports it.
        for details in ["via_upstream", "request_overall_timeout"] {
            let attributes = Attributes::new()
                .with(["connection", "mtls"], true)
                .with(["connection", "peer_certificate"], certificate.as_str())
                .with(["connection", "peer_certificate_valid"], true)
                .with(["response", "code_details"], details);
            let mut orders = Orders::new(&module, &plan, attributes);
            orders.explore(&mut Vec::new());
            let Orders { seen, early, .. } = orders;
            println!(
                "{:?}, hold {}: {seen} orders, {early} early",
                plan.request.protocol, plan.hold
            );
            assert!(seen > 20 && (early > 20 || plan.hold), "{seen} orders, {early} of them early");
        }
    }
}

/// The orders of events on one gate.
struct Orders<'p> {
    vm: Vm,
    plugin: envoy_harness::PluginId,
    plan: &'p Plan,
    attributes: Attributes,
    /// What the backend gets of the complete request.
    verdict: Vec<u8>,
    seen: usize,
    /// The number of orders with a reply before the request's end.
    early: usize,
}

impl<'p> Orders<'p> {
    fn new(module: &Module, plan: &'p Plan, attributes: Attributes) -> Self {
        let vm = Vm::new(module).expect("the module starts");
        let plugin = PluginConfig::new("sluice")
            .configuration(plan.configuration.to_string())
            .allow_on_headers_stop_iteration(plan.hold);
        let plugin = vm.start_plugin(plugin).expect("the configuration of a case is accepted");
        let mut orders =
            Self { vm, plugin, plan, attributes, verdict: Vec::new(), seen: 0, early: 0 };
        let whole = orders.run(&[Event::Rest]).expect("a request in its order");
        orders.verdict = whole.forwarded().body;
        assert!(whole.forwarded().complete && orders.verdict != plan.request.body);
        orders
    }

    fn run(&self, events: &[Event]) -> Result<Stream, Error> {
        let mut stream = self.vm.stream(self.plugin, self.attributes.clone())?;
        let request = &self.plan.request;
        stream.request_headers(map(&request.headers), false)?;
        let mut rest = request.body.as_slice();
        for event in events {
            let _progress = match event {
                Event::Piece => {
                    let (piece, behind) = rest.split_at(rest.len().min(request.body.len() / 3));
                    rest = behind;
                    stream.request_body(piece, false)
                }
                Event::Rest => stream.request_body(rest, true),
                Event::Trailers => stream.request_trailers([("x-checksum", "1")]),
                Event::Reply(status) => stream.response_headers([(":status", *status)], false),
                Event::Headers(status) => stream.response_headers([(":status", *status)], true),
                Event::ReplyPiece => stream.response_body(b"stored", false),
                Event::ReplyEnd => stream.response_body(b"", true),
                Event::ReplyTrailers => stream.response_trailers([("x-checksum", "1")]),
            }?;
        }
        Ok(stream)
    }

    fn explore(&mut self, events: &mut Vec<Event>) {
        let mut stream = match self.run(events) {
            // Envoy would not call in this order.
            Err(Error::OutOfOrder { .. }) => return,
            outcome => outcome.unwrap_or_else(|error| panic!("{events:?}: {error}")),
        };
        self.seen += 1;
        let replies = |event: &Event| matches!(event, Event::Reply(_) | Event::Headers(_));
        let end = |event: &Event| matches!(event, Event::Rest | Event::Trailers);
        let is_early = events.iter().position(replies) < events.iter().position(end)
            || events.iter().any(replies) && !events.iter().any(end);
        self.early += usize::from(is_early && events.iter().any(replies));
        self.check(&stream, events);
        stream.finish().unwrap_or_else(|error| panic!("{events:?}: {error}"));
        if events.len() < LONGEST {
            for event in EVENTS {
                events.push(event);
                self.explore(events);
                events.pop();
            }
        }
    }

    fn check(&self, stream: &Stream, events: &[Event]) {
        let (forwarded, received) = (stream.forwarded(), stream.received());
        let how = format!("{:?}, hold {}: {events:?}", self.plan.request.protocol, self.plan.hold);
        assert!(
            forwarded.body.is_empty() || (forwarded.complete && forwarded.body == self.verdict),
            "{how}: what must not go on went on: {:?}",
            String::from_utf8_lossy(&forwarded.body)
        );
        let header = |headers: &Option<HeaderMap>, name: &str| {
            headers.as_ref().and_then(|headers| headers.get(name).map(<[u8]>::to_vec))
        };
        let status = received.status();
        let grpc = header(&received.trailers, "grpc-status")
            .or_else(|| header(&received.headers, "grpc-status"));
        let is_success = match self.plan.request.protocol {
            sluice_cases::case::Protocol::Grpc => grpc.as_deref() == Some(b"0"),
            _ => status.is_some_and(|status| status < 400),
        };
        // A request that ends without a body has nothing to store.
        let is_empty = !events.iter().any(|event| matches!(event, Event::Piece | Event::Rest));
        assert!(
            !is_success || is_empty || (forwarded.complete && forwarded.body == self.verdict),
            "{how}: the sender is told {status:?}, and nothing was stored"
        );
    }
}

fn map(headers: &HeaderList) -> HeaderMap {
    let mut map = HeaderMap::default();
    for (name, value) in headers {
        map.add(name, value);
    }
    map
}
