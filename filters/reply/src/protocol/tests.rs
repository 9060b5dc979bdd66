use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceResponse,
};
use proptest::prelude::*;
use prost::Message;
use sluice_encodings::{EncodingHeader, grpc};
use sluice_headers::HeaderEdit;
use sluice_otlp::Signal;

use super::*;
use crate::{
    Failure, FieldViolation, PartialSuccess,
    text::{MAX_DETAILS, one_line},
};

fn partial() -> ExportOutcome {
    ExportOutcome::Success(ExportResponse {
        partial_success: Some(PartialSuccess { rejected: 3, error_message: "why".into() }),
    })
}

fn throttled() -> ExportOutcome {
    ExportOutcome::Failure(Failure {
        outcome: "failed",
        http_status: 429,
        code: Code::ResourceExhausted,
        message: "loki answered 429: 100% \u{fc}".into(),
        retry_after: Some(7),
    })
}

#[test]
fn a_refusal_speaks_the_senders_protocol() {
    let refusal = Refusal::Method("GET".into());
    let LocalResponse::Http { status, headers, body } = Protocol::HttpProtobuf.refuse(&refusal)
    else {
        panic!("HTTP is answered over HTTP")
    };
    assert_eq!(status, 405);
    assert_eq!(
        headers,
        [("allow", "POST".to_owned()), ("content-type", "application/x-protobuf".to_owned())]
    );
    assert_eq!(Status::decode(&body[..]).unwrap(), refusal.status());

    let LocalResponse::Http { headers, body, .. } = Protocol::HttpJson.refuse(&refusal) else {
        panic!("HTTP is answered over HTTP")
    };
    assert!(headers.contains(&("content-type", "application/json".to_owned())));
    assert_eq!(
        body,
        br#"{"code":12,"message":"method GET is not supported. Send telemetry with POST"}"#
    );

    assert_eq!(
        Protocol::Grpc.refuse(&refusal),
        LocalResponse::Grpc { status: refusal.status(), metadata: Vec::new() }
    );
}

#[test]
fn a_partial_success_is_read_by_the_schema_of_its_signal() {
    let expected = ExportLogsServiceResponse {
        partial_success: Some(ExportLogsPartialSuccess {
            rejected_log_records: 3,
            error_message: "why".into(),
        }),
    };
    let over_http = Protocol::HttpProtobuf.write(&partial(), Signal::Logs);
    assert_eq!(ExportLogsServiceResponse::decode(&over_http.body[..]).unwrap(), expected);
    let over_grpc = Protocol::Grpc.write(&partial(), Signal::Logs);
    let message = grpc::read(&over_grpc.body).unwrap().message;
    assert_eq!(ExportLogsServiceResponse::decode(message).unwrap(), expected);
    assert_eq!(over_grpc.trailers, [("grpc-status", "0".to_owned())]);
}

#[test]
fn a_failure_over_grpc_is_in_the_trailers_with_its_delay() {
    let written = Protocol::Grpc.write(&throttled(), Signal::Logs);
    assert!(written.body.is_empty());
    assert_eq!(written.trailers[0], ("grpc-status", "8".to_owned()));
    assert_eq!(
        written.trailers[1],
        ("grpc-message", "loki answered 429: 100%25 %C3%BC".to_owned())
    );
    assert_eq!(written.trailers[2].0, "grpc-status-details-bin");
    assert!(Protocol::Grpc.reply_edits(&throttled()).contains(&HeaderEdit::set(":status", "200")));
}

#[test]
fn a_failure_over_http_is_in_the_status_with_its_delay() {
    let edits = Protocol::HttpProtobuf.reply_edits(&throttled());
    assert!(edits.contains(&HeaderEdit::set(":status", "429")));
    assert_eq!(edits.last(), Some(&HeaderEdit::set("retry-after", "7")));
    let LocalResponse::Http { status, headers, .. } =
        Protocol::HttpProtobuf.local_response(&throttled(), Signal::Logs).unwrap()
    else {
        panic!("HTTP is answered over HTTP")
    };
    assert_eq!((status, &headers[0]), (429, &("retry-after", "7".to_owned())));
}

#[test]
fn success_over_grpc_needs_a_body_to_say_it_in() {
    assert_eq!(Protocol::Grpc.local_response(&partial(), Signal::Logs), None);
    let Some(LocalResponse::Grpc { metadata, .. }) =
        Protocol::Grpc.local_response(&throttled(), Signal::Logs)
    else {
        panic!("a failure over gRPC is trailers-only")
    };
    let names: Vec<_> = metadata.iter().map(|(name, _)| *name).collect();
    // The delay, in gRPC's form and in the one that the Python SDK reads.
    assert_eq!(names, ["grpc-status-details-bin", "google.rpc.retryinfo-bin"]);
}

#[test]
fn an_encoding_that_is_not_taken_is_answered_with_those_that_are() {
    let refusal = |header| Refusal::Encoding { header, value: "br".into() };
    let over_http = Protocol::HttpProtobuf.refuse(&refusal(EncodingHeader::Content));
    let LocalResponse::Http { status: 415, headers, .. } = over_http else {
        panic!("{over_http:?}")
    };
    let (name, value) = &headers[0];
    assert_eq!(*name, "accept-encoding");
    assert!(value.contains("gzip") && value.contains("lz4"), "{value}");

    let over_grpc = Protocol::Grpc.refuse(&refusal(EncodingHeader::Grpc));
    let LocalResponse::Grpc { status, metadata } = over_grpc else { panic!("{over_grpc:?}") };
    assert_eq!(status.code, Code::Unimplemented.number());
    let (name, value) = &metadata[0];
    assert_eq!(*name, "grpc-accept-encoding");
    assert!(value.contains("gzip") && !value.contains("lz4"), "{value}");
}

fn longest(text: &str) -> String {
    text.repeat(4096)
}

#[test]
fn what_an_error_adds_to_headers_stays_under_what_clients_take() {
    for text in ["a", "%", "\u{fc}", "\u{1f980}"].map(longest) {
        assert_fits(&text, &[(&"a".repeat(64), &text), ("b", &text)]);
    }
}

/// Asserts that an error with this message and these violations takes less than 8 KiB, minus what
/// else is in a reply's head.
fn assert_fits(message: &str, violations: &[(&str, &str)]) {
    let violations = violations.iter().map(|(field, description)| FieldViolation {
        field: (*field).to_owned(),
        description: (*description).to_owned(),
    });
    let status =
        Status::new(Code::InvalidArgument, one_line(message)).with_field_violations(violations);
    let details = status.details_header().unwrap_or_default();
    let head = [percent_encoded(&status.message), details].concat();
    assert!(head.len() < 7 << 10, "{message:?}");
    let bytes: usize = status
        .field_violations()
        .iter()
        .flat_map(|violation| [violation.field.len(), violation.description.len()])
        .sum();
    assert!(bytes <= MAX_DETAILS, "{bytes}");
}

proptest! {
    #[test]
    fn whatever_is_wrong_fits_and_is_json(
        message in ".{0,600}",
        violations in prop::collection::vec((".{0,80}", ".{0,400}"), 0..12),
    ) {
        let pairs: Vec<_> = violations.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_fits(&message, &pairs);
        let violations = pairs.iter().map(|(field, description)| FieldViolation {
            field: (*field).to_owned(),
            description: (*description).to_owned(),
        });
        let status = Status::new(Code::InvalidArgument, &*message).with_field_violations(violations);
        let json: serde_json::Value = serde_json::from_slice(&status.to_json()).unwrap();
        prop_assert_eq!(&json["message"], &message);
        let violations = status.field_violations();
        for (index, FieldViolation { field, description }) in violations.iter().enumerate() {
            let violation = &json["details"][0]["fieldViolations"][index];
            prop_assert_eq!(&violation["field"], field);
            prop_assert_eq!(&violation["description"], description);
        }
    }
}

#[test]
fn details_in_json_are_what_they_are_in_protobuf() {
    let violations = ["a", "\"b\""].map(|field| FieldViolation {
        field: field.to_owned(),
        description: "is \"missing\"".to_owned(),
    });
    let status =
        Status::new(Code::InvalidArgument, "m").with_field_violations(violations.into_iter());
    let json: serde_json::Value = serde_json::from_slice(&status.to_json()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"code": 3, "message": "m", "details": [{
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [
                {"field": "a", "description": "is \"missing\""},
                {"field": "\"b\"", "description": "is \"missing\""},
            ],
        }]})
    );
    let throttled = Status::new(Code::ResourceExhausted, "m").with_retry_delay(7);
    let json: serde_json::Value = serde_json::from_slice(&throttled.to_json()).unwrap();
    assert_eq!(
        json["details"],
        serde_json::json!([{
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": "7s",
        }])
    );
}
