//! Who sends, and whether they may: names from a certificate, a token, a key or another gate, read against an
//! allowlist of namespaces.
//!
//! A request's way through this crate:
//!
//! 1. [`Evidence`]: what the request shows. Of the connection's certificate that is [`PeerEvidence`], of which cheap
//!    checks choose [`PresentedCertificate`], its text, and the key under which a caller may cache what is in it.
//! 2. [`Certificate`]: its DNS and URI SANs. The common name is never read.
//! 3. [`Identity`]: what a SAN, a claim, a key or a gate says, in the order of `identify`.
//! 4. [`Admitted`]: the proof that the allowlist lets the sender in. Nothing outside makes one.
//! 5. [`Admission`]: the proof that the [`SenderStage`] was not left out, whether it is switched on or off. The
//!    tenant's stage takes nothing else.
//!
//! No host calls and no clock: the time comes in as seconds since the epoch.

mod allowlist;
mod certificate;
mod compile;
mod config;
mod distinguished_name;
mod entries;
mod evidence;
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
pub use identify::{
    ApiKeyError, ClientCertificateError, Failure, ForwardedError, IdentityError, JwtError,
};
pub use identity::{Claimed, IdentifiedBy, Identity};
pub use listing::Listing;
pub use peer::{Connection, NoIdentity, PeerEvidence, PresentedCertificate, read_peer_certificate};
pub use san::San;
pub use senders::Senders;
pub use stage::{Admission, SenderStage};
