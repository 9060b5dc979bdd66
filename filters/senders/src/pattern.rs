//! Patterns by which SANs and claims identify a sender.

use sluice_config::{Piece, Pieces, Place, PlaceholderError, SenderName};

use crate::{
    identity::{IdentifiedBy, Identity},
    name::NameKind,
    san::San,
};

/// A compiled pattern such as `spiffe://{trustDomain}/ns/{namespace}/sa/{serviceAccount}`, for SANs of one kind.
///
/// Everything outside of braces is literal, including `*`. A placeholder matches as much as it can. A pattern in which
/// the text after a placeholder could also belong to the placeholder is refused when it is compiled. So there is only
/// one way to read a name, without backtracking, in time linear in the name's length.
#[derive(Debug)]
pub(crate) struct NamePattern {
    kind: SanKind,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SanKind {
    /// A claim's value instead of a SAN.
    Claim,
    Dns,
    Uri,
}

#[derive(Debug)]
enum Part {
    Literal(Box<[u8]>),
    Placeholder(SenderName, NameKind),
}

/// What a placeholder matches. Kubernetes allows dots in a service account's name. In a URI's path, dots are possible;
/// in a DNS name they separate labels, so there the account is one label.
fn name_kind(name: SenderName, kind: SanKind) -> NameKind {
    match (name, kind) {
        (SenderName::Namespace, _) | (SenderName::ServiceAccount, SanKind::Dns) => NameKind::Label,
        (SenderName::ServiceAccount, SanKind::Claim | SanKind::Uri) => NameKind::Subdomain,
        (SenderName::TrustDomain, _) => NameKind::TrustDomain,
    }
}

impl NamePattern {
    /// Compiles a pattern for one kind of SAN.
    pub(crate) fn compile(text: &str, kind: SanKind) -> Result<Self, PatternError> {
        if let Some(stray) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(PatternError::NotPrintable(stray));
        }
        // The trailing dot of a DNS SAN is removed before it is compared, so the pattern's is
        // removed too.
        let mut pieces = Pieces::of(match kind {
            SanKind::Dns => without_trailing_dot(text),
            SanKind::Claim | SanKind::Uri => text,
        });
        let mut parts = Vec::new();
        let mut seen = Vec::new();
        while let Some(piece) = pieces.next() {
            let name = match piece? {
                Piece::Literal(literal) => {
                    parts.push(Part::Literal(literal.as_bytes().into()));
                    continue;
                }
                Piece::Name(name) => name,
            };
            if seen.contains(&name) {
                return Err(PatternError::Repeated(name));
            }
            let name_kind = name_kind(name, kind);
            let next = pieces.rest().bytes().next();
            if next.is_some_and(|byte| {
                byte == b'{' || name_kind.may_contain(byte.to_ascii_lowercase())
            }) {
                return Err(PatternError::Ambiguous(name));
            }
            seen.push(name);
            parts.push(Part::Placeholder(name, name_kind));
        }
        if !seen.contains(&SenderName::Namespace) {
            return Err(PatternError::NoNamespace);
        }
        Ok(Self { kind, parts })
    }

    /// The identity that `san` states by this pattern; `None` unless the whole SAN matches.
    ///
    /// Case is ignored in a DNS name and in a URI's scheme and authority (RFC 4343; RFC 3986, section 6.2.2.1), but not
    /// in the rest of a URI.
    pub(crate) fn read(&self, san: &San) -> Option<Identity> {
        let rest = match (self.kind, san) {
            (SanKind::Dns, San::Dns(name)) => Unread::dns(name),
            (SanKind::Uri, San::Uri(uri)) => Unread::uri(uri),
            _ => return None,
        };
        self.identity(rest, IdentifiedBy::CLIENT_CERTIFICATE)
    }

    /// The identity that a claim's value states by this pattern. Case matters.
    pub(crate) fn read_claim(&self, value: &str) -> Option<Identity> {
        self.identity(Unread { text: value.as_bytes(), caseless: 0 }, IdentifiedBy::JWT)
    }

    fn identity(&self, mut rest: Unread<'_>, by: IdentifiedBy) -> Option<Identity> {
        let (mut namespace, mut service_account, mut trust_domain) = (None, None, None);
        for part in &self.parts {
            match part {
                Part::Literal(literal) => rest.skip(literal)?,
                Part::Placeholder(placeholder, kind) => {
                    let name = Some(rest.take(*kind)?);
                    match placeholder {
                        SenderName::Namespace => namespace = name,
                        SenderName::ServiceAccount => service_account = name,
                        SenderName::TrustDomain => trust_domain = name,
                    }
                }
            }
        }
        if !rest.text.is_empty() {
            return None;
        }
        Some(Identity { service_account, trust_domain, ..Identity::of(namespace?, by) })
    }
}

impl NamePattern {
    /// Whether the pattern contains this placeholder.
    pub(crate) fn has(&self, placeholder: SenderName) -> bool {
        let is_it =
            |part: &Part| matches!(part, Part::Placeholder(found, _) if *found == placeholder);
        self.parts.iter().any(is_it)
    }

    /// A name that this pattern and `other` both match with different namespaces, if one is found. The names that are
    /// tried have the literals of the other pattern, and a name that is in neither, in place of the placeholders.
    fn clash(&self, other: &Self) -> Option<String> {
        if self.kind != other.kind {
            return None;
        }
        let namespace = |name: &str| {
            let rest = || Unread { text: name.as_bytes(), caseless: 0 };
            let by = |pattern: &Self| pattern.identity(rest(), IdentifiedBy::JWT);
            Some((by(self)?.namespace, by(other)?.namespace))
        };
        let clashes = |name: &String| namespace(name).is_some_and(|(one, two)| one != two);
        self.examples(other).into_iter().chain(other.examples(self)).find(clashes)
    }

    /// Names that this pattern may match, with the literals of `other` in place of the
    /// placeholders.
    fn examples(&self, other: &Self) -> Vec<String> {
        let mut fillings = vec!["x".to_owned()];
        for part in &other.parts {
            if let Part::Literal(literal) = part {
                let words = literal.split(|byte| !NameKind::Label.may_contain(*byte));
                fillings.extend(
                    words
                        .filter(|word| NameKind::Label.is_name(word))
                        .map(|word| String::from_utf8_lossy(word).into_owned()),
                );
            }
        }
        // Three placeholders with four values each give 64 names.
        fillings.truncate(4);
        let mut names = vec![String::new()];
        for part in &self.parts {
            names = match part {
                Part::Literal(literal) => {
                    let literal = String::from_utf8_lossy(literal);
                    names.into_iter().map(|name| format!("{name}{literal}")).collect()
                }
                Part::Placeholder(..) => names
                    .iter()
                    .flat_map(|name| fillings.iter().map(move |filling| format!("{name}{filling}")))
                    .collect(),
            };
        }
        names
    }
}

/// Adds a problem if `pattern` and one of the patterns `before` it read different namespaces in the
/// same name.
pub(crate) fn check_clash<'p>(
    pattern: &NamePattern,
    before: impl IntoIterator<Item = &'p NamePattern>,
    place: &Place<'_>,
) {
    if let Some(name) = before.into_iter().find_map(|other| pattern.clash(other)) {
        let message = format!(
            "ambiguous patterns: an earlier pattern takes another namespace from {name:?} than \
             this one; make their literal parts differ"
        );
        place.add(message);
    }
}

fn without_trailing_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The part of a SAN that has not been matched yet.
struct Unread<'a> {
    text: &'a [u8],
    /// How many bytes of it are compared without case.
    caseless: usize,
}

impl<'a> Unread<'a> {
    fn dns(name: &'a str) -> Self {
        let text = without_trailing_dot(name).as_bytes();
        Self { text, caseless: text.len() }
    }

    fn uri(uri: &'a str) -> Self {
        let path = match uri.split_once("://") {
            Some((_, authority)) => authority
                .find(['/', '?', '#'])
                .and_then(|path| authority.get(path..))
                .unwrap_or_default(),
            None => uri.split_once(':').map_or(uri, |(_, path)| path),
        };
        Self { text: uri.as_bytes(), caseless: uri.len().saturating_sub(path.len()) }
    }

    /// Passes `literal`; `None` if it does not come next.
    fn skip(&mut self, literal: &[u8]) -> Option<()> {
        let next = self.advance(literal.len())?;
        let (caseless, exact) = next.text.split_at_checked(next.caseless)?;
        let (literal_caseless, literal_exact) = literal.split_at_checked(next.caseless)?;
        (caseless.eq_ignore_ascii_case(literal_caseless) && exact == literal_exact).then_some(())
    }

    /// Takes the longest run of characters that a name of `kind` may contain; `None` if it is not a
    /// valid name.
    fn take(&mut self, kind: NameKind) -> Option<String> {
        let caseless = self.caseless;
        let length = (self.text.iter().enumerate())
            .take_while(|&(position, &byte)| {
                kind.may_contain(match position < caseless {
                    true => byte.to_ascii_lowercase(),
                    false => byte,
                })
            })
            .count();
        let name = self.advance(length)?.text.to_ascii_lowercase();
        kind.is_name(&name).then(|| String::from_utf8(name).ok()).flatten()
    }

    fn advance(&mut self, length: usize) -> Option<Self> {
        let (next, text) = self.text.split_at_checked(length)?;
        let caseless = self.caseless;
        *self = Self { text, caseless: caseless.saturating_sub(length) };
        Some(Self { text: next, caseless: caseless.min(length) })
    }
}

/// Why a pattern cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error(
        "ambiguous pattern: the text after {{{0}}} could be part of the value; separate them with \
         a character that the value cannot contain"
    )]
    Ambiguous(SenderName),
    #[error("the pattern has no {{namespace}}: add it")]
    NoNamespace,
    #[error("{0:?} is not allowed in a pattern: use printable ASCII without spaces")]
    NotPrintable(char),
    #[error("{{{0}}} occurs twice: use it once")]
    Repeated(SenderName),
    #[error(transparent)]
    Placeholder(#[from] PlaceholderError),
}

#[cfg(test)]
mod tests;
