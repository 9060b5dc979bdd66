//! Who sends, and whether they may: finds the sender's names in a certificate, a token, a key or another gateway's
//! header, and checks them against an allowlist of namespaces.
//!
//! The steps in this crate:
//!
//! 1. [`Evidence`]: what the request shows. For the connection's certificate this is [`PeerEvidence`]; cheap checks
//!    select from it a [`PresentedCertificate`], which is the certificate's text and a key under which its content may
//!    be cached.
//! 2. [`Certificate`]: its DNS and URI SANs. The common name is never read.
//! 3. [`Identity`]: what a SAN, a claim, a key or a forwarding gateway states, in the order of
//!    `identify`.
//! 4. [`Admitted`]: proof that the allowlist admits the sender. Nothing outside this crate can make
//!    one.
//! 5. [`Admission`]: proof that the [`SenderStage`] was not left out, whether it is switched on or off. The tenant
//!    stage accepts nothing else.
//!
//! No host calls and no clock: callers pass the time as seconds since the epoch.

mod allowlist;
mod certificate;
mod compile;
mod config;
mod distinguished_name;
mod entries;
mod evidence;
mod explain;
mod identify;
mod identity;
mod listing;
mod name;
mod pattern;
mod payload;
mod peer;
mod pem;
mod san;
mod senders;
mod stage;
mod values;
mod xfcc;

pub use allowlist::{Admitted, Ambiguity, Expiry, NotAdmitted};
pub use certificate::{Certificate, CertificateError, MAX_CERTIFICATE_BYTES, MAX_SANS};
pub use config::SendersConfig;
pub use evidence::Evidence;
pub use explain::{SanReading, Standing};
pub use identify::{
    ApiKeyError, ClientCertificateError, Failure, ForwardedError, IdentityError, JwtError,
};
pub use identity::{Claimed, IdentifiedBy, Identity};
pub use listing::Listing;
pub use peer::{Connection, PeerError, PeerEvidence, PresentedCertificate, read_peer_certificate};
pub use san::San;
pub use senders::Senders;
pub use stage::{Admission, SenderStage};
