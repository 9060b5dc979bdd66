//! Pyroscope's rules for `POST /v1development/profiles` (grafana/pyroscope, pkg/ingester/otlp). They come from its
//! source code; they were not observed on a real Pyroscope. Older releases answer 400 instead of 500 to profiles that
//! cannot be converted.
//!
//! Unknown are its answers to other paths and methods, and the order of its checks before the content type.

use std::sync::Arc;

use http::{
    Method, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use opentelemetry_proto::tonic::{
    collector::profiles::v1development::ExportProfilesServiceRequest,
    profiles::v1development::{Profile, ProfilesDictionary, Sample},
};

use crate::{
    answer::{Answer, JSON, PROTOBUF},
    encoding::{self, Coding, InflateError},
    otlp::{self, Format},
    profiles_json,
    push::{Body, Push, Verdict},
    store::{Record, Telemetry},
    tenant,
};

const PATH: &str = "/v1development/profiles";

/// The largest decompressed body. The real limit is set for each tenant; its default is unknown.
pub(crate) const BODY_LIMIT: usize = 256 << 20;

/// Pyroscope's answer to a request, and what it stores. Errors are plain text, whatever the format.
pub(crate) fn receive(push: &Push) -> Verdict {
    if push.uri.path() != PATH {
        let answer = Answer::go_error(StatusCode::NOT_FOUND, "404 page not found");
        return Verdict::refused(answer);
    }
    if push.method != Method::POST {
        return Verdict::refused(Answer::new(StatusCode::METHOD_NOT_ALLOWED));
    }
    let tenant = match one_tenant(push) {
        Ok(tenant) => tenant,
        Err(text) => return refused(StatusCode::UNAUTHORIZED, &text),
    };
    accept(push).of(&tenant)
}

fn refused(status: StatusCode, text: &str) -> Verdict {
    Verdict::refused(Answer::go_error(status, text))
}

fn one_tenant(push: &Push) -> Result<String, String> {
    let value = tenant::values(&push.headers).first().copied().unwrap_or_default();
    if value.is_empty() {
        return Err("no org id".to_owned());
    }
    tenant::single(value).map_err(|refused| refused.message().unwrap_or_default())
}

fn accept(push: &Push) -> Verdict {
    let content_type = push.header("content-type");
    let format = match content_type {
        b"application/x-protobuf" | b"application/protobuf" => Format::Protobuf,
        _ if content_type == JSON.as_bytes() => Format::Json,
        _ => {
            let shown = String::from_utf8_lossy(content_type);
            let text = format!("Unsupported Content-Type: {shown}");
            return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &text);
        }
    };
    // Any encoding other than gzip is ignored, and the body is read without decoding.
    let gzip = push.header("content-encoding").eq_ignore_ascii_case(b"gzip");
    let coding = if gzip { Coding::Gzip } else { Coding::None };
    let too_large = || {
        let text = format!("uncompressed profile payload size exceeds limit of {BODY_LIMIT} bytes");
        refused(StatusCode::PAYLOAD_TOO_LARGE, &text)
    };
    let Body::Whole(body) = &push.body else { return too_large() };
    let decoded = match encoding::inflate(body, coding, BODY_LIMIT) {
        Ok(decoded) => decoded,
        Err(InflateError::TooLarge { .. }) => return too_large(),
        Err(InflateError::Broken { .. }) => {
            return refused(StatusCode::BAD_REQUEST, "failed to read gzip-compressed request body");
        }
    };
    let request = match format {
        Format::Protobuf => otlp::decode::<ExportProfilesServiceRequest>(&decoded, format).ok(),
        Format::Json => profiles_json::read(&decoded).ok(),
    };
    match (request, format) {
        (Some(request), _) => ingest(request),
        (None, Format::Json) => refused(StatusCode::BAD_REQUEST, "Failed to parse JSON request"),
        (None, Format::Protobuf) => {
            refused(StatusCode::BAD_REQUEST, "Failed to parse protobuf request")
        }
    }
    .having_read(&decoded)
}

fn ingest(request: ExportProfilesServiceRequest) -> Verdict {
    let mut taken = Vec::new();
    let answer = match convert(request, &mut taken) {
        Ok(()) => {
            Answer::new(StatusCode::OK).header(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF))
        }
        Err(refusal) => {
            let text = format!("rpc error: code = InvalidArgument desc = {refusal}");
            Answer::go_error(StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
    };
    Verdict::refused(answer).taking(taken)
}

/// Why an export stops.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("missing profile metadata dictionary")]
    NoDictionary,
    #[error("missing resource profiles")]
    NoProfiles,
    #[error("failed to convert otel profile: sample type is missing")]
    NoSampleType,
    #[error("failed to convert otel profile: sample value is required")]
    NoValue,
    #[error("failed to convert otel profile: invalid stack index: {0}")]
    Stack(i32),
    #[error(
        "failed to convert otel profile: could not access type string: index {0} out of bounds"
    )]
    String(i32),
}

/// The profiles before the one that cannot be converted are stored; those after it are not.
fn convert(request: ExportProfilesServiceRequest, taken: &mut Vec<Record>) -> Result<(), Refusal> {
    let dictionary = request.dictionary.ok_or(Refusal::NoDictionary)?;
    if request.resource_profiles.is_empty() {
        return Err(Refusal::NoProfiles);
    }
    for of_resource in request.resource_profiles {
        let resource = Arc::new(of_resource.resource.unwrap_or_default());
        for of_scope in of_resource.scope_profiles {
            let scope = Arc::new(of_scope.scope.unwrap_or_default());
            for profile in of_scope.profiles {
                let sample_type = convertible(&profile, &dictionary)?;
                taken.push(Record {
                    resource: Arc::clone(&resource),
                    scope: Arc::clone(&scope),
                    telemetry: Telemetry::Profile { profile, sample_type },
                });
            }
        }
    }
    Ok(())
}

/// The profile's sample type, if the profile can be converted. A profile without samples can be converted, to nothing.
/// Only the tables of strings and stacks are checked here.
fn convertible(profile: &Profile, dictionary: &ProfilesDictionary) -> Result<String, Refusal> {
    if profile.samples.is_empty() {
        return Ok(String::new());
    }
    let sample_type = profile.sample_type.as_ref().ok_or(Refusal::NoSampleType)?;
    let string = |index: i32| {
        let found = usize::try_from(index).ok().and_then(|at| dictionary.string_table.get(at));
        found.ok_or(Refusal::String(index))
    };
    string(sample_type.unit_strindex)?;
    profile.samples.iter().try_for_each(|sample| sampled(sample, dictionary))?;
    string(sample_type.type_strindex).cloned()
}

fn sampled(sample: &Sample, dictionary: &ProfilesDictionary) -> Result<(), Refusal> {
    if sample.values.is_empty() && sample.timestamps_unix_nano.is_empty() {
        return Err(Refusal::NoValue);
    }
    let stack = usize::try_from(sample.stack_index);
    match stack.ok().and_then(|at| dictionary.stack_table.get(at)) {
        Some(_) => Ok(()),
        None => Err(Refusal::Stack(sample.stack_index)),
    }
}
