//! Which certificate counts as the connection's, depending on what Envoy shows.

use proptest::prelude::*;
use sluice_senders::{
    Certificate, CertificateError, Connection, PeerError, PeerEvidence, read_peer_certificate,
};

use crate::pki;

/// The certificate of the connection, in each form that Envoy provides.
struct Peer {
    pem: String,
    encoded: String,
    digest: String,
    certificate: Certificate,
}

fn peer(san: &str) -> Peer {
    let issued = pki::certificate([pki::dns(san)]);
    let certificate = Certificate::from_der(issued.der()).unwrap();
    let digest = certificate.sha256().to_owned();
    let pem = issued.pem();
    let encoded = percent_encoded(&pem);
    Peer { pem, encoded, digest, certificate }
}

/// The text as Envoy encodes a PEM (`urlEncodedPemEncodedPeerCertificate`).
fn percent_encoded(pem: &str) -> String {
    pem.chars()
        .map(|c| match c {
            '\n' => "%0A".to_owned(),
            ' ' => "%20".to_owned(),
            '+' => "%2B".to_owned(),
            '/' => "%2F".to_owned(),
            '=' => "%3D".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

/// The same evidence with changes to the connection.
fn with<'a>(
    evidence: PeerEvidence<'a>,
    change: impl FnOnce(&mut Connection<'a>),
) -> PeerEvidence<'a> {
    let mut connection = evidence.connection;
    change(&mut connection);
    PeerEvidence { connection, ..evidence }
}

impl Peer {
    /// What an Envoy with `connection.peer_certificate` shows.
    fn evidence(&self) -> PeerEvidence<'_> {
        PeerEvidence { connection: self.connection(), ..PeerEvidence::default() }
    }

    fn connection(&self) -> Connection<'_> {
        Connection {
            certificate: Some(self.pem.as_bytes()),
            certificate_valid: Some(&[1]),
            presented: Some(&[1]),
            digest: Some(self.digest.as_bytes()),
        }
    }

    /// What an Envoy without it shows, with these values of `x-forwarded-client-cert`.
    fn older<'a>(&'a self, xfcc: &'a [&'a [u8]]) -> PeerEvidence<'a> {
        let connection =
            Connection { certificate: None, certificate_valid: None, ..self.connection() };
        PeerEvidence { connection, xfcc }
    }

    fn xfcc(&self) -> String {
        format!(
            r#"Hash={};Cert="{}";Subject="CN=x";URI=;DNS=*.payments"#,
            self.digest, self.encoded
        )
    }
}

#[test]
fn a_connection_without_a_certificate_is_nobody() {
    let peer = peer("*.payments");
    let xfcc = peer.xfcc();
    for evidence in [
        PeerEvidence::default(),
        with(PeerEvidence::default(), |c| c.certificate = Some(b"")),
        with(PeerEvidence::default(), |c| {
            c.presented = Some(&[0]);
            c.certificate_valid = Some(&[0]);
        }),
        // Plain HTTP with everything else forged: if no certificate was presented, the header is not read.
        with(peer.older(&[xfcc.as_bytes()]), |c| c.presented = None),
        with(peer.older(&[xfcc.as_bytes()]), |c| c.presented = Some(&[0])),
        with(peer.older(&[xfcc.as_bytes()]), |c| c.presented = Some(b"1")),
    ] {
        assert_eq!(read_peer_certificate(&evidence), Err(PeerError::NoCertificate), "{evidence:?}");
    }
}

#[test]
fn a_certificate_that_was_not_verified_is_nobody() {
    let peer = peer("*.payments");
    let xfcc = peer.xfcc();
    for valid in [&[0][..], &[], &[2], &[1, 0], b"1", b"true"] {
        for evidence in [peer.evidence(), peer.older(&[xfcc.as_bytes()])] {
            let evidence = with(evidence, |c| c.certificate_valid = Some(valid));
            assert_eq!(read_peer_certificate(&evidence), Err(PeerError::NotVerified), "{valid:?}");
        }
    }
}

#[test]
fn a_certificate_that_cannot_be_read_is_nobody() {
    let peer = peer("*.payments");
    let broken = peer.pem.replacen("MII", "AAA", 1).replacen("MIH", "AAA", 1);
    for (text, error) in [(&b"x"[..], Some(CertificateError::NotPem)), (broken.as_bytes(), None)] {
        let evidence = with(peer.evidence(), |c| c.certificate = Some(text));
        let Err(PeerError::Unreadable(found)) = read_peer_certificate(&evidence) else {
            panic!("{text:?} was read")
        };
        assert!(error.is_none_or(|error| error == found), "{found}");
    }
}

#[test]
fn another_certificate_in_the_header_is_never_taken_for_the_connections_own() {
    let (own, other) = (peer("*.payments"), peer("*.victim"));
    let (own_xfcc, other_xfcc) = (own.xfcc(), other.xfcc());
    let appended = format!("{own_xfcc},{other_xfcc}");
    let hash_lies = other_xfcc.replace(&other.digest, &own.digest);
    let injected = format!(r#"{own_xfcc};Cert="{}""#, other.encoded);
    let text_only = format!("Hash={};Subject=\"\";URI=;DNS=*.victim", own.digest);
    let not_a_certificate = "Cert=\"-----BEGIN%20CERTIFICATE-----%0A-----END%20CERTIFICATE-----\"";
    for values in [
        &[][..],
        &[""],
        &[&*other_xfcc],
        &[&*appended],
        &[&*own_xfcc, &*other_xfcc],
        &[&*hash_lies],
        &[&*injected],
        &[&*text_only],
        &[not_a_certificate],
    ] {
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        assert_eq!(read_peer_certificate(&own.older(&values)), Err(PeerError::NotInXfcc));
    }
}

#[test]
fn the_header_does_not_count_without_the_connections_digest() {
    let peer = peer("*.payments");
    let xfcc = peer.xfcc();
    let values = [xfcc.as_bytes()];
    let upper = peer.digest.to_uppercase();
    assert_ne!(upper, peer.digest);
    for digest in [None, Some(&b""[..]), Some(upper.as_bytes()), peer.digest.as_bytes().get(..63)] {
        let evidence = with(peer.older(&values), |c| c.digest = digest);
        assert_eq!(read_peer_certificate(&evidence), Err(PeerError::NotInXfcc), "{digest:?}");
    }
}

#[test]
fn the_header_is_not_read_where_envoy_has_the_certificate() {
    let (own, other) = (peer("*.payments"), peer("*.victim"));
    let xfcc = other.xfcc();
    let values = [xfcc.as_bytes()];
    let evidence = PeerEvidence { xfcc: &values, ..own.evidence() };
    let evidence = with(evidence, |c| c.digest = Some(other.digest.as_bytes()));
    assert_eq!(read_peer_certificate(&evidence), Ok(own.certificate));
}

#[test]
fn the_certificate_is_read_with_real_line_breaks_or_percent_encoded() {
    let peer = peer("*.payments");
    assert_eq!(read_peer_certificate(&peer.evidence()).as_ref(), Ok(&peer.certificate));
    let encoded = with(peer.evidence(), |c| c.certificate = Some(peer.encoded.as_bytes()));
    assert_eq!(read_peer_certificate(&encoded).as_ref(), Ok(&peer.certificate));
}

#[test]
fn an_envoy_that_does_not_say_whether_it_verified_is_believed() {
    let peer = peer("*.payments");
    let evidence = with(peer.evidence(), |c| c.certificate_valid = None);
    assert_eq!(read_peer_certificate(&evidence), Ok(peer.certificate.clone()));
}

#[test]
fn the_last_element_of_the_header_counts_if_it_is_the_connections_certificate() {
    let (own, other) = (peer("*.payments"), peer("*.victim"));
    let (own_xfcc, other_xfcc) = (own.xfcc(), other.xfcc());
    let appended = format!("{other_xfcc},{own_xfcc}");
    for values in [
        &[own_xfcc.as_bytes()][..],
        &[appended.as_bytes()],
        &[other_xfcc.as_bytes(), own_xfcc.as_bytes()],
    ] {
        assert_eq!(read_peer_certificate(&own.older(values)).as_ref(), Ok(&own.certificate));
    }
}

#[test]
fn the_sans_in_the_header_are_never_read() {
    let own = peer("*.payments");
    let described = format!("Hash={};Subject=\"CN=x\";DNS=*.payments", own.digest);
    assert_eq!(
        read_peer_certificate(&own.older(&[described.as_bytes()])),
        Err(PeerError::NotInXfcc)
    );
    let forged = format!("{};DNS=*.victim", own.xfcc());
    assert_eq!(
        read_peer_certificate(&own.older(&[forged.as_bytes()])).as_ref(),
        Ok(&own.certificate)
    );
}

#[test]
fn a_cached_result_is_found_for_the_same_certificate_and_for_no_other() {
    let (own, other) = (peer("*.payments"), peer("*.victim"));
    let (own_xfcc, other_xfcc) = (own.xfcc(), other.xfcc());
    let (own_values, other_values) = ([own_xfcc.as_bytes()], [other_xfcc.as_bytes()]);
    let evidence = [
        own.evidence(),
        other.evidence(),
        own.older(&own_values),
        other.older(&other_values),
        // Another sender's certificate in the header of this sender's connection.
        own.older(&other_values),
    ];
    let keys = evidence.map(|evidence| evidence.presented().unwrap().cache_key().into_owned());
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    assert_eq!(keys[0], own.evidence().presented().unwrap().cache_key().into_owned());
    assert_eq!(keys[2], own.older(&own_values).presented().unwrap().cache_key().into_owned());
}

proptest! {
    #[test]
    fn no_header_but_one_that_ends_with_the_own_certificate_identifies(
        before in "[ -~]{0,60}",
        after in "[ -~]{0,60}",
    ) {
        let own = peer("*.payments");
        let value = format!("{before}{}{after}", own.xfcc());
        match read_peer_certificate(&own.older(&[value.as_bytes()])) {
            Ok(certificate) => prop_assert_eq!(certificate, own.certificate),
            Err(error) => prop_assert_eq!(error, PeerError::NotInXfcc),
        }
    }
}
