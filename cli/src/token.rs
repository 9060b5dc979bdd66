//! A token as Envoy's JWT filter passes it to the filters after it.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use prost::Message;
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::Value as Json;

/// Where the payload is by default: the filter that stores it, and its key.
const PAYLOAD: [&str; 2] = ["envoy.filters.http.jwt_authn", "payload"];

/// The first two keys of an attribute that names a filter's metadata; the policy's `payload` begins with them.
const ATTRIBUTE: [&str; 2] = ["metadata", "filter_metadata"];

/// `envoy.config.core.v3.Metadata`, as far as filters write it.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(map = "string, message", tag = "1")]
    filter_metadata: HashMap<String, Struct>,
}

/// The claims of a token: of a JWT in its compact form (RFC 7519), whose signature is not checked because Envoy does
/// that, or of a JSON object with the claims themselves.
///
/// # Errors
/// If the text is neither.
pub fn claims(text: &str) -> Result<Json> {
    let text = text.trim();
    let text = text.strip_prefix("Bearer ").unwrap_or(text);
    if text.starts_with('{') {
        return serde_json::from_str(text).context("the claims are not JSON");
    }
    let [_, payload, _] = text.split('.').collect::<Vec<_>>()[..] else {
        bail!("not a token: neither header.payload.signature nor a JSON object with the claims");
    };
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('='));
    let payload = payload.context("the payload of the token is not base64url (RFC 7515)")?;
    serde_json::from_slice(&payload).context("the payload of the token is not JSON")
}

/// Where a policy reads the payload of a token: the filter, and the keys below. The default is Istio's place.
#[must_use]
pub fn places(policy: &Json) -> Vec<Vec<String>> {
    let mut places = Vec::new();
    find_payloads(policy.pointer("/senders/identify").unwrap_or(&Json::Null), &mut places);
    if places.is_empty() {
        places.push(PAYLOAD.map(str::to_owned).to_vec());
    }
    places
}

fn find_payloads(sources: &Json, places: &mut Vec<Vec<String>>) {
    for source in sources.as_array().into_iter().flatten() {
        if let Some(jwt) = source.get("jwt") {
            let texts = jwt.get("payload").and_then(Json::as_array).map(|keys| {
                keys.iter().filter_map(Json::as_str).map(str::to_owned).collect::<Vec<_>>()
            });
            match texts.as_deref() {
                Some([one, two, keys @ ..]) if [one, two] == ATTRIBUTE => {
                    places.push(keys.to_vec());
                }
                _ => places.push(PAYLOAD.map(str::to_owned).to_vec()),
            }
        }
        for nested in ["allOf", "anyOf"] {
            find_payloads(source.get(nested).unwrap_or(&Json::Null), places);
        }
    }
}

/// The attribute `metadata` of a request with a token with these claims, at each of these places, as Envoy passes it to
/// a module: the encoded message. Without claims, nothing is stored.
#[must_use]
pub fn metadata(claims: Option<&Json>, places: &[Vec<String>]) -> Vec<u8> {
    let mut filter_metadata: HashMap<String, Struct> = HashMap::new();
    for place in places {
        let (Some(claims), [filter, keys @ .., last]) = (claims, &place[..]) else { continue };
        let mut fields = &mut filter_metadata.entry(filter.clone()).or_default().fields;
        for key in keys {
            let within = fields.entry(key.clone()).or_default();
            if !matches!(within.kind, Some(Kind::StructValue(_))) {
                within.kind = Some(Kind::StructValue(Struct::default()));
            }
            let Some(Kind::StructValue(within)) = &mut within.kind else { unreachable!() };
            fields = &mut within.fields;
        }
        fields.insert(last.clone(), value(claims));
    }
    Metadata { filter_metadata }.encode_to_vec()
}

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => {
            Kind::ListValue(ListValue { values: items.iter().map(value).collect() })
        }
        Json::Object(members) => {
            let fields = members.iter().map(|(name, json)| (name.clone(), value(json)));
            Kind::StructValue(Struct { fields: fields.collect() })
        }
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_in_both_forms() {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"payments"}"#);
        for text in [
            format!("e30.{payload}.c2ln"),
            format!("Bearer e30.{payload}.c2ln\n"),
            r#"{"sub":"payments"}"#.into(),
        ] {
            assert_eq!(claims(&text).unwrap()["sub"], "payments", "{text}");
        }
        for text in ["", "payments", "a.b", "e30.!!.c2ln", "e30.e30.e30.e30", "{"] {
            assert!(claims(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_payload_is_stored_where_the_policy_reads_it() {
        let own = ["metadata", "filter_metadata", "own.filter", "a", "b"];
        let policy = serde_json::json!({"senders": {"identify": [
            {"allOf": [{"clientCertificate": {}}, {"jwt": {"payload": own}}]}, {"jwt": {}},
        ]}});
        let expected = [vec!["own.filter", "a", "b"], PAYLOAD.to_vec()];
        assert_eq!(places(&policy), expected);
        let metadata = metadata(Some(&serde_json::json!({"sub": "x"})), &places(&policy));
        let metadata = Metadata::decode(&metadata[..]).unwrap().filter_metadata;
        let Some(Kind::StructValue(within)) = &metadata["own.filter"].fields["a"].kind else {
            panic!("{metadata:?}");
        };
        assert!(within.fields.contains_key("b"));
        assert!(metadata[PAYLOAD[0]].fields.contains_key(PAYLOAD[1]));
    }
}
