//! Real stores behind the gate: data sent over OTLP is read back from them.

use std::time::Duration;

use envoy_local::{Cluster, Options, SenderName, Stack};
use serde_json::{Value, json};
use sluice_e2e::{
    ErrorStatus, Export, Protocol, Reply, Sdk, Signal, Verdict,
    stores::{Kind, Store},
};
use sluice_stand_ins::{Backend, Backends, Ports};

#[tokio::test]
async fn a_store_starts_with_nothing_in_it_and_ends_with_its_test() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for kind in [Kind::Prometheus, Kind::VictoriaMetrics] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::start(kind, folder.path()).await.unwrap();
        assert_eq!(store.query("count({job=\"e2e\"})").await.unwrap(), [], "{kind:?}");
        let address = store.address();
        store.stop().await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{kind:?} still listens");
    }
}

/// A store that supports OTLP returns what the gate forwarded. For a store that does not, the sender gets a permanent
/// error that names the store. Debian 12's two stores do not support it: name others with `PROMETHEUS` and
/// `VICTORIA_METRICS`.
#[tokio::test(flavor = "multi_thread")]
async fn otlp_through_the_gate_is_read_back_from_a_store_that_takes_it() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (kind, name) in
        [(Kind::Prometheus, "prometheus"), (Kind::VictoriaMetrics, "victoriametrics")]
    {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::start(kind, folder.path()).await.unwrap();
        let backend = json!({ "kind": name, "cluster": name, "path": kind.otlp_path() });
        let cluster =
            Cluster { name: name.into(), like: "mimir".into(), address: Some(store.address()) };
        let stack = start(backend, vec![cluster], folder.path().join("run")).await;
        for protocol in Protocol::ALL {
            let mut export = export(&stack, SenderName::Payments, protocol);
            (export.records, export.without) = (10, 3);
            let outcome = Sdk::Rust.send(&export).await.unwrap();
            if store.takes_otlp() {
                assert_eq!(outcome.result, Verdict::Success, "{kind:?}, {protocol}: {outcome:?}");
                assert_eq!(outcome.partial_success.map(|partial| partial.rejected), Some(3));
                let read = read_back(&store, &export.run_id).await;
                assert_eq!(read, 7, "{kind:?}, {protocol}: points with source.name are there");
            } else {
                assert_eq!((outcome.result, outcome.attempts), (Verdict::Failure, 1), "{kind:?}");
                assert!(
                    said(&outcome.reply).contains(&format!("{name} answered 4")),
                    "{outcome:?}"
                );
                assert_eq!(read_back(&store, &export.run_id).await, 0, "{kind:?}, {protocol}");
            }
        }
        println!("{kind:?} takes OTLP: {}", store.takes_otlp());
        stack.stop().await;
        store.stop().await;
    }
}

/// Envoy's own mirroring, with the header that the gate sets: a second store gets the same requests of one tenant as
/// the first, and nothing of other tenants.
#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_requests_are_copied_as_they_go_on() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let copies = Backends::start(Ports::default()).await.unwrap();
    let cluster = || Cluster {
        name: "mimir-copy".into(),
        like: "mimir".into(),
        address: Some(copies.mimir()),
    };
    for hold_headers in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mirror = json!([{ "tenants": ["payments"], "cluster": "mimir-copy" }]);
        let gate = json!({ "backends": { "metrics": { "mirror": mirror } } });
        let options = Options { hold_headers, gate: Some(gate), ..options(folder.path().into()) };
        let stack = Stack::start(Options { clusters: vec![cluster()], ..options }).await.unwrap();
        let sent = |sender, without| {
            let mut export = export(&stack, sender, Protocol::Http);
            export.without = without;
            async move { Sdk::Rust.send(&export).await.unwrap().result }
        };
        copies.store().clear();
        assert_eq!(sent(SenderName::TeamBlue, 0).await, Verdict::Success);
        assert_eq!(sent(SenderName::Payments, 10).await, Verdict::Failure, "nothing of it stays");
        assert_eq!(sent(SenderName::Payments, 3).await, Verdict::Success);
        let store = stack.backends().store();
        assert_eq!(store.data_points("payments").len(), 7);
        assert_eq!(store.data_points("team-blue").len(), 10);
        let copied = || copies.store().tenants(Backend::Mimir);
        // Envoy does not wait for the reply to a copy.
        for _ in 0..200 {
            if copied().contains_key("payments") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(copied(), [("payments".to_owned(), 7)].into(), "holdHeaders {hold_headers}");
        stack.stop().await;
    }
    copies.stop().await;
}

fn options(run_dir: std::path::PathBuf) -> Options {
    Options { run_dir, ..Options::default() }
}

async fn start(metrics: Value, clusters: Vec<Cluster>, run_dir: std::path::PathBuf) -> Stack {
    let gate = Some(json!({ "backends": { "metrics": metrics } }));
    Stack::start(Options { gate, clusters, ..options(run_dir) }).await.expect("a gate starts")
}

/// Ten data points, with a run id that no other export has.
fn export(stack: &Stack, sender: SenderName, protocol: Protocol) -> Export {
    let files = stack.pki().sender(sender);
    let identity = [stack.pki().ca_pem().to_owned(), files.cert.clone(), files.key.clone()];
    let address = match protocol {
        Protocol::Grpc => stack.grpc_addr(),
        Protocol::Http => stack.http_addr(),
    };
    let run_id = format!("{protocol}-{}", address.port());
    Export::new(protocol, Signal::Metrics, address.to_string(), identity, run_id)
}

/// The error message of a reply.
fn said(reply: &Reply) -> &str {
    match reply {
        Reply::Grpc { message, .. }
        | Reply::Http { error: Some(ErrorStatus { message, .. }), .. }
        | Reply::None { message } => message,
        Reply::Http { error: None, .. } => "",
    }
}

/// The number of series of a run in a store. Prometheus has the resource's attributes on `target_info`, VictoriaMetrics
/// on each series.
async fn read_back(store: &Store, run_id: &str) -> usize {
    let named = "{__name__!=\"target_info\",source_name=\"rust\"}";
    let query = match store.kind() {
        Kind::Prometheus => {
            format!("{named} * on (job, instance) group_left target_info{{run_id=\"{run_id}\"}}")
        }
        Kind::VictoriaMetrics => format!("{{source_name=\"rust\",run_id=\"{run_id}\"}}"),
    };
    store.query(&query).await.expect("a store is asked").len()
}
