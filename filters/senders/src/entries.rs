//! The entries of an allowlist or a denylist, found by namespace.

use std::collections::BTreeMap;

use der::DateTime;

use crate::{
    name::{NameGlob, NameKind},
    sender::Sender,
};

/// What a SAN must state, beside a namespace, to satisfy an entry. One SAN must state all of it.
#[derive(Debug)]
pub(crate) struct Conditions {
    pub(crate) trust_domain: Option<Box<str>>,
    pub(crate) service_account: Option<NameGlob>,
    /// The entry holds before this moment.
    pub(crate) until: Option<DateTime>,
}

impl Conditions {
    fn are_met_by(&self, sender: &Sender) -> bool {
        let trust_domain = self.trust_domain.as_deref();
        let service_account = self.service_account.as_ref();
        trust_domain.is_none_or(|required| sender.trust_domain() == Some(required))
            && service_account.is_none_or(|required| {
                sender.service_account().is_some_and(|stated| required.matches(stated))
            })
    }

    /// Whether the entry holds at `now`, in seconds since the epoch.
    pub(crate) fn hold_at(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until.unix_duration().as_secs())
    }
}

/// Entries by namespace. How many there are costs a request nothing: a namespace is looked up once as it is, and once
/// for each length that the globs' prefixes have, of which a DNS label allows 63.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    exact: BTreeMap<Box<str>, Vec<Conditions>>,
    prefixes: BTreeMap<Box<str>, Vec<Conditions>>,
    prefix_lengths: Vec<usize>,
}

impl Entries {
    pub(crate) fn insert(&mut self, namespace: NameGlob, conditions: Conditions) {
        let entries = match namespace {
            NameGlob::Exact(name) => self.exact.entry(name),
            NameGlob::Prefix(prefix) => {
                if !self.prefix_lengths.contains(&prefix.len()) {
                    self.prefix_lengths.push(prefix.len());
                }
                self.prefixes.entry(prefix)
            }
        };
        entries.or_default().push(conditions);
    }

    /// The entries that this one SAN satisfies, whether they still hold or not.
    pub(crate) fn met_by(&self, sender: &Sender) -> impl Iterator<Item = &Conditions> {
        self.about(sender.namespace()).filter(|conditions| conditions.are_met_by(sender))
    }

    fn about(&self, namespace: &str) -> impl Iterator<Item = &Conditions> {
        let by_prefix = self
            .prefix_lengths
            .iter()
            .filter_map(|&length| self.prefixes.get(namespace.get(..length)?));
        self.exact.get(namespace).into_iter().chain(by_prefix).flatten()
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

    fn glob(text: &str) -> NameGlob {
        NameGlob::parse(text, NAMESPACE).unwrap()
    }

    fn any_in(namespace: &str, entries: &mut Entries) {
        entries.insert(
            glob(namespace),
            Conditions { trust_domain: None, service_account: None, until: None },
        );
    }

    #[test]
    fn ten_thousand_entries_are_looked_at_no_more_than_ten() {
        let mut entries = Entries::default();
        for number in 0..5_000 {
            any_in(&format!("team-{number}"), &mut entries);
            any_in(&format!("group{number:04}-*"), &mut entries);
        }
        assert_eq!(entries.prefix_lengths, [10]);
        assert_eq!(entries.about("team-77").count(), 1);
        assert_eq!(entries.about("group0077-a").count(), 1);
        assert_eq!(entries.about("other").count(), 0);
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
            let sender = Sender { namespace, service_account, trust_domain };
            let mut entries = Entries::default();
            for (namespace, trust_domain, service_account) in &listed {
                entries.insert(glob(namespace), Conditions {
                    trust_domain: trust_domain.as_deref().map(Into::into),
                    service_account: service_account
                        .as_deref()
                        .map(|text| NameGlob::parse(text, SERVICE_ACCOUNT).unwrap()),
                    until: None,
                });
            }
            let expected = listed.iter().filter(|(namespace, trust_domain, service_account)| {
                matches(namespace, sender.namespace())
                    && (trust_domain.is_none() || *trust_domain == sender.trust_domain)
                    && service_account.as_deref().is_none_or(|glob| {
                        sender.service_account().is_some_and(|stated| matches(glob, stated))
                    })
            });
            prop_assert_eq!(entries.met_by(&sender).count(), expected.count());
        }
    }
}
