//! Attacks on the sender's identity, in real Envoy. No case can describe them, because they need a connection that
//! lasts or is resumed, or two tokens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use envoy_local::{Listener, Options, SenderFiles, Stack};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::{ClientConfig, HandshakeKind, pki_types::ServerName};
use serde_json::{Value, json};
use sluice_e2e::{
    client::{self, Alpn},
    token,
};
use sluice_otlp::Signal;
use sluice_stand_ins::Backend;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic_types::pb;

/// The issuer in every certificate of a run.
const ISSUER: &str = "CN=sluice local authority";

fn by_token() -> Value {
    json!({"jwt": {"names": [{"claim": "tenant", "pattern": "{namespace}"}]}})
}

fn by_certificate() -> Value {
    json!({"clientCertificate": {"names": [{"dns": "*.{namespace}"}]}})
}

fn by_token_at(key: &str) -> Value {
    json!({"jwt": {
        "payload": ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", key],
        "names": [{"claim": "tenant", "pattern": "{namespace}"}],
    }})
}

/// Gates with these `senders`, each with the head held and not held: `NAME held`, `NAME gone`.
fn gates(name: &str, filter: &Value, senders: &Value, tenant: &Value) -> Vec<Listener> {
    let listener = |(how, held): (&str, bool)| Listener {
        name: format!("{name} {how}"),
        gate: json!({
            "senders": senders,
            "tenant": tenant,
            "records": {"require": [{"attribute": "source.name"}]},
            "backends": {"logs": {"kind": "loki", "cluster": "loki"}},
            "holdHeaders": held,
        }),
        certificate_required: false,
        header_only_filter: true,
        filters_before: vec![filter.clone()],
        other_paths: None,
        timeout: None,
    };
    [("held", true), ("gone", false)].map(listener).into()
}

struct Gateway {
    stack: Stack,
    _folder: tempfile::TempDir,
}

impl Gateway {
    /// An Envoy with these gates. It resumes TLS sessions if `resumes` says so.
    async fn start(listeners: Vec<Listener>, resumes: bool) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir()?;
        let shipped =
            std::fs::read_to_string(envoy_local::workspace_root().join("envoy-local/envoy.yaml"))?;
        let mut envoy = shipped.clone();
        if resumes {
            for setting in ["stateless", "stateful"] {
                let flag = format!("disable_{setting}_session_resumption: ");
                envoy = envoy.replace(&format!("{flag}true"), &format!("{flag}false"));
            }
            anyhow::ensure!(envoy != shipped, "envoy.yaml does not say that it resumes no session");
        }
        let options = Options {
            run_dir: folder.path().to_owned(),
            envoy: Some(envoy),
            listeners,
            ..Options::default()
        };
        Ok(Self { stack: Stack::start(options).await?, _folder: folder })
    }

    fn client(&self, sender: Option<&SenderFiles>) -> Result<Arc<ClientConfig>> {
        let ca = self.stack.pki().ca_pem();
        Ok(Arc::new(match sender {
            Some(files) => client::tls(ca, &files.cert, &files.key, Alpn::Http1)?,
            None => client::tls_without_certificate(ca, Alpn::Http1)?,
        }))
    }

    async fn connect(&self, gate: &str, client: &Arc<ClientConfig>) -> Result<Connection> {
        let address = self.stack.listener(gate).with_context(|| format!("no gate {gate}"))?;
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost")?;
        let tls = TlsConnector::from(Arc::clone(client)).connect(name, stream).await?;
        let kind = tls.get_ref().1.handshake_kind();
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(Connection { sender, resumed: kind == Some(HandshakeKind::Resumed) })
    }

    /// Sends one record over a new connection.
    async fn send(
        &self,
        gate: &str,
        sender: Option<&SenderFiles>,
        headers: &[(&str, String)],
    ) -> Result<(u16, String)> {
        self.connect(gate, &self.client(sender)?).await?.send(headers).await
    }

    /// The tenants of what Loki got since the last call.
    fn stored(&self) -> Vec<String> {
        let store = self.stack.backends().store();
        let requests = store.requests(Backend::Loki);
        store.clear();
        let tenants = requests.iter().flat_map(|request| request.headers.get_all("x-scope-orgid"));
        tenants.map(|tenant| String::from_utf8_lossy(tenant.as_bytes()).into_owned()).collect()
    }
}

struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Whether its session was resumed from an earlier connection.
    resumed: bool,
}

impl Connection {
    /// The status, and the message of a refusal.
    async fn send(&mut self, headers: &[(&str, String)]) -> Result<(u16, String)> {
        self.sender.ready().await?;
        let mut request = Request::post(Signal::Logs.http_path())
            .header("host", "localhost")
            .header("content-type", "application/x-protobuf");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        // One log record with source.name on its resource.
        let attribute = field(1, &[field(1, b"source.name"), field(2, &field(1, b"a"))].concat());
        let resource = field(1, &attribute);
        let records = field(2, &field(2, &field(5, &field(1, b"hello"))));
        let body = field(1, &[resource, records].concat());
        let reply = self.sender.send_request(request.body(Full::new(body.into()))?).await?;
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await?.to_bytes();
        let told = if status == 200 { String::new() } else { pb::Status::decode(body)?.message };
        Ok((status, told))
    }
}

/// A protobuf field with fewer than 128 bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let size = u8::try_from(bytes.len()).expect("a short field");
    assert!(size < 128);
    [&[number << 3 | 2, size][..], bytes].concat()
}

fn bearer(claims: &Value) -> (&'static str, String) {
    ("authorization", format!("Bearer {}", token::signed(claims)))
}

/// How long a certificate that expires during a test is valid, in seconds: long enough for its handshakes on a busy
/// machine.
const BRIEFLY: u32 = 20;

const HOW: [&str; 2] = ["held", "gone"];

/// A denied certificate stays denied when it expires and in a resumed session. An unreadable certificate is denied too.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_certificate_is_cut_off_however_it_is_shown() {
    let deny = |identify: Value, deny: Value| json!({"identify": identify, "allow": [{"namespace": "payments"}], "deny": deny});
    let tenant = json!({"fromNamespace": {}});
    let filter = token::filter();
    let issuer = deny(json!([by_token()]), json!([{"issuer": ISSUER}]));
    let other = deny(json!([by_token()]), json!([{"issuer": "CN=another authority"}]));
    let name = deny(json!([by_token(), by_certificate()]), json!([{"namespace": "shut"}]));
    let both = json!({"identify": [by_certificate()], "allow": [{"namespace": "payments"}]});
    let listeners = [("issuer", issuer), ("other", other), ("name", name), ("certificate", both)];
    let listeners: Vec<_> = listeners
        .iter()
        .flat_map(|(name, senders)| gates(name, &filter, senders, &tenant))
        .collect();
    for resumes in [false, true] {
        let gateway = Gateway::start(listeners.clone(), resumes).await.unwrap();
        let token = [bearer(&json!({"tenant": "payments"}))];
        let pki = gateway.stack.pki();
        let payments = pki.issue("attack-payments", &["*.payments".to_owned()], &[]).unwrap();
        let shut = pki.issue("attack-shut", &["*.shut".to_owned()], &[]).unwrap();
        let names: Vec<_> = (0..513).map(|number| format!("{number}.example")).collect();
        let many = pki.issue("attack-many", &names, &[]).unwrap();
        for how in HOW {
            let gate = |name: &str| format!("{name} {how}");
            // A sender without a certificate is allowed by its token.
            let sent = gateway.send(&gate("issuer"), None, &token).await.unwrap();
            assert_eq!((sent.0, gateway.stored()), (200, vec!["payments".to_owned()]), "{sent:?}");
            for (name, sender, status) in [
                ("issuer", &payments, 403),
                ("name", &shut, 403),
                ("issuer", &many, 401),
                ("other", &many, 401),
                ("name", &many, 401),
            ] {
                let client = gateway.client(Some(sender)).unwrap();
                for again in [false, true] {
                    let mut connection = gateway.connect(&gate(name), &client).await.unwrap();
                    assert_eq!(connection.resumed, again && resumes, "{name} {how}");
                    let sent = connection.send(&token).await.unwrap();
                    // Envoy does not report the certificate of a resumed session as verified.
                    let status = if connection.resumed { 401 } else { status };
                    assert_eq!(sent.0, status, "{name} {how}, again {again}: {sent:?}");
                    assert_eq!(gateway.stored(), [""; 0], "{name} {how}");
                }
            }
            let sent = gateway.send(&gate("other"), Some(&payments), &token).await.unwrap();
            assert_eq!((sent.0, gateway.stored()), (200, vec!["payments".to_owned()]), "{sent:?}");
        }
        gateway.stack.stop().await;
    }
}

/// The expiry of a certificate is checked with each request, and an expired certificate is still denied.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_on_a_live_connection_is_nobody_and_stays_denied() {
    let allow = json!([{"namespace": "payments"}]);
    let denied = json!({"identify": [by_token()], "allow": allow, "deny": [{"issuer": ISSUER}]});
    let alone = json!({"identify": [by_certificate()], "allow": allow});
    let tenant = json!({"fromNamespace": {}});
    let filter = token::filter();
    let listeners = [("denied", denied), ("alone", alone)];
    let listeners = listeners
        .iter()
        .flat_map(|(name, senders)| gates(name, &filter, senders, &tenant))
        .collect();
    let gateway = Gateway::start(listeners, false).await.unwrap();
    let token = [bearer(&json!({"tenant": "payments"}))];
    let brief = gateway.stack.pki().issue_briefly("attack-brief", "*.payments", BRIEFLY).unwrap();
    let issued = Instant::now();
    let client = gateway.client(Some(&brief)).unwrap();
    let mut connections = Vec::new();
    for how in HOW {
        for (name, status) in [("denied", 403), ("alone", 200)] {
            let name = format!("{name} {how}");
            let mut connection = gateway.connect(&name, &client).await.unwrap();
            let sent = connection.send(&token).await.unwrap();
            assert_eq!(sent.0, status, "{name}: {sent:?}");
            connections.push((name, connection));
        }
    }
    assert_eq!(gateway.stored(), ["payments", "payments"]);
    let end = Duration::from_secs(u64::from(BRIEFLY) + 1);
    tokio::time::sleep(end.saturating_sub(issued.elapsed())).await;
    for (name, mut connection) in connections {
        let status = if name.starts_with("denied") { 403 } else { 401 };
        let sent = connection.send(&token).await.unwrap();
        assert_eq!(sent.0, status, "{name}: {sent:?}");
    }
    assert_eq!(gateway.stored(), [""; 0]);
    gateway.stack.stop().await;
}

/// Two tokens in different places: the tenant comes from the claim of the token that identifies the sender.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_tokens_the_one_that_names_the_sender_names_the_tenant() {
    let mut filter = token::filter();
    let provider = filter["typed_config"]["providers"]["idp"].take();
    let (mut providers, mut all) = (json!({}), Vec::new());
    for key in ["a", "b"] {
        let mut provider = provider.clone();
        provider["payload_in_metadata"] = json!(key);
        provider["from_headers"] = json!([{"name": format!("x-token-{key}")}]);
        providers[key] = provider;
        let either = json!([{"provider_name": key}, {"allow_missing": {}}]);
        all.push(json!({"requires_any": {"requirements": either}}));
    }
    filter["typed_config"]["providers"] = providers;
    let all = json!({"requires_all": {"requirements": all}});
    filter["typed_config"]["rules"][0]["requires"] = all;
    let senders = |identify: Value, deny: Value| json!({"identify": identify, "allow": [{"namespace": "payments"}], "deny": deny});
    let tenant = json!({"fromClaim": "t"});
    let order = [("ab", ["a", "b"]), ("ba", ["b", "a"])];
    let mut listeners = Vec::new();
    for (name, keys) in order {
        let ways = keys.map(by_token_at);
        let plain = senders(json!(ways), json!([]));
        let denying = senders(json!(ways), json!([{"namespace": "shut"}]));
        listeners.extend(gates(name, &filter, &plain, &tenant));
        listeners.extend(gates(&format!("deny {name}"), &filter, &denying, &tenant));
    }
    let gateway = Gateway::start(listeners, false).await.unwrap();
    let tokens = |a: Value, b: Value| {
        [("x-token-a", a), ("x-token-b", b)].map(|(name, claims)| (name, token::signed(&claims)))
    };
    // The eight bytes of this number spell `payments`.
    let number = f64::from_le_bytes(*b"payments");
    let named = |t: &str| json!({"tenant": "payments", "t": t});
    for how in HOW {
        for (name, _) in order {
            let gate = format!("{name} {how}");
            for (a, b, expected) in [
                (json!({"t": "victim"}), named("tb"), Ok("tb")),
                (named("ta"), json!({"t": "victim"}), Ok("ta")),
                (json!({"tenant": number, "t": "victim"}), named("tb"), Ok("tb")),
                (json!({"tenant": {"payments": ""}, "t": "victim"}), named("tb"), Ok("tb")),
                (
                    json!({"tenant": {"payments": ""}, "t": "x"}),
                    json!({"tenant": number, "t": "x"}),
                    Err("no claim of the token"),
                ),
                (json!({"tenant": [null, 7, "payments"], "t": "ta"}), json!({}), Ok("ta")),
                (json!({"tenant": "payments", "t": number}), json!({}), Err("is a number")),
                (
                    json!({"tenant": "payments", "t": {"victim": ""}}),
                    json!({}),
                    Err("is an object"),
                ),
                (
                    json!({"tenant": "payments"}),
                    json!({"t": "victim"}),
                    Err("the token has no claim"),
                ),
            ] {
                let what = format!("{gate}: {a} {b}");
                let (status, told) = gateway.send(&gate, None, &tokens(a, b)).await.unwrap();
                match expected {
                    Ok(tenant) => assert_eq!(
                        (status, gateway.stored()),
                        (200, vec![tenant.to_owned()]),
                        "{what}: {told}"
                    ),
                    Err(says) => {
                        assert!(status != 200 && told.contains(says), "{what}: {status} {told}");
                        assert_eq!(gateway.stored(), [""; 0], "{what}");
                    }
                }
            }
            // The identity in one token is denied, whichever token allows the request.
            let gate = format!("deny {gate}");
            for (a, b) in [
                (named("ta"), json!({"tenant": "shut"})),
                (json!({"tenant": ["shut"]}), named("tb")),
            ] {
                let (status, told) = gateway.send(&gate, None, &tokens(a, b)).await.unwrap();
                assert!(status == 403 && told.contains("shut"), "{gate}: {status} {told}");
            }
            assert_eq!(gateway.stored(), [""; 0]);
        }
    }
    gateway.stack.stop().await;
}
