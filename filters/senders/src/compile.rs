//! A configuration checked to its end, and made usable.

use std::sync::Arc;

use base16ct::mixed;
use der::DateTime;
use sluice_headers::names::{CONTENT_LENGTH, CONTENT_TYPE, SCOPE_ORG_ID, TE};

use crate::{
    allowlist::Allowlist,
    config::{
        self, AllowEntry, ClientCertificate, DenyEntry, Identify, SanPattern, SendersConfig, Xfcc,
    },
    distinguished_name, duration,
    entries::{Conditions, Entries, Key, NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN},
    identify::{ApiKey, ApiKeys, ClaimName, Forwarded, Gate, Jwt, Proxy, Way},
    name::NameGlob,
    pattern::{NamePattern, Placeholder, SanKind},
    payload,
    problem::ConfigProblem,
    sender::{IdentifiedBy, Sender, fingerprint_key, name_key, token_issuer_key},
    senders::Senders,
};

/// Where Envoy's JWT filter keeps what Istio has it keep: its own metadata, and the key there.
const PAYLOAD: [&str; 2] = ["envoy.filters.http.jwt_authn", "payload"];

/// Collects what is wrong while the rest is still compiled.
#[derive(Default)]
pub(crate) struct Compile {
    found: Vec<ConfigProblem>,
    taken: Vec<String>,
    has_certificate: bool,
    stated: Stated,
    /// Whether something is wrong with the ways, so that what they state is not certain.
    ways_are_wrong: bool,
    xfcc_sans: bool,
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

impl Compile {
    pub(crate) fn senders(
        mut self,
        config: &SendersConfig,
        path: &str,
    ) -> Result<Senders, Vec<ConfigProblem>> {
        let ways = self.ways(&config.identify, &format!("{path}.identify"));
        self.ways_are_wrong = !self.found.is_empty();
        let allow = self.allow(&config.allow, &format!("{path}.allow"));
        let deny = self.deny(&config.deny, &format!("{path}.deny"));
        // Whom a certificate names may be denied, and whom a gate names that has one.
        self.denies_certificates |= self.stated.certificate;
        let allowlist = Allowlist {
            allow,
            deny,
            denies_certificates: self.denies_certificates,
            denies_issuers: self.denies_issuers,
        };
        let choose_by = config.choose_by.as_deref();
        let choose_by = choose_by.map(|name| self.header(name, &format!("{path}.chooseBy")));
        if !self.found.is_empty() {
            return Err(self.found);
        }
        Ok(Senders {
            way: Way::AnyOf(ways),
            allowlist,
            choose_by,
            reads_tokens: self.stated.token,
            taken: self.taken,
            xfcc_sans: self.xfcc_sans,
            warn_before_end: self.warn_before_end,
            ends: self.ends,
            turned_round: self.turned_round,
        })
    }

    fn ways(&mut self, ways: &[Identify], path: &str) -> Vec<Way> {
        if ways.is_empty() {
            self.add(path, "it is empty: say how a sender is recognised, with clientCertificate");
        }
        let ways = ways.iter().enumerate();
        ways.filter_map(|(index, way)| self.way(way, &format!("{path}[{index}]"))).collect()
    }

    fn way(&mut self, way: &Identify, path: &str) -> Option<Way> {
        let Identify { client_certificate, jwt, api_key, forwarded, all_of, any_of } = way;
        let mut ways = Vec::new();
        if let Some(certificate) = client_certificate {
            // A denied name has to be seen wherever it stands, so one certificate is read in one way.
            if self.has_certificate {
                self.add(path, "clientCertificate is there already: put all names under the first");
            }
            self.has_certificate = true;
            self.stated.certificate = true;
            ways.push(self.certificate(certificate, &format!("{path}.clientCertificate")));
        }
        if let Some(jwt) = jwt {
            ways.push(self.jwt(jwt, &format!("{path}.jwt")));
        }
        if let Some(keys) = api_key {
            ways.push(self.api_keys(keys, &format!("{path}.apiKey")));
        }
        if let Some(forwarded) = forwarded {
            ways.push(self.forwarded(forwarded, &format!("{path}.forwarded")));
        }
        if let Some(all) = all_of {
            ways.push(Way::AllOf(self.ways(all, &format!("{path}.allOf"))));
        }
        if let Some(any) = any_of {
            ways.push(Way::AnyOf(self.ways(any, &format!("{path}.anyOf"))));
        }
        if ways.len() != 1 {
            let message = "exactly one of clientCertificate, jwt, apiKey, forwarded, allOf and anyOf belongs here";
            self.add(path, message);
        }
        ways.pop()
    }

    fn certificate(&mut self, certificate: &ClientCertificate, path: &str) -> Way {
        let ClientCertificate { names, xfcc, warn_before_end } = certificate;
        self.xfcc_sans = *xfcc == Xfcc::Sans;
        if let Some(text) = warn_before_end {
            self.warn_before_end = duration::seconds(text);
            if self.warn_before_end.is_none() {
                let message = format!("{text:?} is not a span of time: write 90s, 30m, 4h or 2d");
                self.add(&format!("{path}.warnBeforeEnd"), message);
            }
        }
        let path = format!("{path}.names");
        if names.is_empty() {
            self.add(
                &path,
                "it is empty: say how a SAN names a sender, as {dns: \"*.{namespace}\"}",
            );
        }
        let mut patterns: Vec<NamePattern> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Some(pattern) = self.san_pattern(name, &path) {
                self.check_clash(&pattern, &patterns, &path);
                self.states(&pattern);
                patterns.push(pattern);
            }
        }
        Way::ClientCertificate(patterns)
    }

    fn san_pattern(&mut self, pattern: &SanPattern, path: &str) -> Option<NamePattern> {
        let (text, kind, key) = match pattern {
            SanPattern { dns: Some(text), uri: None } => (text, SanKind::Dns, "dns"),
            SanPattern { dns: None, uri: Some(text) } => (text, SanKind::Uri, "uri"),
            _ => {
                self.add(path, "it must have exactly one of dns and uri");
                return None;
            }
        };
        self.take(NamePattern::compile(text, kind), &format!("{path}.{key}"))
    }

    fn check_clash<'p>(
        &mut self,
        pattern: &NamePattern,
        before: impl IntoIterator<Item = &'p NamePattern>,
        path: &str,
    ) {
        if let Some(name) = before.into_iter().find_map(|other| pattern.clash(other)) {
            let message = format!(
                "{name:?} would be one namespace by this pattern and another by one before it: make them differ \
                 in what is literal"
            );
            self.add(path, message);
        }
    }

    /// Takes down what names can state by a pattern.
    fn states(&mut self, pattern: &NamePattern) {
        self.stated.service_account |= pattern.has(Placeholder::ServiceAccount);
        self.stated.trust_domain |= pattern.has(Placeholder::TrustDomain);
    }

    fn jwt(&mut self, jwt: &config::Jwt, path: &str) -> Way {
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
                self.add(&format!("{path}.payload"), message);
                Vec::new()
            }
            None => PAYLOAD.map(str::to_owned).to_vec(),
        };
        if payload.iter().any(String::is_empty) {
            let message = "it has an empty part: write the attribute part by part, or leave it out";
            self.add(&format!("{path}.payload"), message);
        }
        let names_path = format!("{path}.names");
        if jwt.names.is_empty() {
            let message = "it is empty: say how a claim names a sender, as {claim: tenant, pattern: \"{namespace}\"}";
            self.add(&names_path, message);
        }
        let mut names: Vec<ClaimName> = Vec::new();
        for (index, name) in jwt.names.iter().enumerate() {
            let path = format!("{names_path}[{index}]");
            if name.claim.is_empty() || name.within.iter().any(String::is_empty) {
                self.add(&format!("{path}.claim"), "the name of a claim is not empty");
            }
            let claim: Vec<_> = name.within.iter().chain([&name.claim]).cloned().collect();
            let pattern = NamePattern::compile(&name.pattern, SanKind::Claim);
            let path = format!("{path}.pattern");
            if let Some(pattern) = self.take(pattern, &path) {
                let same = names.iter().filter(|name| name.path == claim);
                self.check_clash(&pattern, same.map(|name| &name.pattern), &path);
                self.states(&pattern);
                names.push(ClaimName { path: claim, pattern });
            }
        }
        Way::Jwt(Jwt { payload, names, tenant: None })
    }

    fn api_keys(&mut self, config: &config::ApiKeys, path: &str) -> Way {
        let header = self.header(&config.header, &format!("{path}.header"));
        let from_path = format!("{path}.from");
        if config.from.is_empty() {
            let message =
                "it is empty, so anybody could try keys: name the API gateway's certificate";
            self.add(&from_path, message);
        }
        let mut from = Vec::new();
        for (index, proxy) in config.from.iter().enumerate() {
            from.extend(self.proxy(proxy, &format!("{from_path}[{index}]")));
        }
        let keys_path = format!("{path}.keys");
        if config.keys.is_empty() {
            self.add(&keys_path, "it is empty: name at least one key, or leave apiKey out");
        }
        let mut keys: Vec<ApiKey> = Vec::new();
        for (index, key) in config.keys.iter().enumerate() {
            let path = format!("{keys_path}[{index}]");
            let sha256 = self.sha256(&key.sha256, &format!("{path}.sha256"));
            if sha256.is_some_and(|sha256| keys.iter().any(|known| known.sha256 == sha256)) {
                self.add(&format!("{path}.sha256"), "this key is there already");
            }
            let namespace = NAMESPACE.parse(&key.namespace);
            let namespace = self.take(namespace, &format!("{path}.namespace"));
            let account = key.service_account.as_deref().map(|name| SERVICE_ACCOUNT.parse(name));
            let account =
                account.and_then(|account| self.take(account, &format!("{path}.serviceAccount")));
            self.stated.service_account |= account.is_some();
            let until = self.date(key.until.as_deref(), &path, "until");
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

    fn forwarded(&mut self, config: &config::Forwarded, path: &str) -> Way {
        let header = config.header.as_deref().unwrap_or(SCOPE_ORG_ID);
        let header = self.header(header, &format!("{path}.header"));
        let path = format!("{path}.from");
        self.stated.certificate = true;
        if config.from.is_empty() {
            self.add(&path, "it is empty: name the certificate of a gate, or leave forwarded out");
        }
        let mut from = Vec::new();
        for (index, gate) in config.from.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let config::Gate { dns, uri, fingerprint, namespaces } = gate;
            let proxy = config::Proxy {
                dns: dns.clone(),
                uri: uri.clone(),
                fingerprint: fingerprint.clone(),
            };
            let certificate = self.proxy(&proxy, &path);
            let path = format!("{path}.namespaces");
            if namespaces.is_empty() {
                self.add(&path, "it is empty: name the namespaces for which this gate may speak");
            }
            let mut globs = Vec::new();
            for (index, name) in namespaces.iter().enumerate() {
                let glob = NameGlob::parse(name, NAMESPACE);
                globs.extend(self.take(glob, &format!("{path}[{index}]")));
            }
            let namespaces = globs;
            from.extend(certificate.map(|certificate| Gate { certificate, namespaces }));
        }
        Way::Forwarded(Forwarded { header, from })
    }

    fn proxy(&mut self, proxy: &config::Proxy, path: &str) -> Option<Proxy> {
        let config::Proxy { dns, uri, fingerprint } = proxy;
        match (dns, uri, fingerprint) {
            (Some(dns), None, None) if !dns.is_empty() => Some(Proxy::Dns(dns.clone())),
            (None, Some(uri), None) if !uri.is_empty() => Some(Proxy::Uri(uri.clone())),
            (None, None, Some(text)) => {
                self.fingerprint(text, &format!("{path}.fingerprint")).map(Proxy::Fingerprint)
            }
            _ => {
                let message =
                    "it must have exactly one of dns, uri and fingerprint, and not an empty one";
                self.add(path, message);
                None
            }
        }
    }

    /// A header's name in lower case, which from now on ends at the gate.
    fn header(&mut self, name: &str, path: &str) -> String {
        let name = name.to_ascii_lowercase();
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            self.add(path, format!("{name:?} is not the name of a header"));
        } else if matches!(name.as_str(), "host" | CONTENT_TYPE | CONTENT_LENGTH | TE) {
            self.add(path, format!("{name:?} has a meaning of its own: name another header"));
        }
        self.take_off(&name);
        name
    }

    /// Has a header end at the gate.
    fn take_off(&mut self, name: &str) {
        if !self.taken.iter().any(|taken| taken == name) {
            self.taken.push(name.to_owned());
        }
    }

    fn allow(&mut self, entries: &[AllowEntry], path: &str) -> Entries {
        if entries.is_empty() {
            self.add(path, "it is empty, so nobody could send: name at least one namespace");
        }
        let mut compiled = Entries::default();
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}[{index}]");
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
                self.date(from.as_deref(), &path, "from"),
                self.date(until.as_deref(), &path, "until"),
            );
            if let (Some(begin), Some(end)) = (from, until)
                && end <= begin
            {
                self.add(&format!("{path}.until"), "it is not after from, so nobody is let in");
            }
            self.ends.extend(until.map(|until| (format!("{path}.until"), until)));
            let names = DenyEntry {
                namespace: Some(namespace.clone()),
                trust_domain: trust_domain.clone(),
                service_account: service_account.clone(),
                issuer: issuer.clone(),
                fingerprint: fingerprint.clone(),
            };
            self.entry(&names, (from, until), &path, &mut compiled);
        }
        compiled
    }

    fn deny(&mut self, entries: &[DenyEntry], path: &str) -> Entries {
        let mut compiled = Entries::default();
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.denies_issuers |= entry.issuer.is_some();
            if entry.namespace.is_some() {
                self.check_stated(entry, &path);
            }
            self.entry(entry, (None, None), &path, &mut compiled);
        }
        compiled
    }

    fn entry(
        &mut self,
        names: &DenyEntry,
        (from, until): (Option<DateTime>, Option<DateTime>),
        path: &str,
        compiled: &mut Entries,
    ) {
        let DenyEntry { namespace, trust_domain, service_account, issuer, fingerprint } = names;
        let glob = namespace.as_deref().map(|namespace| {
            let glob = NameGlob::parse(namespace, NAMESPACE);
            self.take(glob, &format!("{path}.namespace"))
        });
        let conditions = Conditions {
            trust_domain: trust_domain.as_deref().and_then(|text| {
                self.take(TRUST_DOMAIN.parse(text), &format!("{path}.trustDomain"))
            }),
            service_account: service_account.as_deref().and_then(|text| {
                let glob = NameGlob::parse(text, SERVICE_ACCOUNT);
                self.take(glob, &format!("{path}.serviceAccount"))
            }),
            issuer: issuer.as_deref().map(|text| self.issuer(text, &format!("{path}.issuer"))),
            fingerprint: fingerprint
                .as_deref()
                .and_then(|text| self.fingerprint(text, &format!("{path}.fingerprint"))),
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
                self.add(path, "it names nobody: it needs a namespace, an issuer or a fingerprint");
                Vec::new()
            }
            None if trust_domain.is_some() || service_account.is_some() => {
                let message = "a trustDomain or a serviceAccount needs a namespace beside it";
                self.add(path, message);
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
    fn check_stated(&mut self, names: &DenyEntry, path: &str) {
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
                self.add(&format!("{path}.{key}"), message);
            }
        }
    }

    /// The keys of an issuer: a certificate's by its name, a token's by its `iss`.
    fn issuer(&mut self, text: &str, path: &str) -> Vec<Arc<str>> {
        let mut keys = Vec::new();
        match distinguished_name::written(text) {
            Ok(name) => {
                if distinguished_name::is_turned_round(text) {
                    self.turned_round.push(path.to_owned());
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
                self.add(path, message);
            }
        }
        if self.stated.token {
            keys.push(token_issuer_key(text));
        }
        keys
    }

    fn date(&mut self, text: Option<&str>, path: &str, key: &str) -> Option<DateTime> {
        let text = text?;
        let date = text.parse().map_err(|_| {
            format!("{text:?} is not a date: write RFC 3339 in UTC with whole seconds, as 2027-06-30T00:00:00Z")
        });
        self.take(date, &format!("{path}.{key}"))
    }

    fn fingerprint(&mut self, text: &str, path: &str) -> Option<Arc<str>> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        self.sha256(&digits, path)?;
        Some(fingerprint_key(&digits.to_ascii_lowercase()))
    }

    fn sha256(&mut self, text: &str, path: &str) -> Option<[u8; 32]> {
        let mut bytes = [0; 32];
        if mixed::decode(text, &mut bytes).is_ok_and(|read| read.len() == 32) {
            return Some(bytes);
        }
        self.add(path, "it is not a SHA-256: 64 hexadecimal digits, as `sha256sum` shows it");
        None
    }

    /// The value, or `None` and one problem more. What is compiled beside a problem is thrown away in the end.
    fn take<T, E: ToString>(&mut self, result: Result<T, E>, path: &str) -> Option<T> {
        result.map_err(|error| self.add(path, error)).ok()
    }

    fn add(&mut self, path: &str, message: impl ToString) {
        self.found.push(ConfigProblem::new(path, message));
    }
}
