//! Tests in real Envoy: what a start rejects, that a good start keeps running, and what `header-only.lua` does to
//! replies.

mod header_only;

use std::net::{Ipv4Addr, TcpListener};

use serde_json::json;

use super::*;

/// The default options, with a run folder that is removed with the test.
fn options(folder: &tempfile::TempDir) -> Options {
    Options { run_dir: folder.path().join("run"), ..Options::default() }
}

#[tokio::test]
async fn a_busy_port_stops_the_start_before_anything_is_written() {
    let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = busy.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let error = Stack::start(Options { grpc_port: port, ..options(&folder) }).await.unwrap_err();
    assert!(matches!(error, StartError::Ports(_)), "{error}");
    assert!(!folder.path().join("run").exists());
}

#[tokio::test]
async fn a_module_that_has_not_been_built_is_an_error_that_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("sluice.wasm");
    let error = Stack::start(Options { module, ..options(&folder) }).await.unwrap_err();
    assert!(error.to_string().ends_with("sluice.wasm not found: build it with `make wasm`"));
}

#[tokio::test]
async fn a_gate_configuration_that_is_refused_ends_the_start_with_the_gates_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Some(json!({ "limits": { "bodyBites": 1 } }));
    let error = Stack::start(Options { gate, ..options(&folder) }).await.unwrap_err();
    assert!(matches!(error, StartError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("bodyBites"), "{error}");
}

#[tokio::test]
async fn a_started_gate_has_a_configuration_that_envoy_validates_and_leaves_nothing_when_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(options(&folder)).await.unwrap_or_else(|error| panic!("{error}"));

    let config = folder.path().join("run/envoy.json");
    let mut validate = tokio::process::Command::new(envoy::find().await.unwrap());
    validate.args(["--mode", "validate", "--config-path"]).arg(config);
    let validated = validate.output().await.unwrap();
    assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stderr));

    let pid = stack.envoy_pid();
    let taken = [stack.grpc_addr(), stack.http_addr(), stack.admin_addr(), stack.backends().loki()];
    for address in taken {
        tokio::net::TcpStream::connect(address).await.unwrap_or_else(|e| panic!("{address}: {e}"));
    }
    stack.stop().await;
    assert!(!Path::new("/proc").join(pid.to_string()).exists());
    for address in taken {
        // The ports are not free at once: a process that a parallel test starts has copies of our sockets until it runs
        // its program.
        let freed = async {
            while TcpListener::bind(address).is_err() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        let freed = tokio::time::timeout(Duration::from_secs(5), freed).await;
        freed.unwrap_or_else(|_| panic!("{address} is still taken"));
    }
}
