//! Tokens, and Envoy's JWT filter, which verifies them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

/// The key with which the tests' identity provider signs.
const KEY: &[u8] = b"a key of thirty-two bytes or more";

/// Envoy's JWT filter as Istio configures it: a token is optional, but must be valid if it is there, and its payload is
/// kept for the filters after it.
#[must_use]
pub fn filter() -> Value {
    let keys = json!({"keys": [{"kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(KEY)}]});
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"idp": {
                "local_jwks": {"inline_string": keys.to_string()},
                "payload_in_metadata": "payload",
                // The filter would remove the token, but the gate must do this.
                "forward": true,
            }},
            "rules": [{
                "match": {"prefix": "/"},
                "requires": {"requires_any": {"requirements": [
                    {"provider_name": "idp"},
                    {"allow_missing": {}},
                ]}},
            }],
        },
    })
}

/// A token with these claims.
pub fn signed(claims: &Value) -> String {
    let head = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": "JWT"}).to_string());
    let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}
