//! Requests that are refused before their body has arrived: the sender still learns why.
//!
//! curl over HTTP/2 reports a reset stream as a failure, whatever the reply on it was, and Python sends its whole
//! request before it reads. `REFUSALS=20` tries each of them twenty times.

use std::{collections::BTreeMap, time::Duration};

use envoy_local::SenderName;
use hyper::StatusCode;
use sluice_e2e::{Protocol, Signal};
use sluice_stand_ins::Backend;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};
use tonic::Code;

use crate::{
    fixture::{Gate, until},
    http::{self, Call, PROTOBUF, Version},
    limits::assert_served,
    sdks::assert_tenants,
};

/// Sizes in bytes: in one packet with the head, more than a connection holds, more than a body may have.
const SIZES: [usize; 3] = [100, 100_000, 20_000_000];

/// A request that is refused.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// The sender whose certificate is shown; `None` for a certificate without a SAN that names a namespace.
    sender: Option<SenderName>,
    method: &'static str,
    path: &'static str,
    content_type: &'static str,
    status: u16,
}

impl Refused {
    const fn usual(status: u16) -> Self {
        Self {
            sender: Some(SenderName::Payments),
            method: "POST",
            path: "/v1/logs",
            content_type: PROTOBUF,
            status,
        }
    }

    /// All requests that are refused with a body of this size.
    fn all(size: usize) -> impl Iterator<Item = Self> {
        let by_head = [
            Self { sender: None, ..Self::usual(401) },
            Self { sender: Some(SenderName::Stranger), ..Self::usual(403) },
            Self { path: "/v2/logs", ..Self::usual(404) },
            Self { method: "PUT", ..Self::usual(405) },
            Self { content_type: "text/csv", ..Self::usual(415) },
        ];
        let by_size = (size > 16 << 20).then_some(Self::usual(413));
        by_head.into_iter().chain(by_size)
    }
}

/// A program that sends, and whether it announces the length.
#[derive(Clone, Copy, Debug)]
enum Client {
    Curl(&'static str),
    Python,
}

pub(crate) async fn curl_over_http_1_is_told(gate: &Gate) {
    every_refusal(gate, Client::Curl("--http1.1"), true).await;
}

pub(crate) async fn curl_over_http_2_is_told(gate: &Gate) {
    every_refusal(gate, Client::Curl("--http2"), true).await;
}

pub(crate) async fn curl_over_http_2_is_told_where_it_announces_no_length(gate: &Gate) {
    every_refusal(gate, Client::Curl("--http2"), false).await;
}

pub(crate) async fn pythons_http_client_is_told(gate: &Gate) {
    every_refusal(gate, Client::Python, true).await;
}

pub(crate) async fn pythons_http_client_is_told_where_it_announces_no_length(gate: &Gate) {
    every_refusal(gate, Client::Python, false).await;
}

async fn every_refusal(gate: &Gate, client: Client, announced: bool) {
    let tries = std::env::var("REFUSALS").map_or(3, |tries| tries.parse().expect("a number"));
    let asked = gate.envoy_counters("upstream_rq_total").await;
    let mut lost = Vec::new();
    let mut begun = 0;
    for size in SIZES {
        for refused in Refused::all(size) {
            // Its head is valid, and has been forwarded unless it is held. No body follows.
            let begins = refused.status == 413 && !announced && !gate.holds_headers();
            begun += if begins { tries } else { 0 };
            let told = tell(gate, client, refused, size, announced, tries).await;
            if told != BTreeMap::from([(refused.status.to_string(), tries)]) {
                lost.push(format!("{size} bytes, {refused:?}: {told:?}"));
            }
        }
    }
    assert!(lost.is_empty(), "{client:?}: {lost:#?}");
    assert_eq!(gate.envoy_counters("upstream_rq_total").await - asked, begun as u64);
    assert_tenants(gate, Backend::Loki, &[]);
}

/// The number of times that each outcome was seen.
async fn tell(
    gate: &Gate,
    client: Client,
    refused: Refused,
    size: usize,
    announced: bool,
    tries: usize,
) -> BTreeMap<String, usize> {
    let Refused { sender, method, path, content_type, .. } = refused;
    let files = match sender {
        Some(sender) => gate.pki().sender(sender).clone(),
        None => {
            gate.pki().issue("nobody", &["nobody.example".to_owned()], &[]).expect("a certificate")
        }
    };
    let addr = gate.addr(Protocol::Http);
    let mut told = BTreeMap::new();
    let mut note = |outcome: &str| *told.entry(outcome.to_owned()).or_insert(0) += 1;
    match client {
        Client::Curl(version) => {
            let dir = tempfile::tempdir().expect("a folder");
            let body = dir.path().join("body");
            std::fs::write(&body, vec![0; size]).expect("a file");
            for _ in 0..tries {
                let mut curl = Command::new("curl");
                curl.args(["--silent", "--output", "/dev/null", "--max-time", "30", version]);
                curl.args(["--write-out", "%{http_code} %{exitcode}", "--request", method]);
                curl.arg("--cacert").arg(gate.pki().ca_pem());
                curl.arg("--cert").arg(&files.cert).arg("--key").arg(&files.key);
                curl.args(["--header", &format!("content-type: {content_type}")]);
                if announced {
                    curl.args(["--data-binary", &format!("@{}", body.display())]);
                } else {
                    curl.args(["--upload-file", "-"]);
                    curl.stdin(std::fs::File::open(&body).expect("the file"));
                }
                let output = curl.arg(format!("https://{addr}{path}")).output().await;
                let output = output.expect("curl is there: in Debian, sudo apt-get install curl");
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                note(said.strip_suffix(" 0").unwrap_or(&said));
            }
        }
        Client::Python => {
            let root = envoy_local::workspace_root();
            let mut python = Command::new("python3");
            python.arg(root.join("tests/e2e/python/upload.py"));
            python.arg("--cacert").arg(gate.pki().ca_pem());
            python.arg("--cert").arg(&files.cert).arg("--key").arg(&files.key);
            python.args(["--endpoint", &addr.to_string(), "--method", method, "--path", path]);
            python.args(["--content-type", content_type, "--bytes", &size.to_string()]);
            python.args(["--tries", &tries.to_string()]);
            python.args((!announced).then_some("--unannounced"));
            let output = python.output().await.expect("python3 is there");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).lines().for_each(note);
        }
    }
    told
}

pub(crate) async fn a_refusal_waits_for_its_request(gate: &Gate) {
    let mut stream = http::connect(gate, SenderName::Stranger, Protocol::Http, Version::Http1)
        .await
        .expect("a connection");
    let head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n\
                content-length: 1000\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(head.as_bytes()).await.expect("the head is sent");
        stream.write_all(&[0; 500]).await.expect("some of the body is sent");
        let mut reply = [0; 4096];
        let early = timeout(Duration::from_millis(500), stream.read(&mut reply)).await;
        assert!(early.is_err(), "half of the request has come: {early:?}");
        stream.write_all(&[0; 500]).await.expect("the rest is sent");
        let size = stream.read(&mut reply).await.expect("a reply");
        let reply = String::from_utf8_lossy(&reply[..size]);
        // The connection still works.
        assert!(reply.starts_with("HTTP/1.1 403 "), "{reply}");
        let mut more = [0; 4096];
        while let Ok(Ok(1..)) = timeout(Duration::from_millis(50), stream.read(&mut more)).await {}
    }
}

pub(crate) async fn a_sender_that_hangs_up_in_a_refused_request_does_no_harm(gate: &Gate) {
    for _ in 0..3 {
        let mut stream = http::connect(gate, SenderName::Stranger, Protocol::Http, Version::Http1)
            .await
            .expect("a connection");
        let head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n\
                    content-length: 1000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("the head is sent");
        stream.write_all(&[0; 100]).await.expect("some of the body is sent");
        stream.flush().await.expect("all of that is out");
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(stream);
        assert_served(gate).await;
    }
}

pub(crate) async fn what_is_thrown_away_is_not_kept(gate: &Gate) {
    const BODY: usize = 30_000_000;
    let body = vec![0; BODY];
    for version in Version::ALL {
        gate.reset_envoy_peak();
        let before = gate.envoy_memory("VmRSS");
        let call = Call::export(version, Signal::Logs, "").in_pieces(&body);
        let reply = call.from(SenderName::Stranger).send(gate).await;
        reply.assert_refused(403, Code::PermissionDenied, "stranger");
        let grown = gate.envoy_memory("VmHWM").saturating_sub(before);
        assert!(grown < BODY as u64 / 2, "{version:?}: Envoy took {grown} bytes more");
    }
}

pub(crate) async fn more_than_its_limit_is_not_waited_for(gate: &Gate) {
    // If the announced length is above the limit, nothing of the body is accepted.
    let mut stream = http::connect(gate, SenderName::Stranger, Protocol::Http, Version::Http1)
        .await
        .expect("a connection");
    let head = "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n\
                content-length: 33554433\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    let mut reply = [0; 4096];
    let size = stream.read(&mut reply).await.expect("a reply");
    assert!(reply[..size].starts_with(b"HTTP/1.1 403 "));

    // If a body turns out to be too large, the answer comes then. A client that reads while it writes gets it.
    let body = vec![0; 64_000_000];
    let call = Call::export(Version::Http2, Signal::Logs, "").in_pieces(&body);
    let reply = call.from(SenderName::Stranger).send(gate).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    until("the log says that more than the limit was taken, and not all", async || {
        let mut taken =
            gate.access_log().await.into_iter().filter_map(|line| line["received"].as_u64());
        taken.any(|bytes| (33_554_433..64_000_000).contains(&bytes))
    })
    .await;
}
