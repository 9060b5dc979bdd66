//! Mimir's rules for Prometheus remote write, `POST /api/v1/push` (grafana/mimir, pkg/distributor/push.go
//! and validate.go).

use std::sync::Arc;

use http::StatusCode;
use sluice_prompb::{Message, TimeSeries, WriteRequest};

use super::BODY_LIMIT;
use crate::{
    answer::Answer,
    encoding::{self, Coding},
    push::{Body, Push, Verdict},
    store::{Record, Telemetry},
};

pub(super) const PATH: &str = "/api/v1/push";

/// Handles a write request whose tenant is known. The body is snappy, whatever its headers say, and the message is that
/// of version 1.0 unless the content type names another.
pub(super) fn accept(push: &Push) -> Verdict {
    let refuse = |status, text: String| Verdict::refused(Answer::go_error(status, &text));
    let content_type = String::from_utf8_lossy(push.header("content-type")).into_owned();
    let named =
        content_type.split(';').skip(1).find_map(|parameter| parameter.strip_prefix("proto="));
    if let Some(named) = named.filter(|named| *named != "prometheus.WriteRequest") {
        let text = format!("{named} protobuf message is not accepted by this server");
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    let too_large = || format!("the push request is larger than the limit of {BODY_LIMIT} bytes");
    let Body::Whole(body) = &push.body else {
        return refuse(StatusCode::BAD_REQUEST, too_large());
    };
    let decoded = match encoding::inflate(body, Coding::Snappy, BODY_LIMIT) {
        Ok(decoded) => decoded,
        Err(broken) => return refuse(StatusCode::BAD_REQUEST, broken.to_string()),
    };
    match WriteRequest::decode(decoded.clone()) {
        Ok(request) => ingest(request),
        Err(broken) => refuse(StatusCode::BAD_REQUEST, broken.to_string()),
    }
    .having_read(&decoded)
}

/// Stores the valid series. An invalid one gives a 400, but the others are stored.
fn ingest(request: WriteRequest) -> Verdict {
    let mut taken = Vec::new();
    let mut refusal = None;
    for series in request.timeseries {
        match invalid(&series) {
            Some(why) => refusal = refusal.or(Some(why)),
            None => taken.push(Record {
                resource: Arc::default(),
                scope: Arc::default(),
                telemetry: Telemetry::Series(series),
            }),
        }
    }
    let answer = match refusal {
        None => Answer::new(StatusCode::OK),
        Some(why) => Answer::go_error(StatusCode::BAD_REQUEST, &why),
    };
    Verdict::refused(answer).taking(taken)
}

fn invalid(series: &TimeSeries) -> Option<String> {
    if series.label("__name__").is_none_or(str::is_empty) {
        return Some(
            "received series has no metric name (err-mimir-missing-metric-name)".to_owned(),
        );
    }
    let mut names: Vec<_> = series.labels.iter().map(|label| &label.name).collect();
    names.sort();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| {
        let name = pair[0];
        format!("received a series with duplicate label name, label: '{name}' (err-mimir-duplicate-label-names)")
    })
}
