use std::cell::Cell;

use super::*;

/// A connection that counts how often its attributes are read.
#[derive(Debug)]
struct Asked {
    id: Option<u64>,
    is_counted: bool,
    attributes: Connection<'static>,
    times: Cell<usize>,
}

const VERIFIED: Connection<'_> = Connection {
    certificate: Some(b"not a certificate"),
    certificate_valid: Some(&[1]),
    presented: Some(&[1]),
    digest: None,
};

impl Asked {
    fn new(id: u64, attributes: Connection<'static>) -> Self {
        Self { id: Some(id), is_counted: true, attributes, times: Cell::new(0) }
    }
}

impl PeerConnection for Asked {
    fn id(&self) -> Option<u64> {
        self.id
    }

    fn is_counted(&self) -> bool {
        self.is_counted
    }

    fn attributes(&self) -> Connection<'_> {
        self.times.set(self.times.get().saturating_add(1));
        self.attributes
    }
}

fn asked(
    certificates: &mut Certificates,
    connection: &Asked,
    xfcc: &[&[u8]],
) -> (PeerError, usize) {
    for _ in 0..3 {
        let _read = certificates.read(connection, xfcc);
    }
    (certificates.read(connection, xfcc).unwrap_err(), connection.times.get())
}

#[test]
fn a_connection_is_asked_once_and_no_other_is_taken_for_it() {
    let mut certificates = Certificates::default();
    let none = Connection { presented: Some(&[0]), ..Connection::default() };
    let unverified = Connection { certificate_valid: Some(&[0]), ..VERIFIED };
    let (shown, times) = asked(&mut certificates, &Asked::new(1, VERIFIED), &[]);
    assert!(matches!(shown, PeerError::Unreadable(_)) && times == 1, "{shown:?}, {times}");
    assert_eq!(asked(&mut certificates, &Asked::new(2, none), &[]), (PeerError::NoCertificate, 1));
    assert_eq!(
        asked(&mut certificates, &Asked::new(3, unverified), &[]),
        (PeerError::NotVerified, 1)
    );
}

#[test]
fn nothing_is_remembered_of_a_connection_whose_id_is_not_its_own() {
    let mut certificates = Certificates::default();
    let quic = Asked { is_counted: false, ..Asked::new(1, VERIFIED) };
    assert_eq!(asked(&mut certificates, &quic, &[]).1, 4);
    let unknown = Asked { id: None, ..Asked::new(1, VERIFIED) };
    assert_eq!(asked(&mut certificates, &unknown, &[]).1, 4);
    // Another connection with the same id is not taken for them.
    let none = Connection { presented: Some(&[0]), ..Connection::default() };
    assert_eq!(asked(&mut certificates, &Asked::new(1, none), &[]), (PeerError::NoCertificate, 1));
}

#[test]
fn what_a_header_shows_is_read_for_every_request() {
    let mut certificates = Certificates::default();
    const DIGEST: &[u8] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let connection =
        Connection { presented: Some(&[1]), digest: Some(DIGEST), ..Connection::default() };
    let connection = Asked::new(1, connection);
    assert_eq!(asked(&mut certificates, &connection, &[]), (PeerError::NotInXfcc, 4));
    let with_header = [&b"Cert=\"x\""[..]];
    assert_eq!(asked(&mut certificates, &connection, &with_header), (PeerError::NotInXfcc, 8));
}

#[test]
fn the_memory_for_connections_is_bounded() {
    let mut certificates = Certificates::default();
    for id in 0..10_000 {
        let _read = certificates.read(&Asked::new(id, VERIFIED), &[]);
        assert!(certificates.connections.len() <= Certificates::CONNECTIONS);
    }
}
