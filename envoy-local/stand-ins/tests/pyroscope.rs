//! Pyroscope's contract, from its source code; it was not observed on a real Pyroscope.

mod common;

use common::*;
use opentelemetry_proto::tonic::{
    collector::profiles::v1development::ExportProfilesServiceRequest,
    profiles::v1development::{
        Profile, ProfilesDictionary, ResourceProfiles, Sample, ScopeProfiles, Stack, ValueType,
    },
};
use prost::Message;
use serde_json::json;
use sluice_stand_ins::{Answer, Backend, Telemetry};

const PATH: &str = "/v1development/profiles";

/// A profile with one sample of CPU time.
fn profile() -> Profile {
    Profile {
        sample_type: Some(ValueType { type_strindex: 1, unit_strindex: 2 }),
        samples: vec![Sample { values: vec![7], ..Sample::default() }],
        ..Profile::default()
    }
}

fn profiles(profiles: Vec<Profile>) -> ExportProfilesServiceRequest {
    ExportProfilesServiceRequest {
        resource_profiles: vec![ResourceProfiles {
            resource: resource(vec![string("source.name", "src-a")]),
            scope_profiles: vec![ScopeProfiles { profiles, ..ScopeProfiles::default() }],
            ..ResourceProfiles::default()
        }],
        dictionary: Some(ProfilesDictionary {
            string_table: ["", "cpu", "nanoseconds"].map(str::to_owned).to_vec(),
            stack_table: vec![Stack::default()],
            ..ProfilesDictionary::default()
        }),
    }
}

fn one_profile() -> Vec<u8> {
    profiles(vec![profile()]).encode_to_vec()
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let backends = started().await;
    for (method, path, status) in [
        ("POST", "/v1/profiles", 404),
        ("POST", "/v1development/profiles/", 404),
        ("GET", PATH, 405),
    ] {
        let request = http::Request::builder().method(method).uri(path);
        let reply = send(backends.pyroscope(), request, "").await;
        assert_eq!(reply.status, status, "{method} {path}");
    }
}

// Content types must match exactly; application/protobuf is accepted too.
#[tokio::test]
async fn a_content_type_that_is_not_exact_is_a_415_in_text() {
    let backends = started().await;
    for content_type in ["application/x-protobuf; charset=utf-8", "APPLICATION/JSON", ""] {
        let reply = send(backends.pyroscope(), typed(PATH, content_type), one_profile()).await;
        assert_eq!(reply.status, 415, "{content_type}");
        assert_eq!(reply.text(), format!("Unsupported Content-Type: {content_type}\n"));
    }
    assert!(backends.store().tenants(Backend::Pyroscope).is_empty());
    let reply =
        send(backends.pyroscope(), typed(PATH, "application/protobuf"), one_profile()).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn without_a_tenant_or_with_a_bad_one_it_is_a_401_in_text() {
    let backends = started().await;
    let untenanted = http::Request::post(PATH).header("content-type", PROTOBUF);
    let reply = send(backends.pyroscope(), untenanted, one_profile()).await;
    assert_eq!((reply.status, reply.text()), (401, "no org id\n"));
    let bad = http::Request::post(PATH).header("content-type", PROTOBUF);
    let bad = bad.header("x-scope-orgid", "a|b");
    let reply = send(backends.pyroscope(), bad, one_profile()).await;
    assert_eq!((reply.status, reply.text()), (401, "multiple org IDs present\n"));
}

// The answer to a success is empty protobuf, whatever the request's format.
#[tokio::test]
async fn what_is_stored_is_answered_in_protobuf_in_either_format() {
    let backends = started().await;
    let json = serde_json::to_vec(&profiles(vec![profile()])).unwrap();
    for (content_type, body) in [(PROTOBUF, one_profile()), (JSON, json)] {
        let reply = send(backends.pyroscope(), typed(PATH, content_type), body).await;
        assert_eq!((reply.status, &reply.body[..]), (200, &b""[..]), "{content_type}");
        assert_eq!(reply.header("content-type"), Some(PROTOBUF));
    }
    let stored = backends.store().profiles("tenant-a");
    assert_eq!(stored.len(), 2);
    for record in stored {
        assert_eq!(record.resource_attribute("source.name").as_deref(), Some("src-a"));
        assert_eq!(record.name(), "cpu");
        let Telemetry::Profile { profile: stored, .. } = record.telemetry else {
            panic!("a profile was sent");
        };
        assert_eq!(stored, profile());
    }
}

// A sender leaves fields with default values out of JSON.
#[tokio::test]
async fn json_is_read_without_its_defaults() {
    let backends = started().await;
    let body = json!({
        "resourceProfiles": [{"scopeProfiles": [{"profiles": [
            {"sampleType": {"typeStrindex": 1}, "samples": [{"values": ["7"]}], "timeUnixNano": "9"},
        ]}]}],
        "dictionary": {"stringTable": ["", "cpu"], "stackTable": [{}]},
    });
    let reply = send(backends.pyroscope(), typed(PATH, JSON), body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let stored = backends.store().profiles("tenant-a");
    let Telemetry::Profile { profile, sample_type } = &stored[0].telemetry else {
        panic!("a profile was sent");
    };
    assert_eq!((profile.time_unix_nano, sample_type.as_str()), (9, "cpu"));
    assert_eq!(profile.samples[0].values, [7]);
}

// The collector refers to keys and texts. A reference to a missing text is an error.
#[tokio::test]
async fn json_with_references_is_read() {
    let backends = started().await;
    let body = |text: u8| {
        json!({
            "resourceProfiles": [{
                "resource": {"attributes": [
                    {"keyStrindex": 1, "value": {"stringValueStrindex": text}},
                    {"key": "map", "value": {"kvlistValue": {"values": [
                        {"keyStrindex": 1, "value": {"arrayValue": {"values": [{"stringValueStrindex": text}]}}},
                    ]}}},
                ]},
                "scopeProfiles": [{"profiles": [{}]}],
            }],
            "dictionary": {"stringTable": ["", "source.name", "src-a"]},
        })
        .to_string()
    };
    let reply = send(backends.pyroscope(), typed(PATH, JSON), body(2)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let stored = &backends.store().profiles("tenant-a")[0];
    let first = &stored.resource.attributes[0];
    assert_eq!((first.key.as_str(), first.key_strindex), ("", 1));
    assert_eq!(stored.resource_attribute("").as_deref(), Some("src-a"));
    let map = stored.resource_attribute("map").unwrap();
    assert!(map.contains("src-a"), "{map}");
    assert_eq!(send(backends.pyroscope(), typed(PATH, JSON), body(3)).await.status, 400);
}

// gzip in any case. With any other encoding, the body is read without decoding.
#[tokio::test]
async fn gzip_alone_is_known() {
    let backends = started().await;
    for (encoding, body, status) in [
        ("gzip", gzip(&one_profile()), 200),
        ("GZIP", gzip(&one_profile()), 200),
        ("identity", one_profile(), 200),
        ("zstd", one_profile(), 200),
        ("zstd", zstd(&one_profile()), 400),
        ("gzip", one_profile(), 400),
    ] {
        let request = push(PATH).header("content-encoding", encoding);
        assert_eq!(send(backends.pyroscope(), request, body).await.status, status, "{encoding}");
    }
    assert_eq!(backends.store().profiles("tenant-a").len(), 4);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_400_in_text() {
    let backends = started().await;
    for (content_type, text) in
        [(PROTOBUF, "Failed to parse protobuf request\n"), (JSON, "Failed to parse JSON request\n")]
    {
        let reply = send(backends.pyroscope(), typed(PATH, content_type), "\u{1}").await;
        assert_eq!((reply.status, reply.text()), (400, text));
    }
}

// A profile that cannot be converted gives a 500, and the profiles before it are stored.
#[tokio::test]
async fn what_cannot_be_converted_is_a_500_behind_what_is_stored() {
    let backends = started().await;
    let sampled = |sample: Sample| Profile { samples: vec![sample], ..profile() };
    let sample = || Sample { values: vec![7], ..Sample::default() };
    let typed = Some(ValueType { type_strindex: 9, unit_strindex: 0 });
    for (bad, reason) in [
        (Profile { sample_type: None, ..profile() }, "sample type is missing"),
        (Profile { sample_type: typed, ..profile() }, "index 9 out of bounds"),
        (sampled(Sample { stack_index: 3, ..sample() }), "invalid stack index: 3"),
        (sampled(Sample { stack_index: -1, ..sample() }), "invalid stack index: -1"),
        (sampled(Sample::default()), "sample value is required"),
    ] {
        backends.store().clear();
        let body = profiles(vec![profile(), bad, profile()]).encode_to_vec();
        let reply = send(backends.pyroscope(), push(PATH), body).await;
        assert_eq!(reply.status, 500, "{reason}");
        assert!(reply.text().contains(reason), "{}", reply.text());
        assert_eq!(backends.store().profiles("tenant-a").len(), 1, "{reason}");
    }
}

#[tokio::test]
async fn nothing_in_it_or_no_dictionary_is_a_500() {
    let backends = started().await;
    let without = ExportProfilesServiceRequest { dictionary: None, ..profiles(vec![profile()]) };
    let empty = ExportProfilesServiceRequest { resource_profiles: vec![], ..profiles(vec![]) };
    for (request, reason) in
        [(without, "missing profile metadata dictionary"), (empty, "missing resource profiles")]
    {
        let reply = send(backends.pyroscope(), push(PATH), request.encode_to_vec()).await;
        assert_eq!(reply.status, 500, "{reason}");
        assert!(reply.text().contains(reason), "{}", reply.text());
    }
    let none = profiles(vec![]).encode_to_vec();
    assert_eq!(send(backends.pyroscope(), push(PATH), none).await.status, 200);
}

#[tokio::test]
async fn a_rate_limit_is_a_429_in_text() {
    let backends = started().await;
    let limited = Answer::rate_limited(Backend::Pyroscope);
    backends.store().answer_next(Backend::Pyroscope, limited);
    let reply = send(backends.pyroscope(), push(PATH), one_profile()).await;
    assert_eq!(reply.status, 429);
    assert!(reply.header("content-type").unwrap().starts_with("text/plain"));
}

#[tokio::test]
async fn http2_without_tls_is_taken() {
    let backends = started().await;
    let reply = send_h2c(backends.pyroscope(), PATH, one_profile()).await.unwrap();
    assert_eq!((reply.status, reply.version), (200, http::Version::HTTP_2));
}
