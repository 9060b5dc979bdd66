//! Compares an outcome with its case.

use anyhow::{Context, Result, ensure};
use sluice_encodings::{Encoding, EncodingHeader, decode, grpc};
use sluice_prompb::{Message, WriteRequest};

use crate::{
    case::{Case, Forwarded, ForwardedBody, Protocol},
    outcome::{self, Outcome},
    series, telemetry,
    wire::WireRequest,
};

/// Returns every difference between an outcome and what its case expects.
#[must_use]
pub fn differences(case: &Case, request: &WireRequest, outcome: &Outcome) -> Vec<String> {
    let mut found = Vec::new();
    reply(case, request, outcome, &mut found);
    match (&case.expect.forwarded, &outcome.forwarded) {
        (None, None) => {}
        (None, Some(_)) => found.push("the backend got a request".to_owned()),
        (Some(_), None) => found.push("the backend got nothing".to_owned()),
        (Some(expected), Some(got)) => {
            if let Err(error) = forwarded(case, expected, got, request, &mut found) {
                found.push(format!("what the backend got cannot be read: {error:#}"));
            }
        }
    }
    if case.expect.counts != outcome.counts {
        found.push(format!("counted {:?}, not {:?}", outcome.counts, case.expect.counts));
    }
    found
}

fn reply(case: &Case, request: &WireRequest, outcome: &Outcome, found: &mut Vec<String>) {
    let (expected, got) = (&case.expect.reply, &outcome.reply);
    let status = match request.protocol {
        Protocol::Grpc => expected.grpc,
        _ => expected.http.into(),
    };
    if status != got.status {
        found.push(format!("status {}, not {status}: {:?}", got.status, got.message));
    }
    if got.content_type.as_deref().is_some_and(|got| {
        // Checked when it is read.
        request.protocol != Protocol::Write && got != request.protocol.format().content_type()
    }) {
        found.push(format!("the reply's content type is {:?}", got.content_type));
    }
    if let Some(code) = got.code.filter(|code| *code != expected.grpc) {
        found.push(format!("code {code} in the Status, not {}", expected.grpc));
    }
    // Only a refusal by the gate itself of invalid data names the field.
    let bad_data = case.expect.forwarded.is_none()
        && match request.protocol {
            Protocol::Grpc => expected.grpc == 3,
            Protocol::Http | Protocol::Json => expected.http == 400,
            // The errors of remote write are plain text.
            Protocol::Write => false,
        };
    match &expected.fields {
        Some(fields) if *fields != got.fields => {
            found.push(format!("the fields are {:?}, not {fields:?}", got.fields));
        }
        None if bad_data == got.fields.is_empty() => {
            found.push(format!("the fields are {:?}", got.fields));
        }
        _ => {}
    }
    for text in &expected.says {
        if !got.message.contains(text) {
            found.push(format!("the message is {:?}, without {text:?}", got.message));
        }
    }
    if expected.says.is_empty() && !got.message.is_empty() {
        found.push(format!("the message is {:?}, and none is expected", got.message));
    }
    if expected.rejected != got.rejected {
        found.push(format!("rejected {:?}, not {:?}", got.rejected, expected.rejected));
    }
    if expected.retry_after != got.retry_after {
        found.push(format!("retry after {:?}, not {:?}", got.retry_after, expected.retry_after));
    }
}

fn forwarded(
    case: &Case,
    expected: &Forwarded,
    got: &outcome::Forwarded,
    request: &WireRequest,
    found: &mut Vec<String>,
) -> Result<()> {
    let header = |name: &str| outcome::text(&got.headers, name);
    let mut equal = |name: &str, expected: Option<&str>| {
        let values: Vec<_> = got.headers.iter().filter(|(key, _)| key == name).collect();
        let value = header(name);
        if value.as_deref() != expected || values.len() > 1 {
            let copies = values.len();
            found
                .push(format!("the backend got {name} {value:?} {copies} times, not {expected:?}"));
        }
    };
    equal("x-sluice-backend", expected.to.as_deref());
    let framed = matches!(expected.body, ForwardedBody::Framed | ForwardedBody::FramedEntries(_));
    let content_type =
        if framed { "application/grpc" } else { request.protocol.format().content_type() };
    equal("content-type", Some(content_type));
    if let Some(path) = &expected.path {
        equal(":path", Some(path));
    }
    for (name, value) in &expected.headers {
        equal(name, value.as_deref());
    }
    let mut same = |sent: &[u8]| {
        if got.body != sent {
            let (sent, got) = (sent.len(), got.body.len());
            found.push(format!("the backend got {got} bytes, not the {sent} that were sent"));
        }
    };
    match &expected.body {
        ForwardedBody::Same => same(&request.payload),
        ForwardedBody::Framed => same(&request.body),
        ForwardedBody::FramedEntries(entries) => {
            let frame = grpc::read(&got.body)?;
            ensure!(!frame.compressed, "the message is compressed");
            let format = request.protocol.format();
            let describe = |message: &[u8]| telemetry::describe(request.signal, format, message);
            let expected = describe(&case.request.export(entries).encode(format)?)?;
            let got = describe(frame.message)?;
            if got != expected {
                found.push(format!("the backend got {got}\nnot {expected}"));
            }
        }
        ForwardedBody::Series(entries) => {
            ensure!(header("content-encoding").as_deref() == Some("snappy"), "it is not in snappy");
            let message = decode(Encoding::SnappyRaw, &got.body, 1 << 30)?;
            let (got, expected) = (WriteRequest::decode(&message[..])?, series::request(entries)?);
            if got != expected {
                found.push(format!("the backend got {got:?}\nnot {expected:?}"));
            }
        }
        ForwardedBody::Raw(raw) => {
            let (got, raw) = (decoded(&got.body, header("content-encoding"))?, raw.bytes()?);
            if got != raw {
                let (got, raw) = (String::from_utf8_lossy(&got), String::from_utf8_lossy(&raw));
                found.push(format!("the backend got {got:?}\nnot {raw:?}"));
            }
        }
        ForwardedBody::Entries(entries) => {
            let message = decoded(&got.body, header("content-encoding"))?;
            let format = request.protocol.format();
            let describe = |message: &[u8]| telemetry::describe(request.signal, format, message);
            let expected = describe(&case.request.export(entries).encode(format)?)?;
            let got = describe(&message)?;
            if got != expected {
                found.push(format!("the backend got {got}\nnot {expected}"));
            }
        }
    }
    Ok(())
}

fn decoded(body: &[u8], encoding: Option<impl AsRef<str>>) -> Result<Vec<u8>> {
    let encoding = encoding.as_ref().map_or("", |encoding| encoding.as_ref());
    let encoding = EncodingHeader::Content.read(encoding.as_bytes());
    Ok(decode(encoding.context("an unknown content encoding")?, body, 1 << 30)?)
}
