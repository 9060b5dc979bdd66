//! `sluice explain cert`: what a policy makes of a certificate.

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value as Json, json};
use sluice_senders::{Certificate, Identity, SanReading, Senders, Standing};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{policy::Policy, simulate};

/// What a policy makes of a certificate, as `--json` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// When it begins to be valid (RFC 3339).
    pub not_before: String,
    /// When it ends.
    pub not_after: String,
    /// Whether it is valid at the time that is asked about.
    pub is_valid: bool,
    /// How many whole days it is still valid.
    pub days_left: u64,
    /// Every SAN.
    pub sans: Vec<SanShown>,
    /// The namespaces under which it lets its holder in by itself. With several, the sender is ambiguous.
    pub namespaces: Vec<String>,
}

/// A SAN.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SanShown {
    /// As OpenSSL writes it: `DNS:*.payments`.
    pub san: String,
    /// What each pattern makes of it.
    pub patterns: Vec<PatternShown>,
}

/// What a pattern makes of a SAN.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PatternShown {
    /// The path of the pattern.
    pub path: String,
    /// The pattern.
    pub pattern: String,
    /// The identity that the SAN states by it; `None` if the pattern does not match.
    pub identity: Option<IdentityShown>,
}

/// An identity, and what the lists say about it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityShown {
    /// The namespace.
    pub namespace: String,
    /// The service account, if the SAN states one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// The trust domain, if the SAN states one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
    /// What both lists say together: `allowed`, `denied`, `expired`, `notYet` or `unlisted`.
    pub standing: &'static str,
    /// The entries that are about this namespace, and what each says.
    pub entries: Vec<EntryShown>,
}

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryShown {
    /// Its path.
    pub path: String,
    /// The entry.
    pub entry: Json,
    /// What it says: `lets in`, `denies`, `has expired`, `is not valid yet` or `asks for more`.
    pub says: &'static str,
}

/// Explains a certificate in PEM, at `now` in seconds since the epoch.
///
/// # Errors
/// If it cannot be read, or the policy has no `senders`.
pub fn explain(policy: &Policy, pem: &str, now: u64) -> Result<Explanation> {
    let certificate = Certificate::from_pem(pem.as_bytes()).context("the certificate")?;
    let senders = simulate::senders(&policy.json).with_context(|| {
        format!("{}: there is no senders section, so everybody may send", policy.name)
    })?;
    let patterns = patterns(&policy.json["senders"]["identify"], "senders.identify");
    let sans: Vec<SanShown> = senders
        .readings(&certificate)
        .into_iter()
        .map(|SanReading { san, by_pattern }| {
            let shown = patterns.iter().zip(by_pattern).map(|((path, pattern), identity)| {
                let identity = identity.map(|identity| shown(&senders, policy, &identity, now));
                PatternShown { path: path.clone(), pattern: pattern.clone(), identity }
            });
            SanShown { san: san.to_string(), patterns: shown.collect() }
        })
        .collect();
    let identities =
        sans.iter().flat_map(|san| &san.patterns).filter_map(|it| it.identity.as_ref());
    let mut namespaces: Vec<String> = Vec::new();
    // A denied name keeps the whole certificate out.
    let is_denied = identities.clone().any(|identity| identity.standing == "denied");
    for identity in identities.filter(|identity| identity.standing == "allowed" && !is_denied) {
        if !namespaces.contains(&identity.namespace) {
            namespaces.push(identity.namespace.clone());
        }
    }
    Ok(Explanation {
        sha256: certificate.sha256().to_owned(),
        not_before: date(certificate.not_before()),
        not_after: date(certificate.not_after()),
        is_valid: (certificate.not_before()..=certificate.not_after()).contains(&now),
        days_left: certificate.not_after().saturating_sub(now) / (24 * 60 * 60),
        sans,
        namespaces,
    })
}

/// Seconds since the epoch as RFC 3339.
fn date(seconds: u64) -> String {
    let time =
        i64::try_from(seconds).ok().and_then(|it| OffsetDateTime::from_unix_timestamp(it).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| format!("{seconds} s"))
}

/// The patterns for certificates, with their paths, in the order in which the gate reads them.
fn patterns(sources: &Json, path: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (index, source) in sources.as_array().into_iter().flatten().enumerate() {
        let path = format!("{path}[{index}]");
        let names = source.pointer("/clientCertificate/names").and_then(Json::as_array);
        for (index, name) in names.into_iter().flatten().enumerate() {
            let texts = ["dns", "uri"].into_iter().filter_map(|kind| Some((kind, name.get(kind)?)));
            found.extend(texts.filter_map(|(kind, text)| {
                let path = format!("{path}.clientCertificate.names[{index}].{kind}");
                Some((path, text.as_str()?.to_owned()))
            }));
        }
        for nested in ["allOf", "anyOf"] {
            if let Some(sources) = source.get(nested) {
                found.extend(patterns(sources, &format!("{path}.{nested}")));
            }
        }
    }
    found
}

fn shown(senders: &Senders, policy: &Policy, identity: &Identity, now: u64) -> IdentityShown {
    let mut entries = Vec::new();
    for list in ["allow", "deny"] {
        let all = policy.json["senders"][list].as_array();
        for (index, entry) in all.into_iter().flatten().enumerate() {
            let path = format!("senders.{list}[{index}]");
            if let Some(says) = says(policy, list, entry, identity, now) {
                entries.push(EntryShown { path, entry: entry.clone(), says });
            }
        }
    }
    IdentityShown {
        namespace: identity.namespace().to_owned(),
        service_account: identity.service_account().map(str::to_owned),
        trust_domain: identity.trust_domain().map(str::to_owned),
        standing: match senders.standing(identity, now) {
            Standing::Allowed => "allowed",
            Standing::Denied => "denied",
            Standing::Expired => "expired",
            Standing::NotYet => "notYet",
            Standing::Unlisted => "unlisted",
        },
        entries,
    }
}

/// What one entry says about an identity; `None` if it is about others. The gate is asked, with this entry alone.
fn says(
    policy: &Policy,
    list: &str,
    entry: &Json,
    identity: &Identity,
    now: u64,
) -> Option<&'static str> {
    let standing = |entry: &Json| {
        let mut alone = policy.json["senders"].clone();
        alone["deny"] = json!([]);
        // There must be an entry in `allow`; with this one in `deny`, it does not matter which.
        alone[list] = json!([entry]);
        Some(simulate::senders(&json!({ "senders": alone }))?.standing(identity, now))
    };
    match standing(entry)? {
        Standing::Denied => Some("denies"),
        Standing::Allowed if list == "allow" => Some("lets in"),
        Standing::Expired if list == "allow" => Some("has expired"),
        Standing::NotYet if list == "allow" => Some("is not valid yet"),
        // Is it about this namespace, and asks for a service account or an issuer that the SAN lacks?
        _ => {
            let namespace = json!({ "namespace": entry.get("namespace")? });
            let is_near = match standing(&namespace)? {
                Standing::Denied => true,
                Standing::Unlisted => false,
                Standing::Allowed | Standing::Expired | Standing::NotYet => list == "allow",
            };
            is_near.then_some("asks for more")
        }
    }
}
