//! Plain clients with mutual TLS.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::SendError;

/// What a client offers in ALPN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
    /// HTTP/2, then HTTP/1.1.
    Both,
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![b"http/1.1".to_vec()],
            Self::Http2 => vec![b"h2".to_vec()],
            Self::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

/// A TLS client that only trusts the CA in `cacert` and shows the certificate in `cert`.
///
/// # Errors
///
/// Names the file that cannot be read or used.
pub fn tls(cacert: &Path, cert: &Path, key: &Path, alpn: Alpn) -> Result<ClientConfig, SendError> {
    let private_key = PrivateKeyDer::from_pem_file(key).map_err(|error| refused(key, &error))?;
    let mut config = trusting(cacert)?
        .with_client_auth_cert(certificates(cert)?, private_key)
        .map_err(|error| refused(cert, &error))?;
    config.alpn_protocols = alpn.protocols();
    Ok(config)
}

/// A TLS client that only trusts the CA in `cacert` and shows no certificate.
///
/// # Errors
///
/// Names the file that cannot be read or used.
pub fn tls_without_certificate(cacert: &Path, alpn: Alpn) -> Result<ClientConfig, SendError> {
    let mut config = trusting(cacert)?.with_no_client_auth();
    config.alpn_protocols = alpn.protocols();
    Ok(config)
}

fn trusting(cacert: &Path) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, SendError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(cacert)? {
        roots.add(certificate).map_err(|error| refused(cacert, &error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(cacert, &error))?
        .with_root_certificates(roots))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SendError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| refused(path, &error))
}

fn refused(path: &Path, problem: &dyn std::fmt::Display) -> SendError {
    SendError::Identity { path: path.to_owned(), problem: problem.to_string() }
}
