//! Mimir's contract, with one test for each row. The comment above a test quotes the row that it tests. These rows come
//! from Mimir's source code; they were not observed on a real Mimir.

mod common;

use common::*;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, Metric, NumberDataPoint, metric::Data,
    number_data_point::Value,
};
use prost::Message;
use serde_json::json;
use sluice_prompb::{Label, Sample, TimeSeries, WriteRequest};
use sluice_stand_ins::{Answer, Backend, Telemetry};

const PATH: &str = "/otlp/v1/metrics";

fn untenanted() -> http::request::Builder {
    http::Request::post(PATH).header("content-type", PROTOBUF)
}

// Mimir: Path POST /otlp/v1/metrics
#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let backends = started().await;
    for (method, path, status) in [
        ("POST", "/v1/metrics", 404),
        ("POST", "/otlp/v1/metrics/", 404),
        ("POST", "/api/v1/otlp/v1/metrics", 404),
        ("GET", PATH, 405),
        ("PUT", PATH, 405),
    ] {
        let request = http::Request::builder().method(method).uri(path);
        let reply = send(backends.mimir(), request, "").await;
        assert_eq!(reply.status, status, "{method} {path}");
    }
}

// Mimir: Content-type exactly application/x-protobuf or application/json, else 415 (parameters
// too). Errors: protobuf for unknown content-types, Status.code is the HTTP number
#[tokio::test]
async fn a_content_type_that_is_not_exact_is_a_415_in_protobuf() {
    let backends = started().await;
    for content_type in [
        "application/x-protobuf; charset=utf-8",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/protobuf",
        "",
    ] {
        let reply = send(backends.mimir(), typed(PATH, content_type), one_point()).await;
        assert_eq!(reply.status, 415, "{content_type}");
        assert_eq!(reply.header("content-type"), Some(PROTOBUF));
        assert_eq!(reply.status_message().code, 415);
    }
    assert!(backends.store().tenants(Backend::Mimir).is_empty());
}

// Mimir: Encodings: absent, gzip, lz4, zstd; others incl. snappy, deflate, identity 415
#[tokio::test]
async fn other_encodings_are_a_415_in_the_format_of_the_request() {
    let backends = started().await;
    for encoding in ["snappy", "deflate", "identity", "br", "GZIP"] {
        let request = push(PATH).header("content-encoding", encoding);
        let reply = send(backends.mimir(), request, one_point()).await;
        assert_eq!(reply.status, 415, "{encoding}");
        assert_eq!(reply.status_message().code, 415);

        let request = typed(PATH, JSON).header("content-encoding", encoding);
        let reply = send(backends.mimir(), request, "{}").await;
        assert_eq!(reply.header("content-type"), Some(JSON));
        assert_eq!(reply.json::<serde_json::Value>()["code"], 415);
    }
}

// Mimir: Encodings: absent, gzip, lz4, zstd
#[tokio::test]
async fn the_four_encodings_are_taken() {
    let backends = started().await;
    let plain = one_point();
    for (encoding, body) in
        [("", plain.clone()), ("gzip", gzip(&plain)), ("lz4", lz4(&plain)), ("zstd", zstd(&plain))]
    {
        backends.store().clear();
        let mut request = push(PATH);
        if !encoding.is_empty() {
            request = request.header("content-encoding", encoding);
        }
        let reply = send(backends.mimir(), request, body).await;
        assert_eq!(reply.status, 200, "{encoding}");
        assert_eq!(backends.store().data_points("tenant-a").len(), 1);
        let requests = backends.store().requests(Backend::Mimir);
        assert_eq!(requests[0].decoded.as_deref(), Some(&plain[..]));
    }
}

// Mimir: Missing tenant 401 text/plain `no org id`. Invalid tenant 401 text/plain. `a|b` 422 `too
// many tenant IDs present. max: 1 actual: 2`. Neither is a Status
#[tokio::test]
async fn a_missing_or_bad_tenant_is_answered_in_plain_text() {
    let backends = started().await;
    let too_long = "a".repeat(151);
    for (tenant, status, text) in [
        (None, 401, "no org id\n"),
        (Some(""), 401, "no org id\n"),
        (Some("a b"), 401, "tenant ID 'a b' contains unsupported character ' '\n"),
        (Some(".."), 401, "tenant ID is '.' or '..'\n"),
        (Some(too_long.as_str()), 401, "tenant ID is too long: max 150 characters\n"),
        (Some("a|b"), 422, "too many tenant IDs present. max: 1 actual: 2\n"),
        (Some("a|b|a|c"), 422, "too many tenant IDs present. max: 1 actual: 3\n"),
    ] {
        let mut request = untenanted();
        if let Some(tenant) = tenant {
            request = request.header("x-scope-orgid", tenant);
        }
        let reply = send(backends.mimir(), request, one_point()).await;
        assert_eq!((reply.status, reply.text()), (status, text), "{tenant:?}");
        let content_type = reply.header("content-type").unwrap();
        assert!(content_type.starts_with("text/plain"), "{content_type}");
    }
    assert!(backends.store().tenants(Backend::Mimir).is_empty());
}

// Mimir: `:` metadata aliasing as in Loki (inferred)
#[tokio::test]
async fn aliases_are_stored_under_the_tenant_they_stand_for() {
    let backends = started().await;
    for alias in ["tenant-a|tenant-a", "tenant-a:product=k6"] {
        backends.store().clear();
        let request = untenanted().header("x-scope-orgid", alias);
        assert_eq!(send(backends.mimir(), request, one_point()).await.status, 200);
        assert_eq!(backends.store().data_points("tenant-a").len(), 1, "{alias}");
    }
}

// Mimir: Success 200, content-type mirrored, `X-Content-Type-Options: nosniff`, body = encoded
// empty response: 0 bytes protobuf, `{}` JSON
#[tokio::test]
async fn success_is_the_empty_response_in_the_format_of_the_request() {
    let backends = started().await;
    let json = serde_json::to_vec(&metrics(vec![gauge("g", vec![point(vec![])])])).unwrap();
    for (format, body, answer) in [
        (PROTOBUF, one_point(), ""),
        (JSON, json, "{}"),
        (PROTOBUF, Vec::new(), ""),
        (JSON, b"{}".to_vec(), "{}"),
    ] {
        let reply = send(backends.mimir(), typed(PATH, format), body).await;
        assert_eq!(reply.status, 200, "{format}");
        assert_eq!(reply.header("content-type"), Some(format));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.text(), answer);
    }
    assert_eq!(backends.store().data_points("tenant-a").len(), 2);
}

// Mimir: Errors: google.rpc.Status in the request's format. When the error comes from request
// parsing, Status.code is the HTTP number
#[tokio::test]
async fn a_body_that_is_no_export_is_a_400_in_the_format_of_the_request() {
    let backends = started().await;
    let reply = send(backends.mimir(), push(PATH), "{ not an export").await;
    assert_eq!((reply.status, reply.status_message().code), (400, 400));
    for body in ["", "{ not an export"] {
        let reply = send(backends.mimir(), typed(PATH, JSON), body).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.header("content-type"), Some(JSON));
        assert_eq!(reply.json::<serde_json::Value>()["code"], 400);
    }
    let request = push(PATH).header("content-encoding", "gzip");
    assert_eq!(send(backends.mimir(), request, one_point()).await.status, 400);
}

// Mimir: Conversion errors (empty data points, bad temporality) are 400 although the rest was
// stored
#[tokio::test]
async fn a_metric_that_cannot_be_converted_is_a_400_although_the_rest_is_stored() {
    let backends = started().await;
    for bad in [
        gauge("bad", vec![]),
        sum("bad", AggregationTemporality::Delta),
        sum("bad", AggregationTemporality::Unspecified),
        gauge("bad", vec![point(vec![string("ключ", "bad")])]),
        gauge("日本", vec![point(vec![])]),
        with_exemplar(sum("bad", AggregationTemporality::Cumulative), Exemplar::default()),
    ] {
        backends.store().clear();
        let good = sum("good", AggregationTemporality::Cumulative);
        let export = metrics(vec![bad, good]).encode_to_vec();
        let reply = send(backends.mimir(), push(PATH), export).await;
        assert_eq!((reply.status, reply.status_message().code), (400, 400));
        let stored = backends.store().data_points("tenant-a");
        let names: Vec<_> = stored.iter().map(|point| point.name()).collect();
        assert_eq!(names, ["good"]);
    }
}

// Mimir: pdata refuses a request for one exemplar with an id of another length
#[tokio::test]
async fn one_exemplar_id_that_is_none_is_a_400_and_nothing_is_stored() {
    let backends = started().await;
    let exemplar = Exemplar { trace_id: vec![1; 2], ..Exemplar::default() };
    let bad = with_exemplar(sum("bad", AggregationTemporality::Cumulative), exemplar);
    let export = metrics(vec![gauge("good", vec![point(vec![])]), bad]).encode_to_vec();
    assert_eq!(send(backends.mimir(), push(PATH), export).await.status, 400);
    assert!(backends.store().data_points("tenant-a").is_empty());
}

fn with_exemplar(mut metric: Metric, exemplar: Exemplar) -> Metric {
    if let Some(Data::Sum(sum)) = &mut metric.data {
        sum.data_points[0].exemplars.push(exemplar);
    }
    metric
}

// Mimir: a record in the store is one data point, with its own attributes.
#[tokio::test]
async fn each_data_point_is_a_record_of_its_own() {
    let backends = started().await;
    let points =
        vec![point(vec![string("source.name", "one")]), point(vec![string("source.name", "two")])];
    let export = metrics(vec![gauge("g", points)]).encode_to_vec();
    assert_eq!(send(backends.mimir(), push(PATH), export).await.status, 200);
    let stored = backends.store().data_points("tenant-a");
    let sources: Vec<_> =
        stored.iter().map(|point| point.attribute("source.name").unwrap()).collect();
    assert_eq!(sources, ["one", "two"]);
    assert_eq!(stored[0].resource_attribute("service.name").as_deref(), Some("probe"));
}

// Go's strconv.ParseFloat returns the nearest value. A faster parser can be wrong in the last bit for numbers like
// this.
#[tokio::test]
async fn a_number_in_json_is_read_to_the_last_bit() {
    let backends = started().await;
    let value = 286.0 / 3.0;
    let sent = NumberDataPoint { value: Some(Value::AsDouble(value)), ..point(vec![]) };
    let json = serde_json::to_vec(&metrics(vec![gauge("g", vec![sent.clone()])])).unwrap();
    send(backends.mimir(), typed(PATH, JSON), json).await;
    let stored = backends.store().data_points("tenant-a");
    assert_eq!(stored[0].telemetry, Telemetry::DataPoint(gauge("g", vec![sent])));
}

// Mimir: 429 for rate/series limits; `Retry-After` on 429/5xx
#[tokio::test]
async fn a_rate_limit_can_be_played() {
    let backends = started().await;
    backends.store().answer_next(Backend::Mimir, Answer::rate_limited(Backend::Mimir));
    let reply = send(backends.mimir(), push(PATH), one_point()).await;
    assert_eq!((reply.status, reply.status_message().code), (429, 429));
    assert_eq!(reply.header("retry-after"), Some("6"));
}

// Mimir: Too large: 413
#[tokio::test]
async fn a_body_that_inflates_to_over_100_mib_is_a_413() {
    let backends = started().await;
    let bomb = gzip(&vec![0; (100 << 20) + 1]);
    let request = push(PATH).header("content-encoding", "gzip");
    let reply = send(backends.mimir(), request, bomb).await;
    assert_eq!((reply.status, reply.status_message().code), (413, 413));
}

// Mimir: Optional request headers X-Mimir-OTLP-AddSuffixes, X-Mimir-SkipLabel*. Do not forward
#[tokio::test]
async fn the_headers_that_steer_mimir_are_on_record() {
    let backends = started().await;
    let request = push(PATH).header("x-mimir-otlp-addsuffixes", "true");
    send(backends.mimir(), request, one_point()).await;
    let shown = send(backends.mimir(), http::Request::get("/standin/requests"), "").await;
    let requests = shown.json::<serde_json::Value>();
    let headers = requests[0]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-mimir-otlp-addsuffixes", "true"])));
}

// Mimir: h2c: unknown. The stand-in supports it, so that a gate may be set up either way.
#[tokio::test]
async fn http2_without_tls_is_served() {
    let backends = started().await;
    let reply = send_h2c(backends.mimir(), PATH, one_point()).await.unwrap();
    assert_eq!((reply.status, reply.version), (200, http::Version::HTTP_2));
}

/// A write request of series with these labels, in one block of snappy.
fn series(all: &[&[(&str, &str)]]) -> Vec<u8> {
    let label =
        |(name, value): &(&str, &str)| Label { name: (*name).into(), value: (*value).into() };
    let series = |labels: &&[(&str, &str)]| TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: vec![Sample { value: 1.0, timestamp: 1_795_000_000_000 }],
        ..TimeSeries::default()
    };
    let timeseries = all.iter().map(series).collect();
    snappy(&WriteRequest { timeseries, ..WriteRequest::default() }.encode_to_vec())
}

fn write() -> http::request::Builder {
    http::Request::post("/api/v1/push").header("x-scope-orgid", "payments")
}

// Mimir also accepts Prometheus remote write.
#[tokio::test]
async fn a_write_request_is_stored_series_by_series_beside_those_that_are_bad() {
    let backends = started().await;
    let good: &[_] = &[("__name__", "up"), ("job", "node")];
    let reply = send(backends.mimir(), write(), series(&[good, good])).await;
    assert_eq!((reply.status, reply.text()), (200, ""));
    let bad: &[_] = &[("__name__", "up"), ("job", "a"), ("job", "b")];
    for bad in [bad, &[("job", "a")]] {
        let reply = send(backends.mimir(), write(), series(&[bad, good])).await;
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains("err-mimir-"), "{}", reply.text());
    }
    let stored = backends.store().records(Backend::Mimir, "payments");
    assert_eq!(stored.len(), 4);
    assert!(stored.iter().all(|record| record.name() == "up"));
    assert_eq!(stored[0].label("job"), Some("node"));
}

#[tokio::test]
async fn a_write_request_that_is_none_is_refused_in_text() {
    let backends = started().await;
    let version_2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let untenanted = http::Request::post("/api/v1/push");
    for (request, body, status) in [
        (untenanted, series(&[]), 401),
        (write().header("content-type", version_2), series(&[]), 415),
        (write().header("content-encoding", "gzip"), gzip(b""), 400),
        (write(), snappy(b"\x0a\x05"), 400),
    ] {
        let reply = send(backends.mimir(), request, body).await;
        assert_eq!(reply.status, status);
        assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    }
    assert!(backends.store().tenants(Backend::Mimir).is_empty());
}
