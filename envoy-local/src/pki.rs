//! Certificates for one run: an authority, Envoy's certificate, and one for each kind of sender.

use std::{
    fs::OpenOptions,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, string::Ia5String,
};
use time::{Duration, OffsetDateTime};

/// How long a certificate is valid, in days.
const VALID: i64 = 30;

/// A sender with its own certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SenderName {
    /// On the allowlist. DNS SANs `*.payments`, as Vault PKI issues them, and `otel.payments.svc`.
    Payments,
    /// On the allowlist. URI SAN `spiffe://prod.example/ns/team-blue/sa/otel-collector`, as SPIRE issues it.
    TeamBlue,
    /// Not on the allowlist. DNS SAN `*.stranger`.
    Stranger,
    /// Has the SAN `*.payments`, but from another authority.
    Outsider,
}

impl SenderName {
    /// All senders, those on the allowlist first.
    pub const ALL: [Self; 4] = [Self::Payments, Self::TeamBlue, Self::Stranger, Self::Outsider];

    /// The name in file names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::TeamBlue => "team-blue",
            Self::Stranger => "stranger",
            Self::Outsider => "outsider",
        }
    }

    fn sans(self) -> Result<Vec<SanType>, rcgen::Error> {
        let dns = |name: &str| Ok(SanType::DnsName(name.try_into()?));
        match self {
            Self::Payments => Ok(vec![dns("*.payments")?, dns("otel.payments.svc")?]),
            Self::TeamBlue => {
                let id = "spiffe://prod.example/ns/team-blue/sa/otel-collector";
                Ok(vec![SanType::URI(id.try_into()?)])
            }
            Self::Stranger => Ok(vec![dns("*.stranger")?]),
            Self::Outsider => Ok(vec![dns("*.payments")?]),
        }
    }
}

/// The files with a sender's certificate and key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderFiles {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key (PKCS #8). Only the owner can read the file.
    pub key: PathBuf,
}

/// Why the certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A certificate could not be issued.
    #[error("cannot issue the certificate of {name}: {source}")]
    Issue {
        /// The name of the certificate.
        name: String,
        /// The error of rcgen.
        source: rcgen::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The certificates of one run, as files in one folder.
#[derive(Debug)]
pub struct Pki {
    folder: PathBuf,
    ca: PathBuf,
    authority: Authority,
    senders: Vec<SenderFiles>,
}

impl Pki {
    /// Makes all certificates, valid from now on for 30 days, and writes them into `folder`, which must exist.
    ///
    /// # Errors
    /// If a certificate cannot be issued or a file cannot be written.
    pub fn create(folder: &Path) -> Result<Self, PkiError> {
        let ours = Authority::new("sluice local authority")?;
        let foreign = Authority::new("an authority that the gate does not know")?;
        let ca = folder.join("ca.pem");
        write(&ca, 0o644, &ours.pem)?;

        let issue_error = |name: &str| {
            let name = name.to_owned();
            move |source| PkiError::Issue { name, source }
        };
        let localhost = "localhost".try_into().map_err(issue_error("server"))?;
        let server = vec![
            SanType::DnsName(localhost),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        ours.issue(folder, "server", server, ExtendedKeyUsagePurpose::ServerAuth)?;

        let sender = |sender: SenderName| {
            let name = sender.as_str();
            let issuer = if sender == SenderName::Outsider { &foreign } else { &ours };
            let sans = sender.sans().map_err(issue_error(name))?;
            issuer.issue(folder, name, sans, ExtendedKeyUsagePurpose::ClientAuth)
        };
        let senders = SenderName::ALL.into_iter().map(sender).collect::<Result<_, _>>()?;
        Ok(Self { folder: folder.to_owned(), ca, authority: ours, senders })
    }

    /// The folder with all certificates.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The certificate of the authority that issued all certificates except the outsider's, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &Path {
        &self.ca
    }

    /// A sender's certificate and key.
    #[must_use]
    pub fn sender(&self, sender: SenderName) -> &SenderFiles {
        // `senders` was made from `ALL`, which lists the variants in the order of their declaration.
        &self.senders[sender as usize]
    }

    /// Issues a certificate for one more sender, with these DNS and URI SANs, from the gate's own authority. `name` is
    /// used for its files.
    ///
    /// # Errors
    /// If a SAN is not ASCII, or a file cannot be written.
    pub fn issue(
        &self,
        name: &str,
        dns: &[String],
        uri: &[String],
    ) -> Result<SenderFiles, PkiError> {
        let sans = || {
            let text = |san: &String| Ia5String::try_from(san.as_str());
            let dns = dns.iter().map(|san| text(san).map(SanType::DnsName));
            let uri = uri.iter().map(|san| text(san).map(SanType::URI));
            dns.chain(uri).collect::<Result<_, _>>()
        };
        let sans = sans().map_err(|source| PkiError::Issue { name: name.to_owned(), source })?;
        self.authority.issue(&self.folder, name, sans, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Issues a certificate for one more sender with this DNS SAN; the certificate expires in this many seconds.
    ///
    /// # Errors
    /// Fails as [`issue`](Self::issue) does.
    pub fn issue_briefly(
        &self,
        name: &str,
        dns: &str,
        seconds: u32,
    ) -> Result<SenderFiles, PkiError> {
        let san = Ia5String::try_from(dns).map(SanType::DnsName);
        let san = san.map_err(|source| PkiError::Issue { name: name.to_owned(), source })?;
        let end = OffsetDateTime::now_utc() + Duration::seconds(seconds.into());
        let purpose = ExtendedKeyUsagePurpose::ClientAuth;
        self.authority.issue_until(&self.folder, name, vec![san], purpose, end)
    }
}

#[derive(Debug)]
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Result<Self, PkiError> {
        let issue = || {
            let mut params = params(name)?;
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let key = KeyPair::generate()?;
            let pem = params.self_signed(&key)?.pem();
            Ok(Self { issuer: Issuer::new(params, key), pem })
        };
        issue().map_err(|source| PkiError::Issue { name: name.to_owned(), source })
    }

    fn issue(
        &self,
        folder: &Path,
        name: &str,
        sans: Vec<SanType>,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<SenderFiles, PkiError> {
        let end = OffsetDateTime::now_utc() + Duration::days(VALID);
        self.issue_until(folder, name, sans, purpose, end)
    }

    fn issue_until(
        &self,
        folder: &Path,
        name: &str,
        sans: Vec<SanType>,
        purpose: ExtendedKeyUsagePurpose,
        end: OffsetDateTime,
    ) -> Result<SenderFiles, PkiError> {
        let issue = || {
            let mut params = params(name)?;
            params.not_after = end;
            params.subject_alt_names = sans;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![purpose];
            params.use_authority_key_identifier_extension = true;
            let key = KeyPair::generate()?;
            Ok((params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem()))
        };
        let (certificate, private) =
            issue().map_err(|source| PkiError::Issue { name: name.to_owned(), source })?;
        let files = SenderFiles {
            cert: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        write(&files.cert, 0o644, &certificate)?;
        write(&files.key, 0o600, &private)?;
        Ok(files)
    }
}

fn params(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    // Valid from a minute ago: the clock of a sender in a container may be behind.
    params.not_before = now - Duration::minutes(1);
    params.not_after = now + Duration::days(VALID);
    Ok(params)
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), PkiError> {
    let write = || {
        // A file from an earlier run would keep its permissions.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|source| PkiError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use x509_parser::prelude::*;

    use super::*;

    fn pem(path: &Path) -> Pem {
        parse_x509_pem(&std::fs::read(path).unwrap()).unwrap().1
    }

    fn sans(path: &Path) -> Vec<String> {
        let pem = pem(path);
        let certificate = pem.parse_x509().unwrap();
        let sans = certificate.subject_alternative_name().unwrap().unwrap();
        sans.value.general_names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn no_key_can_be_read_by_others_even_when_it_replaces_one_that_could() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("payments.key"), "an earlier run's, mode 0644").unwrap();
        Pki::create(folder.path()).unwrap();
        for name in ["server", "payments", "team-blue", "stranger", "outsider"] {
            let path = folder.path().join(format!("{name}.key"));
            assert_eq!(
                std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
                0o600,
                "{name}"
            );
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_that_names_the_file() {
        let error = Pki::create(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write /nonexistent/ca.pem: "), "{error}");
    }

    #[test]
    fn only_the_outsider_has_another_issuer() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::create(folder.path()).unwrap();
        let ca = pem(pki.ca_pem());
        let ca = ca.parse_x509().unwrap();
        for sender in SenderName::ALL {
            let certificate = pem(&pki.sender(sender).cert);
            let issued = certificate.parse_x509().unwrap().issuer() == ca.subject();
            assert_eq!(issued, sender != SenderName::Outsider, "{sender:?}");
        }
    }

    #[test]
    fn each_sender_has_the_names_that_make_it_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::create(folder.path()).unwrap();
        let names = SenderName::ALL.map(|sender| sans(&pki.sender(sender).cert));
        let expected = [
            vec!["DNSName(*.payments)", "DNSName(otel.payments.svc)"],
            vec!["URI(spiffe://prod.example/ns/team-blue/sa/otel-collector)"],
            vec!["DNSName(*.stranger)"],
            vec!["DNSName(*.payments)"],
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn certificates_are_valid_now_and_for_thirty_days() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::create(folder.path()).unwrap();
        let pem = pem(&pki.sender(SenderName::Payments).cert);
        let certificate = pem.parse_x509().unwrap();
        assert!(certificate.validity().is_valid());
        let left = certificate.validity().time_to_expiration().unwrap();
        assert!((29..=30).contains(&left.whole_days()), "{left}");
    }
}
