//! Checks the `senders` section completely and compiles it.

use std::sync::Arc;

use der::DateTime;
use sluice_config::Place;

use crate::{
    allowlist::Allowlist,
    config::{AllowEntry, DenyEntry, SendersConfig},
    distinguished_name,
    entries::{Conditions, Entries, Key, NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN},
    identify::{Facts, IdentifyConfig, IdentitySource},
    identity::{name_key, token_issuer_key},
    senders::Senders,
    values::{parse_date, parse_fingerprint},
};

impl SendersConfig {
    /// Checks the section at `place` and compiles it. Returns `None` if there is any problem, after adding all
    /// problems.
    #[must_use]
    pub fn compile(self, place: &Place<'_>) -> Option<Senders> {
        let mut facts = Facts::default();
        let identify = place.at("identify");
        let sources = IdentifyConfig::compile_list(&self.identify, &identify, &mut facts);
        let mut lists = Lists {
            facts: &facts,
            sources_are_wrong: identify.has_problems(),
            denies_certificates: false,
            denies_issuers: false,
            ends: Vec::new(),
            turned_round: Vec::new(),
        };
        let allow = lists.allow(&self.allow, &place.at("allow"));
        let deny = lists.deny(&self.deny, &place.at("deny"));
        let Lists { denies_certificates, denies_issuers, ends, turned_round, .. } = lists;
        let allowlist = Allowlist {
            allow,
            deny,
            // With such a source, the names in a certificate can be denied, or those that a
            // forwarding gate names with its own certificate.
            denies_certificates: denies_certificates || facts.states_certificate,
            denies_issuers,
        };
        let choose_by = self.choose_by.as_deref();
        let choose_by = choose_by.map(|name| facts.take_header(name, &place.at("chooseBy")));
        if place.has_problems() {
            return None;
        }
        Some(Senders {
            source: IdentitySource::AnyOf(sources),
            allowlist,
            choose_by,
            reads_tokens: facts.states_token,
            headers_taken: facts.headers_taken,
            warn_before_end: facts.warn_before_end,
            ends,
            turned_round,
        })
    }
}

/// The allow and deny lists, and what is collected while they are compiled.
struct Lists<'f> {
    facts: &'f Facts,
    /// Whether the sources have problems, so that it is not certain what they can state.
    sources_are_wrong: bool,
    denies_certificates: bool,
    denies_issuers: bool,
    /// The place of each `until`, and its time.
    ends: Vec<(String, DateTime)>,
    /// The places of issuer names that seem to be in reverse order.
    turned_round: Vec<String>,
}

impl Lists<'_> {
    fn allow(&mut self, entries: &[AllowEntry], place: &Place<'_>) -> Entries {
        if entries.is_empty() {
            place.add("empty list: add at least one namespace, or nobody could send");
        }
        let mut compiled = Entries::default();
        for (index, entry) in entries.iter().enumerate() {
            let place = place.index(index);
            let AllowEntry {
                namespace,
                trust_domain,
                service_account,
                issuer,
                fingerprint,
                from,
                until,
            } = entry;
            let moment =
                |key, text: &Option<String>| place.at(key).take(parse_date(text.as_deref()?));
            let (from, until) = (moment("from", from), moment("until", until));
            if let (Some(begin), Some(end)) = (from, until)
                && end <= begin
            {
                place.at("until").add("until must be later than from, or the entry allows nobody");
            }
            self.ends.extend(until.map(|until| (place.at("until").path().to_owned(), until)));
            let names = DenyEntry {
                namespace: Some(namespace.clone()),
                trust_domain: trust_domain.clone(),
                service_account: service_account.clone(),
                issuer: issuer.clone(),
                fingerprint: fingerprint.clone(),
            };
            self.entry(&names, (from, until), &place, &mut compiled);
        }
        compiled
    }

    fn deny(&mut self, entries: &[DenyEntry], place: &Place<'_>) -> Entries {
        let mut compiled = Entries::default();
        for (index, entry) in entries.iter().enumerate() {
            let place = place.index(index);
            self.denies_issuers |= entry.issuer.is_some();
            if entry.namespace.is_some() {
                self.check_stated(entry, &place);
            }
            self.entry(entry, (None, None), &place, &mut compiled);
        }
        compiled
    }

    fn entry(
        &mut self,
        names: &DenyEntry,
        (from, until): (Option<DateTime>, Option<DateTime>),
        place: &Place<'_>,
        compiled: &mut Entries,
    ) {
        let namespace = names.namespace.as_deref();
        let namespace = namespace.map(|text| place.at("namespace").take(NAMESPACE.glob(text)));
        let conditions = self.conditions(names, (from, until), place);
        let keys = match namespace {
            Some(namespace) => namespace.map(Key::Namespace).into_iter().collect(),
            None => self.certificate_keys(names, &conditions, place),
        };
        for key in keys {
            compiled.insert(key, conditions.clone());
        }
    }

    fn conditions(
        &mut self,
        names: &DenyEntry,
        (from, until): (Option<DateTime>, Option<DateTime>),
        place: &Place<'_>,
    ) -> Conditions {
        let DenyEntry { trust_domain, service_account, issuer, fingerprint, .. } = names;
        Conditions {
            trust_domain: trust_domain
                .as_deref()
                .and_then(|text| place.at("trustDomain").take(TRUST_DOMAIN.parse(text))),
            service_account: service_account.as_deref().and_then(|text| {
                let glob = SERVICE_ACCOUNT.glob(text);
                place.at("serviceAccount").take(glob)
            }),
            issuer: issuer.as_deref().map(|text| self.issuer(text, &place.at("issuer"))),
            fingerprint: fingerprint
                .as_deref()
                .and_then(|text| place.at("fingerprint").take(parse_fingerprint(text))),
            from,
            until,
        }
    }

    /// What an entry without a namespace is found by: what it states of a certificate.
    fn certificate_keys(
        &mut self,
        names: &DenyEntry,
        conditions: &Conditions,
        place: &Place<'_>,
    ) -> Vec<Key> {
        let DenyEntry { trust_domain, service_account, issuer, fingerprint, .. } = names;
        if issuer.is_none() && fingerprint.is_none() {
            place.add("the entry denies nobody: add a namespace, an issuer or a fingerprint");
            return Vec::new();
        }
        if trust_domain.is_some() || service_account.is_some() {
            place.add(
                "trustDomain and serviceAccount only apply together with a namespace: add one",
            );
            return Vec::new();
        }
        self.denies_certificates = true;
        let certificate = match &conditions.fingerprint {
            Some(fingerprint) => vec![Arc::clone(fingerprint)],
            None => conditions.issuer.clone().unwrap_or_default(),
        };
        certificate.into_iter().map(Key::Certificate).collect()
    }

    /// Adds a problem for a condition that no name can state. Nothing would ever match such a deny
    /// entry, so it would deny nothing.
    fn check_stated(&mut self, names: &DenyEntry, place: &Place<'_>) {
        let &Facts {
            states_certificate: certificate,
            states_service_account: service_account,
            states_token: token,
            states_trust_domain: trust_domain,
            ..
        } = self.facts;
        let of_patterns = "is in no pattern of senders.identify";
        let of_certificates =
            "is known only for senders that clientCertificate or forwarded identify";
        for (key, asked, stated, why) in [
            ("trustDomain", &names.trust_domain, trust_domain, of_patterns),
            ("serviceAccount", &names.service_account, service_account, of_patterns),
            ("fingerprint", &names.fingerprint, certificate, of_certificates),
            ("issuer", &names.issuer, certificate || token, of_certificates),
        ] {
            if asked.is_some() && !stated && !self.sources_are_wrong {
                let message = format!("no sender can match this entry: {key} {why}");
                place.at(key).add(message);
            }
        }
    }

    /// The lookup keys of an issuer: as a certificate's issuer by its name, as a token's by its
    /// `iss`.
    fn issuer(&mut self, text: &str, place: &Place<'_>) -> Vec<Arc<str>> {
        let mut keys = Vec::new();
        match distinguished_name::written(text) {
            Ok(name) => {
                if distinguished_name::is_turned_round(text) {
                    self.turned_round.push(place.path().to_owned());
                }
                keys.push(name_key(&name));
            }
            Err(_)
                if self.facts.states_token
                    && !text.is_empty()
                    && !distinguished_name::is_meant(text) => {}
            Err(error) => {
                let message = format!(
                    "not an RFC 4514 name: {error}. Write it as `openssl x509 -noout -issuer \
                     -nameopt RFC2253` prints it after `issuer=`, such as CN=Payments \
                     CA,O=Example{}",
                    if self.facts.states_token { ", or as the iss claim of a token" } else { "" }
                );
                place.add(message);
            }
        }
        if self.facts.states_token {
            keys.push(token_issuer_key(text));
        }
        keys
    }
}
