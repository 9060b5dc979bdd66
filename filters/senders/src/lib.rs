//! Who sends: every SAN of the client certificate, read against an allowlist of namespaces.
//!
//! A request's way through this crate:
//!
//! 1. [`PeerEvidence`]: what Envoy knows of the connection. Cheap checks choose the certificate.
//! 2. [`PresentedCertificate`]: its text, and the key under which a caller may cache what is in it.
//! 3. [`Certificate`]: its DNS and URI SANs. The common name is never read.
//! 4. [`Sender`]: what a SAN says by a configured pattern.
//! 5. [`Admitted`]: the proof that the allowlist lets the sender in. Nothing outside makes one.
//!
//! No host calls and no clock: the time comes in as seconds since the epoch.

mod allowlist;
mod certificate;
mod config;
mod entries;
mod listing;
mod name;
mod pattern;
mod peer;
mod pem;
mod problem;
mod san;
mod sender;
mod senders;
mod xfcc;

pub use allowlist::{Admitted, Ambiguity, NotAdmitted};
pub use certificate::{Certificate, CertificateError, MAX_CERTIFICATE_BYTES, MAX_SANS};
pub use config::{AllowEntry, ClientCertificate, DenyEntry, Identify, SanPattern, SendersConfig};
pub use listing::Listing;
pub use peer::{NoIdentity, PeerEvidence, PresentedCertificate, read};
pub use problem::ConfigProblem;
pub use san::San;
pub use sender::Sender;
pub use senders::Senders;
