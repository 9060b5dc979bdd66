//! Requests whose bodies wait, in the compiled module: how much they hold, and what releases it.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::path::Path;

use envoy_harness::{Attributes, HeaderMap, Module, PluginConfig, PluginId, Stream, Vm};
use sluice_cases::{
    pki::Authority,
    plan::{self, Plan},
    wire::HeaderList,
};

/// Some of its records must be dropped.
const CASE: &str = "records/records_that_lack_the_attribute_are_dropped_and_counted";

/// The lowest value that a configuration with the cases' limits allows: two requests of one sender cannot wait at once.
const SENDER_BYTES: usize = 16_384 + (320 << 10);

/// A worker whose gate allows each sender little.
struct Worker {
    vm: Vm,
    plugin: PluginId,
    plan: Plan,
    attributes: Attributes,
}

impl Worker {
    /// One for each protocol, with the head not held.
    fn all() -> Vec<Self> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/sluice.wasm");
        let module =
            Module::from_file(file).expect("the module is not there: build it with `make wasm`");
        let authority = Authority::new().unwrap();
        let plans = plan::all().unwrap().into_iter();
        let plans = plans.filter(|plan| plan.case.name == CASE && !plan.hold);
        let worker = |plan: Plan| {
            let certificate = authority.certificate(&plan.case.sender).unwrap().unwrap();
            let attributes = Attributes::new()
                .with(["connection", "mtls"], true)
                .with(["connection", "peer_certificate"], certificate.as_str())
                .with(["connection", "peer_certificate_valid"], true)
                .with(["response", "code_details"], "via_upstream");
            let vm = Vm::new(&module).expect("the module starts");
            let plugin = vm.start_plugin(configured(&plan, |_| {})).expect("it is accepted");
            Self { vm, plugin, plan, attributes }
        };
        plans.map(worker).collect()
    }

    /// A request of which only the head and a third of the body have arrived.
    fn waiting(&self) -> Stream {
        let mut stream = self.vm.stream(self.plugin, self.attributes.clone()).unwrap();
        let request = &self.plan.request;
        stream.request_headers(map(&request.headers), false).unwrap();
        stream.request_body(&request.body[..request.body.len() / 3], false).unwrap();
        stream
    }

    fn end(&self, stream: &mut Stream) {
        let body = &self.plan.request.body;
        stream.request_body(&body[body.len() / 3..], true).unwrap();
    }
}

/// The case's configuration with a low limit for each sender, and this change.
fn configured(plan: &Plan, change: impl FnOnce(&mut serde_json::Value)) -> PluginConfig {
    let mut configuration = plan.configuration.clone();
    configuration["limits"]["senderBytes"] = SENDER_BYTES.into();
    change(&mut configuration);
    PluginConfig::new("sluice").configuration(configuration.to_string())
}

/// Returns whether a request is refused temporarily, with a time to retry.
fn is_refused_for_now(stream: &Stream) -> bool {
    let received = stream.received();
    let header = |name: &str| {
        received.headers.as_ref().and_then(|headers| headers.get(name).map(<[u8]>::to_vec))
    };
    match header("grpc-status") {
        Some(status) => status == b"14" && header("grpc-status-details-bin").is_some(),
        None => received.status() == Some(503) && header("retry-after").as_deref() == Some(b"5"),
    }
}

#[test]
fn a_sender_over_its_share_is_refused_for_now_and_what_ends_is_given_back() {
    type End = fn(&Worker, &mut Stream);
    let ends: [(&str, End); 4] = [
        ("it is decided", |worker, stream| worker.end(stream)),
        ("it is reset", |_, stream| stream.finish().unwrap()),
        ("its backend answers early", |_, stream| {
            stream.response_headers([(":status", "500")], true).unwrap();
        }),
        ("it is too large", |_, stream| {
            stream.request_body(vec![0; 20_000], false).unwrap();
        }),
    ];
    for worker in Worker::all() {
        for (how, end) in ends {
            let mut first = worker.waiting();
            let mut second = worker.waiting();
            worker.end(&mut second);
            assert!(is_refused_for_now(&second), "{how}: too much: {:?}", second.received());
            assert!(second.forwarded().body.is_empty());
            end(&worker, &mut first);
            let mut third = worker.waiting();
            worker.end(&mut third);
            assert!(third.forwarded().complete, "{how}, and its share is not given back");
        }
    }
}

#[test]
fn a_body_that_waits_is_decided_by_the_configuration_that_has_seen_its_head() {
    for mut worker in Worker::all() {
        let mut first = worker.waiting();
        // The new configuration is in audit mode, so it drops no record.
        let changed = configured(&worker.plan, |configuration| {
            configuration["records"]["onViolation"] = "audit".into();
        });
        worker.plugin = worker.vm.reconfigure(worker.plugin, changed).expect("it is accepted");
        let mut second = worker.waiting();
        worker.end(&mut second);
        assert!(is_refused_for_now(&second), "the budget is one for both configurations");
        worker.end(&mut first);
        assert!(first.forwarded().complete && first.forwarded().body != worker.plan.request.body);
        let mut third = worker.waiting();
        worker.end(&mut third);
        assert!(third.forwarded().body.len() > first.forwarded().body.len(), "by the new one");
        // A rejected configuration changes nothing.
        let wrong = configured(&worker.plan, |configuration| {
            configuration["records"]["onViolation"] = "perhaps".into();
        });
        assert!(worker.vm.reconfigure(worker.plugin, wrong).is_err());
        let mut fourth = worker.waiting();
        worker.end(&mut fourth);
        assert_eq!(fourth.forwarded().body, third.forwarded().body);
    }
}

fn map(headers: &HeaderList) -> HeaderMap {
    let mut map = HeaderMap::default();
    for (name, value) in headers {
        map.add(name, value);
    }
    map
}
