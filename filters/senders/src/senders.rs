//! The compiled `senders` section.

use der::DateTime;

use crate::{
    allowlist::{Admitted, Allowlist, Ambiguity, NotAdmitted},
    certificate::Certificate,
    config::{AllowEntry, ClientCertificate, DenyEntry, Identify, SanPattern, SendersConfig},
    entries::{Conditions, Entries, NAMESPACE, SERVICE_ACCOUNT, TRUST_DOMAIN},
    name::NameGlob,
    pattern::{NamePattern, SanKind},
    problem::ConfigProblem,
    sender::Sender,
};

/// Who sends, and whether they may: a configuration that has been checked.
#[derive(Debug)]
pub struct Senders {
    names: Vec<NamePattern>,
    allowlist: Allowlist,
}

impl Senders {
    /// Checks a configuration that stands at `path` (`senders`) and makes it usable.
    ///
    /// # Errors
    /// Every problem in it, each with its own path.
    pub fn compile(config: &SendersConfig, path: &str) -> Result<Self, Vec<ConfigProblem>> {
        let mut problems = Problems::default();
        let names = problems.identify(&config.identify, &format!("{path}.identify"));
        let allowlist = Allowlist {
            allow: problems.allow(&config.allow, &format!("{path}.allow")),
            deny: problems.deny(&config.deny, &format!("{path}.deny")),
        };
        if problems.found.is_empty() { Ok(Self { names, allowlist }) } else { Err(problems.found) }
    }

    /// Lets in the holder of a client certificate, at `now` in seconds since the epoch.
    ///
    /// # Errors
    /// [`NotAdmitted`], with a text for the sender.
    pub fn admit(
        &self,
        certificate: &Certificate,
        now: u64,
        ambiguity: Ambiguity,
    ) -> Result<Admitted, NotAdmitted> {
        let names = self.names(certificate);
        if names.is_empty() {
            return Err(NotAdmitted::NamesNobody { sans: certificate.sans().iter().collect() });
        }
        self.allowlist.admit(&names, now, ambiguity)
    }

    /// What the SANs of a certificate say: one name for each pattern that a SAN matches, allowed or not.
    #[must_use]
    pub fn names(&self, certificate: &Certificate) -> Vec<Sender> {
        certificate
            .sans()
            .iter()
            .flat_map(|san| self.names.iter().filter_map(|pattern| pattern.read(san)))
            .collect()
    }
}

/// Collects what is wrong while the rest is still compiled.
#[derive(Default)]
struct Problems {
    found: Vec<ConfigProblem>,
}

impl Problems {
    fn identify(&mut self, identify: &[Identify], path: &str) -> Vec<NamePattern> {
        if identify.is_empty() {
            self.add(path, "it is empty: say how a sender is recognised, with clientCertificate");
        }
        let mut names = None;
        for (index, way) in identify.iter().enumerate() {
            let path = format!("{path}[{index}]");
            match &way.client_certificate {
                None => self.add(&path, "it is empty: clientCertificate is what it can hold"),
                // A denied name has to be seen wherever it stands, so one certificate is read in one way.
                Some(_) if names.is_some() => self.add(
                    &path,
                    "clientCertificate is there already: put all names under the first",
                ),
                Some(certificate) => {
                    let path = format!("{path}.clientCertificate.names");
                    names = Some(self.names(certificate, &path));
                }
            }
        }
        names.unwrap_or_default()
    }

    fn names(&mut self, certificate: &ClientCertificate, path: &str) -> Vec<NamePattern> {
        if certificate.names.is_empty() {
            self.add(
                path,
                "it is empty: say how a SAN names a sender, as {dns: \"*.{namespace}\"}",
            );
        }
        let patterns = certificate.names.iter().enumerate();
        patterns
            .filter_map(|(index, pattern)| self.pattern(pattern, &format!("{path}[{index}]")))
            .collect()
    }

    fn pattern(&mut self, pattern: &SanPattern, path: &str) -> Option<NamePattern> {
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

    fn allow(&mut self, entries: &[AllowEntry], path: &str) -> Entries {
        if entries.is_empty() {
            self.add(path, "it is empty, so nobody could send: name at least one namespace");
        }
        let mut compiled = Entries::default();
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let until = entry.until.as_deref().and_then(|text| self.until(text, &path));
            let AllowEntry { namespace, trust_domain, service_account, until: _ } = entry;
            self.entry((namespace, trust_domain, service_account), until, &path, &mut compiled);
        }
        compiled
    }

    fn deny(&mut self, entries: &[DenyEntry], path: &str) -> Entries {
        let mut compiled = Entries::default();
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let DenyEntry { namespace, trust_domain, service_account } = entry;
            self.entry((namespace, trust_domain, service_account), None, &path, &mut compiled);
        }
        compiled
    }

    fn entry(
        &mut self,
        (namespace, trust_domain, service_account): (&str, &Option<String>, &Option<String>),
        until: Option<DateTime>,
        path: &str,
        compiled: &mut Entries,
    ) {
        let namespace =
            self.take(NameGlob::parse(namespace, NAMESPACE), &format!("{path}.namespace"));
        let conditions = Conditions {
            trust_domain: trust_domain.as_deref().and_then(|text| {
                self.take(TRUST_DOMAIN.parse(text), &format!("{path}.trustDomain"))
            }),
            service_account: service_account.as_deref().and_then(|text| {
                let glob = NameGlob::parse(text, SERVICE_ACCOUNT);
                self.take(glob, &format!("{path}.serviceAccount"))
            }),
            until,
        };
        if let Some(namespace) = namespace {
            compiled.insert(namespace, conditions);
        }
    }

    fn until(&mut self, text: &str, path: &str) -> Option<DateTime> {
        let date = text.parse().map_err(|_| {
            format!("{text:?} is not a date: write RFC 3339 in UTC with whole seconds, as 2027-06-30T00:00:00Z")
        });
        self.take(date, &format!("{path}.until"))
    }

    /// The value, or `None` and one problem more. What is compiled beside a problem is thrown away in the end.
    fn take<T, E: ToString>(&mut self, result: Result<T, E>, path: &str) -> Option<T> {
        result.map_err(|error| self.add(path, error)).ok()
    }

    fn add(&mut self, path: &str, message: impl ToString) {
        self.found.push(ConfigProblem::new(path, message));
    }
}
