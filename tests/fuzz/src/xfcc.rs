//! The `x-forwarded-client-cert` header.

use sluice_senders::{Connection, PeerEvidence};

/// The digest of a connection's certificate, as Envoy writes it.
const DIGEST: &[u8] = &[b'a'; 64];

/// The certificate must be the one that a simple parser finds, and what comes before the last element must not change
/// it.
pub fn run(data: &[u8]) {
    let found = presented(data);
    assert_eq!(found, plainly(data));
    assert_eq!(presented(&[b"Hash=1;Cert=\"forged\",", data].concat()), found);
    if found.is_some() {
        assert_eq!(presented(&[data, b";Cert=\"second\""].concat()), None);
    }
}

/// Reads the header.
pub fn read(data: &[u8]) {
    let _: Option<_> = presented(data);
}

/// The text of the connection's certificate in the header.
fn presented(value: &[u8]) -> Option<Vec<u8>> {
    let connection =
        Connection { presented: Some(&[1]), digest: Some(DIGEST), ..Connection::default() };
    let evidence = PeerEvidence { connection, xfcc: &[value] };
    let presented = evidence.presented().ok()?;
    let _: Result<_, _> = presented.parse();
    Some(presented.cache_key().strip_prefix(DIGEST)?.to_vec())
}

/// The same in three passes: mark the quoted bytes, split, search.
fn plainly(value: &[u8]) -> Option<Vec<u8>> {
    let quoted = quoted(value)?;
    let separators = |byte: u8| (0..value.len()).filter(move |at| value[*at] == byte);
    let start = separators(b',').rfind(|at| !quoted[*at]).map_or(0, |comma| comma + 1);
    let ends = separators(b';').filter(|at| *at >= start && !quoted[*at]).chain([value.len()]);
    let mut pair_start = start;
    let mut certificates = Vec::new();
    for end in ends {
        let pair = value[pair_start..end].trim_ascii();
        pair_start = end + 1;
        let text = match pair.split_at_checked(5) {
            Some((key, text)) if key.eq_ignore_ascii_case(b"cert=") => text,
            _ => continue,
        };
        match text {
            [b'"', text @ .., b'"'] => certificates.push(text.to_vec()),
            [b'"', ..] => {}
            text => certificates.push(text.to_vec()),
        }
    }
    if certificates.len() == 1 { certificates.pop() } else { None }
}

/// Which bytes are quotes or inside quotes; `None` if a quote is not closed.
fn quoted(value: &[u8]) -> Option<Vec<bool>> {
    let mut quoted = vec![false; value.len()];
    let mut at = 0;
    while at < value.len() {
        if value[at] == b'"' {
            let mut end = at + 1;
            while *value.get(end)? != b'"' {
                end += if value[end] == b'\\' { 2 } else { 1 };
            }
            quoted[at..=end].fill(true);
            at = end;
        }
        at += 1;
    }
    Some(quoted)
}
