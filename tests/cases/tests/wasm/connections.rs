//! What the module remembers of a connection: what its one handshake has shown, and nothing that lets a sender pass who
//! may not.

use std::time::Duration;

use envoy_harness::{Attributes, Module, PluginConfig, PluginId, Stream, Vm};
use serde_json::{Value, json};
use sluice_cases::{
    native,
    pki::Authority,
    plan::{self, Plan},
};

use crate::{map, module};

const CASE: &str = "records/records_that_lack_the_attribute_are_dropped_and_counted";

/// A worker with a gate, and the certificates of two senders.
struct Worker {
    vm: Vm,
    plugin: PluginId,
    plan: Plan,
    payments: String,
    stranger: String,
}

impl Worker {
    fn new(module: &Module) -> Self {
        let plan = plan::all().unwrap().into_iter().find(|plan| plan.case.name == CASE).unwrap();
        let authority = Authority::new().unwrap();
        let certificate = |name: &str| {
            let mut sender = plan.case.sender.clone();
            sender.dns = vec![name.to_owned()];
            authority.certificate_until(&sender, 2028).unwrap().unwrap()
        };
        let (payments, stranger) = (certificate("*.payments"), certificate("*.stranger"));
        let vm = Vm::new(module).unwrap();
        vm.set_time(Duration::from_secs(native::NOW));
        let plugin = vm.start_plugin(configured(&plan.configuration)).unwrap();
        Self { vm, plugin, plan, payments, stranger }
    }

    /// Sends the head of a request over the connection with this id. Returns the status of its refusal, if it is
    /// refused, and how many properties have been read.
    fn send(&self, id: u64, protocol: &str, certificate: Option<&str>) -> (Option<u32>, u64) {
        let attributes = Attributes::new()
            .with(["connection_id"], id)
            .with(["request", "protocol"], protocol)
            .with(["connection", "mtls"], certificate.is_some());
        let attributes = match certificate {
            Some(pem) => attributes
                .with(["connection", "peer_certificate"], pem)
                .with(["connection", "peer_certificate_valid"], true),
            None => attributes,
        };
        let mut stream: Stream = self.vm.stream(self.plugin, attributes).unwrap();
        stream.request_headers(map(&self.plan.request.headers), false).unwrap();
        stream.request_body(&self.plan.request.body, true).unwrap();
        let headers = stream.received().headers;
        let status = headers.and_then(|headers| headers.text("grpc-status")?.parse().ok());
        stream.finish().unwrap();
        let read = stream.crossings().host_calls().get("proxy_get_property").copied();
        (status, read.unwrap_or(0))
    }
}

fn configured(configuration: &Value) -> PluginConfig {
    let hold = configuration["holdHeaders"] == json!(true);
    PluginConfig::new("sluice")
        .configuration(configuration.to_string())
        .allow_on_headers_stop_iteration(hold)
}

const UNAUTHENTICATED: Option<u32> = Some(16);
const DENIED: Option<u32> = Some(7);

#[test]
fn a_connection_is_asked_for_its_certificate_once() {
    let worker = Worker::new(&module());
    let first = worker.send(1, "HTTP/2", Some(&worker.payments));
    let second = worker.send(1, "HTTP/2", Some(&worker.payments));
    assert_eq!((first.0, second), (None, (None, 1)), "its id alone");
    // Each connection has its own sender, whoever comes first.
    assert_eq!(worker.send(2, "HTTP/2", Some(&worker.stranger)).0, DENIED);
    assert_eq!(worker.send(3, "HTTP/1.1", None).0, UNAUTHENTICATED);
    assert_eq!(worker.send(3, "HTTP/1.1", None), (UNAUTHENTICATED, 1));
    assert_eq!(worker.send(1, "HTTP/2", Some(&worker.payments)), (None, 1));
}

#[test]
fn a_certificate_that_ends_ends_its_connection() {
    let worker = Worker::new(&module());
    assert_eq!(worker.send(1, "HTTP/2", Some(&worker.payments)).0, None);
    // 2028-01-01.
    worker.vm.set_time(Duration::from_secs(1_830_297_600));
    assert_eq!(worker.send(1, "HTTP/2", Some(&worker.payments)), (UNAUTHENTICATED, 1));
}

#[test]
fn a_new_configuration_decides_about_the_connections_that_there_are() {
    let mut worker = Worker::new(&module());
    assert_eq!(worker.send(1, "HTTP/2", Some(&worker.payments)).0, None);
    let mut denying = worker.plan.configuration.clone();
    denying["senders"]["deny"] = json!([{"namespace": "payments"}]);
    worker.plugin = worker.vm.reconfigure(worker.plugin, configured(&denying)).unwrap();
    assert_eq!(worker.send(1, "HTTP/2", Some(&worker.payments)).0, DENIED);
    assert_eq!(worker.send(1, "HTTP/2", Some(&worker.payments)), (DENIED, 1));
    // Nor do the patterns of the old one stay.
    let mut renaming = worker.plan.configuration.clone();
    renaming["senders"]["identify"][0]["clientCertificate"]["names"] =
        json!([{"dns": "{namespace}.example"}]);
    worker.plugin = worker.vm.reconfigure(worker.plugin, configured(&renaming)).unwrap();
    assert_ne!(worker.send(1, "HTTP/2", Some(&worker.payments)).0, None);
}

#[test]
fn nothing_is_remembered_where_an_id_may_come_again() {
    let worker = Worker::new(&module());
    for protocol in ["HTTP/3", ""] {
        assert_eq!(worker.send(1, protocol, Some(&worker.payments)).0, None);
        assert_eq!(worker.send(1, protocol, Some(&worker.stranger)).0, DENIED);
        assert_eq!(worker.send(1, protocol, None).0, UNAUTHENTICATED);
    }
    // What is remembered of no connection over TCP is not used for one either.
    assert_eq!(worker.send(1, "HTTP/2", None).0, UNAUTHENTICATED);
}
