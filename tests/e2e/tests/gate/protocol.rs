//! OTLP's own rules: paths, methods, media types, and the form of a success.

use hyper::{Method, StatusCode};
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceResponse, metrics::v1::ExportMetricsServiceResponse,
    trace::v1::ExportTraceServiceResponse,
};
use prost::Message;
use sluice_e2e::Signal;
use sluice_stand_ins::Backend;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    fixture::Gate,
    grpc,
    http::{Call, Version},
    sdks::assert_tenants,
    telemetry,
};

pub(crate) async fn json_is_answered_in_json(gate: &Gate) {
    for version in Version::ALL {
        for (body, http, says) in [
            ("{\"resourceLogs\":[]}", StatusCode::OK, None),
            ("{\"resourceLogs\":[],}", StatusCode::BAD_REQUEST, Some("cannot be parsed")),
            ("{\"resource_logs\":[]}", StatusCode::BAD_REQUEST, Some("lowerCamelCase")),
        ] {
            let call = Call::export(version, Signal::Logs, body);
            let reply = call.only("content-type", "application/json").send(gate).await;
            assert_eq!(reply.status, http, "{body}: {reply:?}");
            assert_eq!(reply.header("content-type"), "application/json", "{body}");
            let json: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
            match says {
                None => assert_eq!(json, serde_json::json!({})),
                Some(says) => {
                    let message = json["message"].as_str().unwrap_or_default();
                    assert!(message.contains(says), "{body}: {json}");
                }
            }
        }
    }
}

pub(crate) async fn another_content_type_is_415(gate: &Gate) {
    for content_type in ["text/plain", "application/protobuf", "application/x-protobuf-2"] {
        let body = telemetry::logs(1, 0).encode_to_vec();
        let call =
            Call::export(Version::Http1, Signal::Logs, body).only("content-type", content_type);
        let reply = call.send(gate).await;
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}: {reply:?}");
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn another_content_encoding_is_415(gate: &Gate) {
    for version in Version::ALL {
        for encoding in ["br", "compress", "gzip, gzip", "x"] {
            let body = telemetry::logs(1, 0).encode_to_vec();
            let reply = Call::export(version, Signal::Logs, body)
                .header("content-encoding", encoding)
                .send(gate)
                .await;
            reply.assert_refused(415, Code::Unimplemented, encoding);
        }
    }
    let body = grpc::frame(&telemetry::logs(1, 0).encode_to_vec(), true);
    let status =
        grpc::status_of(grpc::call(Signal::Logs, body).header("grpc-encoding", "br"), gate).await;
    grpc::assert_refused(&status, Code::Unimplemented, "br");
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn another_path_is_404(gate: &Gate) {
    for version in Version::ALL {
        for path in
            ["/", "/v1/profiles", "/v1/logs/", "/loki/api/v1/push", "/otlp/v1/logs", "/V1/logs"]
        {
            let mut call =
                Call::export(version, Signal::Logs, telemetry::logs(1, 0).encode_to_vec());
            call.path = path.to_owned();
            let reply = call.send(gate).await;
            assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}: {reply:?}");
        }
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn another_method_is_405(gate: &Gate) {
    for version in Version::ALL {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let body = if method == Method::PUT {
                telemetry::logs(1, 0).encode_to_vec()
            } else {
                Vec::new()
            };
            let mut call = Call::export(version, Signal::Logs, body);
            call.method = method.clone();
            let reply = call.send(gate).await;
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method}: {reply:?}");
        }
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn another_grpc_method_is_unimplemented(gate: &Gate) {
    for path in [
        "/v1/logs",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Delete",
        "/grpc.health.v1.Health/Check",
    ] {
        let mut call = grpc::call(Signal::Logs, grpc::frame(b"", false));
        call.path = path.to_owned();
        let status = grpc::status_of(call, gate).await;
        grpc::assert_refused(&status, Code::Unimplemented, "");
    }
}

pub(crate) async fn an_empty_export_is_a_success_and_loki_is_not_asked_over_http(gate: &Gate) {
    let without_records = telemetry::logs(0, 0).encode_to_vec();
    assert_eq!(without_records, b"");
    for version in Version::ALL {
        let call = Call::export(version, Signal::Logs, without_records.clone());
        let response: ExportLogsServiceResponse = call.send(gate).await.message();
        assert_eq!(response.partial_success, None);
    }
    assert_eq!(gate.store().requests(Backend::Loki).len(), 0, "Loki refuses what is empty");
}

pub(crate) async fn a_metric_without_data_points_is_a_success_over_http(gate: &Gate) {
    for version in Version::ALL {
        let body = telemetry::metrics(0, 0).encode_to_vec();
        let call = Call::export(version, Signal::Metrics, body);
        assert_warned(call.send(gate).await.message());
    }
}

/// It was not a record, so none was rejected; but the reply says that it was not stored.
fn assert_warned(response: ExportMetricsServiceResponse) {
    let partial = response.partial_success.expect("a warning");
    assert_eq!(partial.rejected_data_points, 0);
    assert!(partial.error_message.contains("1 metric dropped"), "{}", partial.error_message);
}

pub(crate) async fn an_empty_export_is_a_success_over_grpc(gate: &Gate) {
    let logs = grpc::export_logs(gate, telemetry::logs(0, 0)).await.expect("logs");
    let metrics = grpc::export_metrics(gate, Default::default()).await.expect("metrics");
    let traces = grpc::export_traces(gate, telemetry::traces(0, 0)).await.expect("traces");
    let told = (logs.partial_success, metrics.partial_success, traces.partial_success);
    assert_eq!(told, (None, None, None));
}

pub(crate) async fn a_metric_without_data_points_is_a_success_over_grpc(gate: &Gate) {
    let response = grpc::export_metrics(gate, telemetry::metrics(0, 0)).await;
    assert_warned(response.expect("there is nothing to refuse in it"));
}

pub(crate) async fn when_every_record_is_dropped_it_is_400_with_the_count(gate: &Gate) {
    for version in Version::ALL {
        for (signal, body) in [
            (Signal::Logs, telemetry::logs(0, 12).encode_to_vec()),
            (Signal::Metrics, telemetry::metrics(0, 12).encode_to_vec()),
            (Signal::Traces, telemetry::traces(0, 12).encode_to_vec()),
        ] {
            let reply = Call::export(version, signal, body).send(gate).await;
            reply.assert_refused(400, Code::InvalidArgument, "12");
            reply.assert_refused(400, Code::InvalidArgument, "source.name");
        }
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn when_every_record_is_dropped_it_is_invalid_argument_with_the_count(
    gate: &Gate,
) {
    for error in [
        grpc::export_logs(gate, telemetry::logs(0, 12)).await.expect_err("logs"),
        grpc::export_metrics(gate, telemetry::metrics(0, 12)).await.expect_err("metrics"),
        grpc::export_traces(gate, telemetry::traces(0, 12)).await.expect_err("traces"),
    ] {
        grpc::assert_refused(&error, Code::InvalidArgument, "12");
        grpc::assert_refused(&error, Code::InvalidArgument, "source.name");
        let details = error.get_details_bad_request().expect("google.rpc.BadRequest");
        let [violation] = &details.field_violations[..] else { panic!("one rule: {details:?}") };
        assert!(violation.field.contains("attributes[\"source.name\"]"), "{details:?}");
        assert!(violation.description.contains("12"), "{details:?}");
    }
    assert_tenants(gate, Backend::Loki, &[]);
}

pub(crate) async fn a_success_is_an_empty_message_and_200(gate: &Gate) {
    for version in Version::ALL {
        let call = Call::export(version, Signal::Logs, telemetry::logs(1, 0).encode_to_vec());
        let logs: ExportLogsServiceResponse = call.send(gate).await.message();
        assert_eq!(logs.partial_success, None, "Loki's 204");
        let call = Call::export(version, Signal::Metrics, telemetry::metrics(1, 0).encode_to_vec());
        let metrics: ExportMetricsServiceResponse = call.send(gate).await.message();
        assert_eq!(metrics.partial_success, None, "Mimir's empty body");
        let call = Call::export(version, Signal::Traces, telemetry::traces(1, 0).encode_to_vec());
        let traces: ExportTraceServiceResponse = call.send(gate).await.message();
        assert_eq!(traces.partial_success, None, "Tempo's partial success that is set and empty");
    }
    let logs = grpc::export_logs(gate, telemetry::logs(1, 0)).await.expect("logs");
    let metrics = grpc::export_metrics(gate, telemetry::metrics(1, 0)).await.expect("metrics");
    let traces = grpc::export_traces(gate, telemetry::traces(1, 0)).await.expect("traces");
    assert_eq!(
        (logs.partial_success, metrics.partial_success, traces.partial_success),
        (None, None, None)
    );
}
