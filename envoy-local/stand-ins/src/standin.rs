//! The stand-ins' own HTTP interface, for people with curl and for other processes.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Backend,
    answer::{Answer, Reaction},
    store::{Record, Request, Store},
    value::attributes_json,
};

/// No path of a real backend begins with this.
pub(crate) const PREFIX: &str = "/standin/";

#[derive(Clone)]
struct Here {
    backend: Backend,
    store: Store,
}

/// The routes of one backend's interface.
pub(crate) fn router(backend: Backend, store: Store) -> Router {
    Router::new()
        .route("/standin/tenants", get(tenants))
        .route("/standin/records", get(records).delete(forget))
        .route("/standin/requests", get(requests))
        .route("/standin/answers", post(queue_answer))
        .with_state(Here { backend, store })
}

async fn tenants(State(here): State<Here>) -> Json<BTreeMap<String, usize>> {
    Json(here.store.tenants(here.backend))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    tenant: Option<String>,
}

async fn records(
    State(here): State<Here>,
    Query(wanted): Query<Wanted>,
) -> Json<BTreeMap<String, Vec<Value>>> {
    let tenants = match wanted.tenant {
        Some(tenant) => vec![tenant],
        None => here.store.tenants(here.backend).into_keys().collect(),
    };
    let records = tenants.into_iter().map(|tenant| {
        let records = here.store.records(here.backend, &tenant);
        (tenant, records.iter().map(record_json).collect())
    });
    Json(records.collect())
}

fn record_json(record: &Record) -> Value {
    json!({
        "resource": attributes_json(&record.resource.attributes),
        "scope": {
            "name": record.scope.name,
            "version": record.scope.version,
            "attributes": attributes_json(&record.scope.attributes),
        },
        "record": record.name(),
        "attributes": attributes_json(record.attributes()),
    })
}

async fn requests(State(here): State<Here>) -> Json<Vec<Value>> {
    let requests = here.store.requests(here.backend);
    Json(requests.iter().map(request_json).collect())
}

fn request_json(request: &Request) -> Value {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json!({
        "number": request.number,
        "method": request.method.as_str(),
        "path": request.path,
        "version": format!("{:?}", request.version),
        "headers": headers,
        "bytes": request.body.as_ref().map(Bytes::len),
        "decodedBytes": request.decoded.as_ref().map(Bytes::len),
        "tenant": request.tenant,
        "status": request.status.map(|status| status.as_u16()),
    })
}

async fn forget(State(here): State<Here>) -> StatusCode {
    here.store.clear_backend(here.backend);
    StatusCode::NO_CONTENT
}

/// The body of `POST /standin/answers`.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Order {
    Answer {
        status: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
        #[serde(default)]
        body_base64: String,
        #[serde(default)]
        delay_ms: u64,
    },
    Close,
    StoreAndClose,
    Hang,
}

/// Why an order was not queued.
#[derive(Debug, thiserror::Error)]
enum BadOrder {
    #[error("not an order: {0}; see envoy-local/stand-ins/README.md, \"Answers on demand\"")]
    Shape(#[from] serde_json::Error),
    #[error("status: {0} is not between 200 and 599")]
    Status(u16),
    #[error("headers.{0}: not a header that HTTP allows")]
    Header(String),
    #[error("bodyBase64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("body and bodyBase64: give one of them")]
    TwoBodies,
}

impl IntoResponse for BadOrder {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, format!("{self}\n")).into_response()
    }
}

/// The content type is ignored, so that plain `curl -d` works.
async fn queue_answer(State(here): State<Here>, body: Bytes) -> Result<StatusCode, BadOrder> {
    let order = serde_json::from_slice::<Order>(&body)?;
    let reaction = Reaction::try_from(order)?;
    here.store.answer_next(here.backend, reaction);
    Ok(StatusCode::NO_CONTENT)
}

impl TryFrom<Order> for Reaction {
    type Error = BadOrder;

    fn try_from(order: Order) -> Result<Self, BadOrder> {
        let (status, headers, body, body_base64, delay_ms) = match order {
            Order::Answer { status, headers, body, body_base64, delay_ms } => {
                (status, headers, body, body_base64, delay_ms)
            }
            Order::Close => return Ok(Self::Close),
            Order::StoreAndClose => return Ok(Self::StoreAndClose),
            Order::Hang => return Ok(Self::Hang),
        };
        let body = match (body.as_str(), body_base64.as_str()) {
            (_, "") => body.into_bytes(),
            ("", base64) => STANDARD.decode(base64)?,
            _ => return Err(BadOrder::TwoBodies),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let (Ok(header), Ok(value)) =
                (name.parse::<HeaderName>(), value.parse::<HeaderValue>())
            else {
                return Err(BadOrder::Header(name));
            };
            map.append(header, value);
        }
        Ok(Self::Answer(Answer {
            status: StatusCode::from_u16(status)
                .ok()
                .filter(|_| (200..600).contains(&status))
                .ok_or(BadOrder::Status(status))?,
            headers: map,
            body: body.into(),
            trailers: Vec::new(),
            delay: Duration::from_millis(delay_ms),
        }))
    }
}
