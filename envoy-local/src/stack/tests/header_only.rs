//! Tests of `header-only.lua` alone: Envoy without the gate, between a plain server and a plain client, each over
//! HTTP/1.1 and HTTP/2.

use axum::{Router, body::Body, extract::Path as Status, response::Response, routing::post};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty, channel::Channel};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Larger than Envoy's default buffer (1 MiB), so that waiting for the whole body would be noticed.
const LARGE: usize = 3_000_000;

/// The header with which the gate chooses a backend. Here the client sets it.
const ROUTED: &str = "x-sluice-backend";

/// A path that reaches the server's 204 without that header.
const PAST_THE_GATE: &str = "/past-the-gate";

#[derive(Clone, Copy, Debug)]
enum Http {
    One,
    Two,
}

const ALL: [Http; 2] = [Http::One, Http::Two];

/// What a client received.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

impl Reply {
    fn mark(&self) -> Vec<&str> {
        let marks = self.headers.get_all("x-sluice-header-only").iter();
        marks.map(|mark| mark.to_str().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_reply_to_a_request_that_the_gate_has_not_sent_on_is_left_alone() {
    each(PAST_THE_GATE, |reply, name| {
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{name}");
        assert_eq!(reply.mark(), ["a backend's own"], "{name}");
    })
    .await;
}

#[tokio::test]
async fn a_reply_without_a_body_gets_one_byte_and_a_mark_with_its_status() {
    for (path, status, mark) in [
        ("/204", 200, "204"),
        ("/304", 200, "304"),
        ("/empty/200", 200, "200"),
        ("/empty/500", 500, "500"),
        ("/chunked-empty/503", 503, "503"),
    ] {
        each(path, |reply, name| {
            assert_eq!(reply.status.as_u16(), status, "{name}");
            assert_eq!(reply.mark(), [mark], "{name}: a mark of the backend's own must go");
            assert_eq!(reply.body.len(), 1, "{name}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_reply_with_a_body_goes_through_as_it_came_and_without_the_backends_mark() {
    for (path, length) in [("/sized", 5), ("/chunked", LARGE), ("/sized-large", LARGE)] {
        each(path, |reply, name| {
            assert_eq!(reply.status, StatusCode::OK, "{name}");
            assert_eq!(reply.mark(), [""; 0], "{name}");
            assert!(reply.body == pattern(length), "{name}: {} bytes", reply.body.len());
        })
        .await;
    }
}

#[tokio::test]
async fn a_grpc_reply_is_left_alone() {
    for path in ["/grpc-trailers-only", "/grpc-status-alone"] {
        each(path, |reply, name| {
            assert_eq!(reply.headers["grpc-status"], "5", "{name}");
            assert_eq!((reply.mark().len(), reply.body.len()), (0, 0), "{name}");
        })
        .await;
    }
    let bench = Bench::start().await;
    let reply = ask(&bench, Http::Two, Http::Two, "/grpc-no-message").await;
    assert_eq!((reply.mark().len(), reply.body.len()), (0, 0));
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "13");
}

#[tokio::test]
async fn headers_are_not_held_up_for_a_body_that_is_announced_or_a_grpc_message() {
    let bench = Bench::start().await;
    for path in ["/sized-open", "/grpc-open"] {
        let open = send(&bench, Http::Two, Http::Two, path);
        let open = tokio::time::timeout(Duration::from_secs(5), open).await;
        assert_eq!(open.expect("the headers, while the body does not end").status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_reply_with_trailers_in_place_of_a_body_keeps_them_and_does_not_break_the_script() {
    let bench = Bench::start().await;
    // Depending on how the frames arrive, Envoy has an empty body or no body here.
    for _ in 0..20 {
        let reply = ask(&bench, Http::Two, Http::Two, "/trailers").await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
    }
    let log = read(&bench.log).await;
    assert!(!log.contains("script log"), "{log}");
}

/// Requests the path over every pair of versions.
async fn each(path: &str, check: impl Fn(&Reply, &str)) {
    let bench = Bench::start().await;
    for downstream in ALL {
        for upstream in ALL {
            let reply = ask(&bench, downstream, upstream, path).await;
            check(&reply, &format!("{path}, {downstream:?} to {upstream:?}: {reply:?}"));
        }
    }
}

async fn server() -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let reply = |status: u16| {
        Response::builder().status(status).header("x-sluice-header-only", "a backend's own")
    };
    let grpc = move || reply(200).header("content-type", "application/grpc");
    let routes = Router::new()
        .route("/204", post(async move || reply(204).body(Body::empty()).unwrap()))
        .route("/304", post(async move || reply(304).body(Body::empty()).unwrap()))
        .route(
            "/empty/{status}",
            post(async move |Status(status): Status<u16>| {
                reply(status).header("content-length", "0").body(Body::empty()).unwrap()
            }),
        )
        .route(
            "/chunked-empty/{status}",
            post(async move |Status(status): Status<u16>| {
                reply(status).body(pieces(0, None)).unwrap()
            }),
        )
        .route("/sized", post(async move || reply(200).body(Body::from(pattern(5))).unwrap()))
        .route(
            "/sized-large",
            post(async move || reply(200).body(Body::from(pattern(LARGE))).unwrap()),
        )
        .route("/chunked", post(async move || reply(200).body(pieces(LARGE, None)).unwrap()))
        .route(
            "/grpc-trailers-only",
            post(async move || grpc().header("grpc-status", "5").body(Body::empty()).unwrap()),
        )
        .route("/grpc-no-message", post(async move || grpc().body(pieces(0, Some("13"))).unwrap()))
        .route("/grpc-open", post(async move || grpc().body(open()).unwrap()))
        .route(
            "/grpc-status-alone",
            post(async move || reply(200).header("grpc-status", "5").body(Body::empty()).unwrap()),
        )
        .route(
            "/sized-open",
            post(async move || reply(200).header("content-length", "5").body(open()).unwrap()),
        )
        .route("/trailers", post(async move || reply(200).body(pieces(0, Some("0"))).unwrap()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }))
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// A body without `content-length`, in pieces of 64 KiB, with `grpc-status` in the trailers if given.
fn pieces(length: usize, grpc_status: Option<&'static str>) -> Body {
    let (mut sender, body) = Channel::<Bytes>::new(4);
    tokio::spawn(async move {
        for piece in pattern(length).chunks(64 << 10) {
            sender.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        if let Some(status) = grpc_status {
            let trailers = [("grpc-status".parse().unwrap(), status.parse().unwrap())];
            sender.send_trailers(trailers.into_iter().collect()).await.unwrap();
        }
    });
    Body::new(body)
}

/// A body that never ends.
fn open() -> Body {
    let (sender, body) = Channel::<Bytes>::new(1);
    tokio::spawn(async move {
        let _sender = sender;
        std::future::pending::<()>().await;
    });
    Body::new(body)
}

/// Envoy with the filter, and the server behind Envoy.
struct Bench {
    address: SocketAddr,
    log: PathBuf,
    _envoy: Envoy,
    server: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Bench {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::create(folder.path()).unwrap();
        let (upstream, server) = server().await;
        write(&files.config, &config(&files.header_only, upstream).to_string()).unwrap();
        let program = envoy::find().await.unwrap();
        let envoy = Envoy::start(Start {
            program: &program,
            config: &files.config,
            admin_address: &files.admin_address,
            log: &files.log,
            concurrency: 1,
        });
        let envoy = envoy.await.unwrap();
        let admin = ready(&envoy, &files).await.unwrap_or_else(|error| panic!("{error}"));
        let address = admin::listeners(admin, ["plain"]).await.unwrap()["plain"];
        Self { address, log: files.log, _envoy: envoy, server, _folder: folder }
    }
}

fn config(lua: &Path, upstream: SocketAddr) -> Value {
    let address = |address: SocketAddr| json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } });
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let filters = "type.googleapis.com/envoy.extensions.filters";
    let options = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let cluster = |name: &str, protocol: &str| {
        json!({
            "name": name,
            "type": "STATIC",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
                    { "@type": options, "explicit_http_config": { protocol: {} } },
            },
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(upstream) } }] }],
            },
        })
    };
    json!({
        "admin": { "address": address(any) },
        "static_resources": {
            "listeners": [{
                "name": "plain",
                "address": address(any),
                "filter_chains": [{ "filters": [{
                    "name": "http",
                    "typed_config": {
                        "@type": format!("{filters}.network.http_connection_manager.v3.HttpConnectionManager"),
                        "stat_prefix": "plain",
                        "route_config": { "virtual_hosts": [{
                            "name": "all",
                            "domains": ["*"],
                            "request_body_buffer_limit": 17_825_792,
                            "routes": [
                                {
                                    "match": { "prefix": PAST_THE_GATE },
                                    "route": { "cluster": "One", "prefix_rewrite": "/204" },
                                },
                                { "match": { "prefix": "/" }, "route": { "cluster_header": ROUTED } },
                            ],
                        }] },
                        "http_filters": [
                            { "name": "header_only", "typed_config": {
                                "@type": format!("{filters}.http.lua.v3.Lua"),
                                "default_source_code": { "filename": lua },
                            } },
                            { "name": "router", "typed_config": { "@type": format!("{filters}.http.router.v3.Router") } },
                        ],
                    },
                }] }],
            }],
            "clusters": [cluster("One", "http_protocol_options"), cluster("Two", "http2_protocol_options")],
        },
    })
}

async fn ask(bench: &Bench, downstream: Http, upstream: Http, path: &str) -> Reply {
    let (parts, body) = send(bench, downstream, upstream, path).await.into_parts();
    let body = body.collect().await.unwrap_or_else(|error| panic!("{path}: {error}"));
    let trailers = body.trailers().cloned();
    Reply { status: parts.status, headers: parts.headers, body: body.to_bytes(), trailers }
}

async fn send(
    bench: &Bench,
    downstream: Http,
    upstream: Http,
    path: &str,
) -> http::Response<Incoming> {
    let io = TokioIo::new(TcpStream::connect(bench.address).await.unwrap());
    let mut request =
        Request::post(format!("http://{}{path}", bench.address)).header("host", "plain");
    if path != PAST_THE_GATE {
        request = request.header(ROUTED, format!("{upstream:?}"));
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let reply = match downstream {
        Http::One => {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        }
        Http::Two => {
            let executor = TokioExecutor::new();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(executor, io).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await
        }
    };
    reply.unwrap_or_else(|error| panic!("{path}: {error}"))
}
