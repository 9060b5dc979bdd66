//! The entries of an allowlist or a denylist, looked up by namespace.

use std::{collections::BTreeMap, sync::Arc};

use der::DateTime;
use sluice_config::Glob;

use crate::{identity::Identity, name::NameKind};

/// The conditions of an entry, beside its lookup key. One name must satisfy all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) fingerprint: Option<Arc<str>>,
    /// Any of these, because a text can be a certificate's issuer or a token's.
    pub(crate) issuer: Option<Vec<Arc<str>>>,
    pub(crate) trust_domain: Option<Box<str>>,
    pub(crate) service_account: Option<Glob>,
    /// The entry is valid from this moment on.
    pub(crate) from: Option<DateTime>,
    /// The entry is valid before this moment.
    pub(crate) until: Option<DateTime>,
}

impl Conditions {
    fn are_met_by(&self, identity: &Identity) -> bool {
        let trust_domain = self.trust_domain.as_deref();
        let service_account = self.service_account.as_ref();
        trust_domain.is_none_or(|required| identity.trust_domain() == Some(required))
            && (self.fingerprint.is_none() || self.fingerprint == identity.fingerprint)
            && self.issuer.as_ref().is_none_or(|required| {
                identity.issuer.as_ref().is_some_and(|stated| required.contains(stated))
            })
            && service_account.is_none_or(|required| {
                identity.service_account().is_some_and(|stated| required.matches(stated))
            })
    }

    /// Whether the entry is valid at `now`, in seconds since the epoch.
    pub(crate) fn hold_at(&self, now: u64) -> bool {
        self.has_begun(now) && self.until.is_none_or(|until| now < until.unix_duration().as_secs())
    }

    /// Whether the entry has started, even if it has expired since.
    pub(crate) fn has_begun(&self, now: u64) -> bool {
        self.from.is_none_or(|from| from.unix_duration().as_secs() <= now)
    }
}

/// The key under which an entry is looked up.
pub(crate) enum Key {
    Namespace(Glob),
    /// The key of a fingerprint or an issuer, for an entry without a namespace.
    Certificate(Arc<str>),
}

/// Entries by namespace; without a namespace, by fingerprint or issuer. Their number does not slow a request down: a
/// namespace is looked up once as an exact name, and once for each length of the globs' prefixes, of which there are at
/// most 63 (the longest DNS label).
#[derive(Debug, Default)]
pub(crate) struct Entries {
    exact: BTreeMap<Box<str>, Vec<Conditions>>,
    prefixes: BTreeMap<Box<str>, Vec<Conditions>>,
    prefix_lengths: Vec<usize>,
}

impl Entries {
    pub(crate) fn insert(&mut self, key: Key, conditions: Conditions) {
        let entries = match key {
            Key::Certificate(key) => self.exact.entry((*key).into()),
            Key::Namespace(Glob::Exact(name)) => self.exact.entry(name),
            Key::Namespace(Glob::Prefix(prefix)) => {
                if !self.prefix_lengths.contains(&prefix.len()) {
                    self.prefix_lengths.push(prefix.len());
                }
                self.prefixes.entry(prefix)
            }
        };
        entries.or_default().push(conditions);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    /// The entries that this one name satisfies, whether they are valid at the moment or not.
    pub(crate) fn met_by(&self, identity: &Identity) -> impl Iterator<Item = &Conditions> {
        self.about(identity).filter(|conditions| conditions.are_met_by(identity))
    }

    fn about(&self, identity: &Identity) -> impl Iterator<Item = &Conditions> {
        let namespace = identity.namespace();
        let keys = [&identity.fingerprint, &identity.issuer].into_iter().flatten();
        let by_key = keys.filter_map(|key| self.exact.get(&**key));
        let by_prefix = self
            .prefix_lengths
            .iter()
            .filter_map(|&length| self.prefixes.get(namespace.get(..length)?));
        self.exact.get(namespace).into_iter().chain(by_prefix).chain(by_key).flatten()
    }
}

/// The kinds of name in an entry.
pub(crate) const NAMESPACE: NameKind = NameKind::Label;
pub(crate) const SERVICE_ACCOUNT: NameKind = NameKind::Subdomain;
pub(crate) const TRUST_DOMAIN: NameKind = NameKind::TrustDomain;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::IdentifiedBy;

    fn glob(text: &str) -> Glob {
        NAMESPACE.glob(text).unwrap()
    }

    fn any_in(namespace: &str, entries: &mut Entries) {
        entries.insert(Key::Namespace(glob(namespace)), Conditions::default());
    }

    #[test]
    fn ten_thousand_entries_are_looked_at_no_more_than_ten() {
        let mut entries = Entries::default();
        for number in 0..5_000 {
            any_in(&format!("team-{number}"), &mut entries);
            any_in(&format!("group{number:04}-*"), &mut entries);
        }
        assert_eq!(entries.prefix_lengths, [10]);
        assert_eq!(entries.about(&Identity::of("team-77", IdentifiedBy::JWT)).count(), 1);
        assert_eq!(entries.about(&Identity::of("group0077-a", IdentifiedBy::JWT)).count(), 1);
        assert_eq!(entries.about(&Identity::of("other", IdentifiedBy::JWT)).count(), 0);
    }

    type Entry = (String, Option<String>, Option<String>);

    fn entry() -> impl Strategy<Value = Entry> {
        let trust_domain = proptest::option::of("[pq]");
        ("[ab]{1,3}\\*?", trust_domain, proptest::option::of("[xy]{1,2}\\*?"))
    }

    fn matches(glob: &str, name: &str) -> bool {
        match glob.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == glob,
        }
    }

    proptest! {
        #[test]
        fn the_index_finds_what_looking_at_every_entry_finds(
            listed in proptest::collection::vec(entry(), 0..20),
            namespace in "[ab]{1,4}",
            trust_domain in proptest::option::of("[pq]"),
            service_account in proptest::option::of("[xy]{1,3}"),
        ) {
            let identity = Identity {
                service_account,
                trust_domain,
                ..Identity::of(namespace, IdentifiedBy::CLIENT_CERTIFICATE)
            };
            let mut entries = Entries::default();
            for (namespace, trust_domain, service_account) in &listed {
                entries.insert(Key::Namespace(glob(namespace)), Conditions {
                    trust_domain: trust_domain.as_deref().map(Into::into),
                    service_account: service_account
                        .as_deref()
                        .map(|text| SERVICE_ACCOUNT.glob(text).unwrap()),
                    ..Conditions::default()
                });
            }
            let expected = listed.iter().filter(|(namespace, trust_domain, service_account)| {
                matches(namespace, identity.namespace())
                    && (trust_domain.is_none() || *trust_domain == identity.trust_domain)
                    && service_account.as_deref().is_none_or(|glob| {
                        identity.service_account().is_some_and(|stated| matches(glob, stated))
                    })
            });
            prop_assert_eq!(entries.met_by(&identity).count(), expected.count());
        }
    }
}
