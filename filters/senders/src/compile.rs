//! A configuration checked to its end, and made usable.

use std::sync::Arc;

use base16ct::mixed;
use der::DateTime;
use sluice_config::{Place, SenderName, header_name};
use sluice_headers::names::{CONTENT_LENGTH, CONTENT_TYPE, SCOPE_ORG_ID, TE};

use crate::{
    allowlist::Allowlist,
    config::{self, AllowEntry, ClientCertificate, DenyEntry, Identify, SanPattern, SendersConfig},
    distinguished_name, duration,
    entries::{Conditions, Entries, Key, NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN},
    identify::{ApiKey, ApiKeys, ClaimName, Forwarded, Gate, Jwt, Proxy, Way},
    pattern::{NamePattern, SanKind},
    payload,
    sender::{IdentifiedBy, Sender, fingerprint_key, name_key, token_issuer_key},
    senders::Senders,
};

/// Where Envoy's JWT filter keeps what Istio has it keep: its own metadata, and the key there.
const PAYLOAD: [&str; 2] = ["envoy.filters.http.jwt_authn", "payload"];

/// Collects what is wrong while the rest is still compiled.
#[derive(Default)]
pub(crate) struct Compile {
    taken: Vec<String>,
    has_certificate: bool,
    stated: Stated,
    /// Whether something is wrong with the ways, so that what they state is not certain.
    ways_are_wrong: bool,
    warn_before_end: Option<u64>,
    denies_certificates: bool,
    denies_issuers: bool,
    ends: Vec<(String, DateTime)>,
    turned_round: Vec<String>,
}

/// What the names can state that the ways find.
#[derive(Default)]
struct Stated {
    /// A certificate that they stand in, and who has issued it.
    certificate: bool,
    service_account: bool,
    /// Who has issued a token.
    token: bool,
    trust_domain: bool,
}

impl SendersConfig {
    /// Checks the section, which stands at `place`, and makes it usable. `None` with every problem in it
    /// added, if there is any.
    #[must_use]
    pub fn compile(self, place: &Place<'_>) -> Option<Senders> {
        Compile::default().senders(&self, place)
    }
}

impl Compile {
    fn senders(mut self, config: &SendersConfig, place: &Place<'_>) -> Option<Senders> {
        let identify = place.at("identify");
        let ways = self.ways(&config.identify, &identify);
        self.ways_are_wrong = identify.has_problems();
        let allow = self.allow(&config.allow, &place.at("allow"));
        let deny = self.deny(&config.deny, &place.at("deny"));
        // Whom a certificate names may be denied, and whom a gate names that has one.
        self.denies_certificates |= self.stated.certificate;
        let allowlist = Allowlist {
            allow,
            deny,
            denies_certificates: self.denies_certificates,
            denies_issuers: self.denies_issuers,
        };
        let choose_by = config.choose_by.as_deref();
        let choose_by = choose_by.map(|name| self.header(name, &place.at("chooseBy")));
        if place.has_problems() {
            return None;
        }
        Some(Senders {
            way: Way::AnyOf(ways),
            allowlist,
            choose_by,
            reads_tokens: self.stated.token,
            taken: self.taken,
            warn_before_end: self.warn_before_end,
            ends: self.ends,
            turned_round: self.turned_round,
        })
    }

    fn ways(&mut self, ways: &[Identify], place: &Place<'_>) -> Vec<Way> {
        if ways.is_empty() {
            place.add("it is empty: say how a sender is recognised, with clientCertificate");
        }
        let ways = ways.iter().enumerate();
        ways.filter_map(|(index, way)| self.way(way, &place.index(index))).collect()
    }

    fn way(&mut self, way: &Identify, place: &Place<'_>) -> Option<Way> {
        let Identify { client_certificate, jwt, api_key, forwarded, all_of, any_of } = way;
        let mut ways = Vec::new();
        if let Some(certificate) = client_certificate {
            // A denied name has to be seen wherever it stands, so one certificate is read in one way.
            if self.has_certificate {
                place.add("clientCertificate is there already: put all names under the first");
            }
            self.has_certificate = true;
            self.stated.certificate = true;
            ways.push(self.certificate(certificate, &place.at("clientCertificate")));
        }
        if let Some(jwt) = jwt {
            ways.push(self.jwt(jwt, &place.at("jwt")));
        }
        if let Some(keys) = api_key {
            ways.push(self.api_keys(keys, &place.at("apiKey")));
        }
        if let Some(forwarded) = forwarded {
            ways.push(self.forwarded(forwarded, &place.at("forwarded")));
        }
        if let Some(all) = all_of {
            ways.push(Way::AllOf(self.ways(all, &place.at("allOf"))));
        }
        if let Some(any) = any_of {
            ways.push(Way::AnyOf(self.ways(any, &place.at("anyOf"))));
        }
        if ways.len() != 1 {
            let message = "exactly one of clientCertificate, jwt, apiKey, forwarded, allOf and anyOf belongs here";
            place.add(message);
        }
        ways.pop()
    }

    fn certificate(&mut self, certificate: &ClientCertificate, place: &Place<'_>) -> Way {
        let ClientCertificate { names, warn_before_end } = certificate;
        if let Some(text) = warn_before_end {
            self.warn_before_end = duration::seconds(text);
            if self.warn_before_end.is_none() {
                let message = format!("{text:?} is not a span of time: write 90s, 30m, 4h or 2d");
                place.at("warnBeforeEnd").add(message);
            }
        }
        let place = place.at("names");
        if names.is_empty() {
            place.add("it is empty: say how a SAN names a sender, as {dns: \"*.{namespace}\"}");
        }
        let mut patterns: Vec<NamePattern> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let place = place.index(index);
            if let Some(pattern) = self.san_pattern(name, &place) {
                self.check_clash(&pattern, &patterns, &place);
                self.states(&pattern);
                patterns.push(pattern);
            }
        }
        Way::ClientCertificate(patterns)
    }

    fn san_pattern(&mut self, pattern: &SanPattern, place: &Place<'_>) -> Option<NamePattern> {
        let (text, kind, key) = match pattern {
            SanPattern { dns: Some(text), uri: None } => (text, SanKind::Dns, "dns"),
            SanPattern { dns: None, uri: Some(text) } => (text, SanKind::Uri, "uri"),
            _ => {
                place.add("it must have exactly one of dns and uri");
                return None;
            }
        };
        place.at(key).take(NamePattern::compile(text, kind))
    }

    fn check_clash<'p>(
        &mut self,
        pattern: &NamePattern,
        before: impl IntoIterator<Item = &'p NamePattern>,
        place: &Place<'_>,
    ) {
        if let Some(name) = before.into_iter().find_map(|other| pattern.clash(other)) {
            let message = format!(
                "{name:?} would be one namespace by this pattern and another by one before it: make them differ \
                 in what is literal"
            );
            place.add(message);
        }
    }

    /// Takes down what names can state by a pattern.
    fn states(&mut self, pattern: &NamePattern) {
        self.stated.service_account |= pattern.has(SenderName::ServiceAccount);
        self.stated.trust_domain |= pattern.has(SenderName::TrustDomain);
    }

    fn jwt(&mut self, jwt: &config::Jwt, place: &Place<'_>) -> Way {
        self.stated.token = true;
        // A token is a secret, and nobody's but the gate's to read.
        self.take_off("authorization");
        let payload = match jwt.payload.as_deref() {
            Some([one, two, keys @ ..]) if [one, two] == payload::ATTRIBUTE && keys.len() > 1 => {
                keys.to_vec()
            }
            Some(_) => {
                let message = "it is where Envoy's JWT filter keeps a token's payload, part by part: \
                               [metadata, filter_metadata, envoy.filters.http.jwt_authn, payload], the last as \
                               payload_in_metadata has it";
                place.at("payload").add(message);
                Vec::new()
            }
            None => PAYLOAD.map(str::to_owned).to_vec(),
        };
        if payload.iter().any(String::is_empty) {
            let message = "it has an empty part: write the attribute part by part, or leave it out";
            place.at("payload").add(message);
        }
        let names_place = place.at("names");
        if jwt.names.is_empty() {
            let message = "it is empty: say how a claim names a sender, as {claim: tenant, pattern: \"{namespace}\"}";
            names_place.add(message);
        }
        let mut names: Vec<ClaimName> = Vec::new();
        for (index, name) in jwt.names.iter().enumerate() {
            let place = names_place.index(index);
            if name.claim.is_empty() || name.within.iter().any(String::is_empty) {
                place.at("claim").add("the name of a claim is not empty");
            }
            let claim: Vec<_> = name.within.iter().chain([&name.claim]).cloned().collect();
            let pattern = NamePattern::compile(&name.pattern, SanKind::Claim);
            let place = place.at("pattern");
            if let Some(pattern) = place.take(pattern) {
                let same = names.iter().filter(|name| name.path == claim);
                self.check_clash(&pattern, same.map(|name| &name.pattern), &place);
                self.states(&pattern);
                names.push(ClaimName { path: claim, pattern });
            }
        }
        Way::Jwt(Jwt { payload, names, tenant: None })
    }

    fn api_keys(&mut self, config: &config::ApiKeys, place: &Place<'_>) -> Way {
        let header = self.header(&config.header, &place.at("header"));
        let from_place = place.at("from");
        if config.from.is_empty() {
            let message =
                "it is empty, so anybody could try keys: name the API gateway's certificate";
            from_place.add(message);
        }
        let mut from = Vec::new();
        for (index, proxy) in config.from.iter().enumerate() {
            from.extend(self.proxy(proxy, &from_place.index(index)));
        }
        let keys_place = place.at("keys");
        if config.keys.is_empty() {
            keys_place.add("it is empty: name at least one key, or leave apiKey out");
        }
        let mut keys: Vec<ApiKey> = Vec::new();
        for (index, key) in config.keys.iter().enumerate() {
            let place = keys_place.index(index);
            let sha256 = self.sha256(&key.sha256, &place.at("sha256"));
            if sha256.is_some_and(|sha256| keys.iter().any(|known| known.sha256 == sha256)) {
                place.at("sha256").add("this key is there already");
            }
            let namespace = NAMESPACE.parse(&key.namespace);
            let namespace = place.at("namespace").take(namespace);
            let account = key.service_account.as_deref().map(|name| SERVICE_ACCOUNT.parse(name));
            let account = account.and_then(|account| place.at("serviceAccount").take(account));
            self.stated.service_account |= account.is_some();
            let until = self.date(key.until.as_deref(), &place, "until");
            if let (Some(sha256), Some(namespace)) = (sha256, namespace) {
                let sender = Sender {
                    service_account: account.map(String::from),
                    ..Sender::of(namespace, IdentifiedBy::API_KEY)
                };
                keys.push(ApiKey { sha256, sender, until });
            }
        }
        Way::ApiKeys(ApiKeys { header, from, keys })
    }

    fn forwarded(&mut self, config: &config::Forwarded, place: &Place<'_>) -> Way {
        let header = config.header.as_deref().unwrap_or(SCOPE_ORG_ID);
        let header = self.header(header, &place.at("header"));
        let place = place.at("from");
        self.stated.certificate = true;
        if config.from.is_empty() {
            place.add("it is empty: name the certificate of a gate, or leave forwarded out");
        }
        let mut from = Vec::new();
        for (index, gate) in config.from.iter().enumerate() {
            let place = place.index(index);
            let config::Gate { dns, uri, fingerprint, namespaces } = gate;
            let proxy = config::Proxy {
                dns: dns.clone(),
                uri: uri.clone(),
                fingerprint: fingerprint.clone(),
            };
            let certificate = self.proxy(&proxy, &place);
            let place = place.at("namespaces");
            if namespaces.is_empty() {
                place.add("it is empty: name the namespaces for which this gate may speak");
            }
            let mut globs = Vec::new();
            for (index, name) in namespaces.iter().enumerate() {
                let glob = NAMESPACE.glob(name);
                globs.extend(place.index(index).take(glob));
            }
            let namespaces = globs;
            from.extend(certificate.map(|certificate| Gate { certificate, namespaces }));
        }
        Way::Forwarded(Forwarded { header, from })
    }

    fn proxy(&mut self, proxy: &config::Proxy, place: &Place<'_>) -> Option<Proxy> {
        let config::Proxy { dns, uri, fingerprint } = proxy;
        match (dns, uri, fingerprint) {
            (Some(dns), None, None) if !dns.is_empty() => Some(Proxy::Dns(dns.clone())),
            (None, Some(uri), None) if !uri.is_empty() => Some(Proxy::Uri(uri.clone())),
            (None, None, Some(text)) => {
                self.fingerprint(text, &place.at("fingerprint")).map(Proxy::Fingerprint)
            }
            _ => {
                let message =
                    "it must have exactly one of dns, uri and fingerprint, and not an empty one";
                place.add(message);
                None
            }
        }
    }

    /// A header's name in lower case, which from now on ends at the gate.
    fn header(&mut self, name: &str, place: &Place<'_>) -> String {
        let name = match header_name(name) {
            Ok(name) => {
                if matches!(name.as_str(), "host" | CONTENT_TYPE | CONTENT_LENGTH | TE) {
                    place.add(format!("{name:?} has a meaning of its own: name another header"));
                }
                name
            }
            Err(error) => {
                place.add(error);
                String::new()
            }
        };
        self.take_off(&name);
        name
    }

    /// Has a header end at the gate.
    fn take_off(&mut self, name: &str) {
        if !self.taken.iter().any(|taken| taken == name) {
            self.taken.push(name.to_owned());
        }
    }

    fn allow(&mut self, entries: &[AllowEntry], place: &Place<'_>) -> Entries {
        if entries.is_empty() {
            place.add("it is empty, so nobody could send: name at least one namespace");
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
            let (from, until) = (
                self.date(from.as_deref(), &place, "from"),
                self.date(until.as_deref(), &place, "until"),
            );
            if let (Some(begin), Some(end)) = (from, until)
                && end <= begin
            {
                place.at("until").add("it is not after from, so nobody is let in");
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
        let DenyEntry { namespace, trust_domain, service_account, issuer, fingerprint } = names;
        let glob = namespace.as_deref().map(|namespace| {
            let glob = NAMESPACE.glob(namespace);
            place.at("namespace").take(glob)
        });
        let conditions = Conditions {
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
                .and_then(|text| self.fingerprint(text, &place.at("fingerprint"))),
            from,
            until,
        };
        let certificate = match &conditions.fingerprint {
            Some(fingerprint) => vec![Arc::clone(fingerprint)],
            None => conditions.issuer.clone().unwrap_or_default(),
        };
        let names_none = issuer.is_none() && fingerprint.is_none();
        let keys = match glob {
            Some(glob) => glob.map(Key::Namespace).into_iter().collect(),
            None if names_none => {
                place.add("it names nobody: it needs a namespace, an issuer or a fingerprint");
                Vec::new()
            }
            None if trust_domain.is_some() || service_account.is_some() => {
                let message = "a trustDomain or a serviceAccount needs a namespace beside it";
                place.add(message);
                Vec::new()
            }
            None => {
                self.denies_certificates = true;
                certificate.into_iter().map(Key::Certificate).collect()
            }
        };
        for key in keys {
            compiled.insert(key, conditions.clone());
        }
    }

    /// What no name can state is a condition that nothing meets: what is denied so would be let in.
    fn check_stated(&mut self, names: &DenyEntry, place: &Place<'_>) {
        let Stated { certificate, service_account, token, trust_domain } = self.stated;
        let of_patterns = "is in no pattern of senders.identify";
        let of_certificates =
            "is known of senders that clientCertificate or forwarded find, and of no others";
        for (key, asked, stated, why) in [
            ("trustDomain", &names.trust_domain, trust_domain, of_patterns),
            ("serviceAccount", &names.service_account, service_account, of_patterns),
            ("fingerprint", &names.fingerprint, certificate, of_certificates),
            ("issuer", &names.issuer, certificate || token, of_certificates),
        ] {
            if asked.is_some() && !stated && !self.ways_are_wrong {
                let message = format!("no sender could meet it: {key} {why}");
                place.at(key).add(message);
            }
        }
    }

    /// The keys of an issuer: a certificate's by its name, a token's by its `iss`.
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
                if self.stated.token && !text.is_empty() && !distinguished_name::is_meant(text) => {
            }
            Err(error) => {
                let message = format!(
                    "it is not the name of an issuer: {error}. Write it as `openssl x509 -noout -issuer -nameopt RFC2253` \
                     shows it behind `issuer=`, CN=Payments CA,O=Example{}",
                    if self.stated.token { ", or as a token's iss" } else { "" }
                );
                place.add(message);
            }
        }
        if self.stated.token {
            keys.push(token_issuer_key(text));
        }
        keys
    }

    fn date(&mut self, text: Option<&str>, place: &Place<'_>, key: &str) -> Option<DateTime> {
        let text = text?;
        let date = text.parse().map_err(|_| {
            format!("{text:?} is not a date: write RFC 3339 in UTC with whole seconds, as 2027-06-30T00:00:00Z")
        });
        place.at(key).take(date)
    }

    fn fingerprint(&mut self, text: &str, place: &Place<'_>) -> Option<Arc<str>> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        self.sha256(&digits, place)?;
        Some(fingerprint_key(&digits.to_ascii_lowercase()))
    }

    fn sha256(&mut self, text: &str, place: &Place<'_>) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        if mixed::decode(text, &mut bytes).is_ok_and(|read| read.len() == 32) {
            return Some(bytes);
        }
        place.add("it is not a SHA-256: 64 hexadecimal digits, as `sha256sum` shows it");
        None
    }
}
