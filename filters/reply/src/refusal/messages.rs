//! Compares `MESSAGES.md` with the code: every refusal, as its sender reads it.

use std::fmt::Write;

use sluice_encodings::{EncodingHeader, grpc::FrameError};
use sluice_otlp::Signal;
use sluice_records::{Fate, Level, Reason, Violation};
use sluice_senders::{
    ApiKeyError, CertificateError, ClientCertificateError, ForwardedError, IdentityError, JwtError,
    Listing, NotAdmitted, PeerError,
};
use sluice_stores::Defect;
use sluice_tenant::{NoTenant, TenantIdError};
use sluice_wire::{Fault, Malformed, OverLimit};

use crate::{Code, Refusal};

/// An example of every refusal except those for the rules of records, in the order of the table.
fn examples() -> Vec<Refusal> {
    let header = || "x-scope-orgid".to_owned();
    let payments = || "payments".to_owned();
    let shown = |names: &[&str]| names.iter().collect::<Listing>();
    let claim = || "tenant_id".to_owned();
    let error = TenantIdError::Character('|');
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let not_identified: [IdentityError; 17] = [
        PeerError::NoCertificate.into(),
        PeerError::Expired { at }.into(),
        PeerError::NotVerified.into(),
        PeerError::NotInXfcc.into(),
        PeerError::Unreadable(CertificateError::NotPem).into(),
        PeerError::IssuerUnknown.into(),
        JwtError::Missing.into(),
        JwtError::Unreadable.into(),
        ApiKeyError::Missing { header: "x-api-key".to_owned() }.into(),
        ApiKeyError::Unknown.into(),
        ApiKeyError::FromElsewhere.into(),
        ForwardedError::NotForwarded { header: header() }.into(),
        ClientCertificateError::NamesNobody { sans: shown(&["collector.example.com"]) }.into(),
        JwtError::NamesNobody { claims: shown(&["Payments Team"]) }.into(),
        IdentityError::Disagree,
        ForwardedError::ForNobody { header: header(), said: shown(&["\"Team Blue\""]) }.into(),
        ForwardedError::NotAllowed { namespaces: shown(&["payments"]) }.into(),
    ];
    let not_admitted = [
        NotAdmitted::Ambiguous {
            namespaces: shown(&["payments", "team-blue"]),
            choice: Some(header()),
        },
        NotAdmitted::NotAllowed { namespaces: shown(&["payments"]) },
        NotAdmitted::CertificateDenied,
        NotAdmitted::Denied { namespace: payments() },
        NotAdmitted::TokenDenied,
        NotAdmitted::Expired { namespace: payments(), until: at },
        NotAdmitted::NotYet {
            namespace: payments(),
            from: "2100-01-01T00:00:00Z".parse().unwrap(),
        },
    ];
    let no_tenant = [
        NoTenant::Unmapped(payments()),
        NoTenant::Unusable { namespace: payments(), error: TenantIdError::Account(payments()) },
        NoTenant::Unclaimed(claim()),
        NoTenant::NoText { claim: claim(), found: "a number" },
        NoTenant::ClaimedTwice(claim()),
        NoTenant::UnusableClaim { claim: claim(), error },
        NoTenant::Foreign { tenant: "12:3".to_owned(), backend: "loki" },
        NoTenant::Unidentified,
    ];
    let malformed = Malformed { fault: Fault::TRUNCATED, at: 12 };
    let request = [
        Refusal::Path("/v1/log".to_owned()),
        Refusal::WritePath("/api/v1/push".to_owned()),
        Refusal::NoBackend(Signal::Profiles),
        Refusal::Method("PUT".to_owned()),
        Refusal::ContentType("text/plain".to_owned()),
        Refusal::WriteContentType("application/json".to_owned()),
        Refusal::Format {
            backend: "victoriametrics",
            sent: "application/json",
            taken: "application/x-protobuf".to_owned(),
        },
        Refusal::Encoding { header: EncodingHeader::Content, value: "br".to_owned() },
        Refusal::WriteEncoding("gzip".to_owned()),
        Refusal::BodyTooLarge { limit: 16_777_216 },
        Refusal::DecodedTooLarge { limit: 67_108_864 },
        Refusal::OverLimit(OverLimit::Records { limit: 1_000_000 }),
        Refusal::OverLimit(OverLimit::Bytes { limit: 67_108_864 }),
        Refusal::OverLimit(OverLimit::References { limit: 67_108_864 }),
        Refusal::OverLimit(OverLimit::Changes { limit: 2_001_024 }),
        Refusal::OverLimit(OverLimit::Attributes { limit: 1024 }),
        Refusal::OverLimit(OverLimit::Depth { limit: 64 }),
        Refusal::CompressedWithoutEncoding,
        Refusal::Frame(FrameError::TooShort(2)),
        Refusal::Undecodable("not valid gzip (truncated data)".to_owned()),
        Refusal::Malformed { signal: Signal::Logs, malformed },
        Refusal::Trailers,
        Refusal::NoMemory,
    ];
    let not_identified = not_identified.into_iter().map(NotAdmitted::from);
    let senders = not_identified.chain(not_admitted).map(Refusal::from);
    senders.chain(no_tenant.into_iter().map(Refusal::from)).chain(request).collect()
}

/// Does not compile if there is a new refusal. Then add it to [`examples`].
const fn is_shown(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::NotAdmitted(
            NotAdmitted::Ambiguous { .. }
            | NotAdmitted::CertificateDenied
            | NotAdmitted::Denied { .. }
            | NotAdmitted::Expired { .. }
            | NotAdmitted::NotAllowed { .. }
            | NotAdmitted::NotIdentified(
                IdentityError::ApiKey(
                    ApiKeyError::FromElsewhere | ApiKeyError::Missing { .. } | ApiKeyError::Unknown,
                )
                | IdentityError::ClientCertificate(ClientCertificateError::NamesNobody { .. })
                | IdentityError::Disagree
                | IdentityError::Forwarded(
                    ForwardedError::ForNobody { .. }
                    | ForwardedError::NotAllowed { .. }
                    | ForwardedError::NotForwarded { .. },
                )
                | IdentityError::Jwt(
                    JwtError::Missing | JwtError::NamesNobody { .. } | JwtError::Unreadable,
                )
                | IdentityError::Peer(
                    PeerError::Expired { .. }
                    | PeerError::IssuerUnknown
                    | PeerError::NoCertificate
                    | PeerError::NotInXfcc
                    | PeerError::NotVerified
                    | PeerError::Unreadable(_),
                ),
            )
            | NotAdmitted::NotYet { .. }
            | NotAdmitted::TokenDenied,
        )
        | Refusal::NoTenant(
            NoTenant::ClaimedTwice(_)
            | NoTenant::Foreign { .. }
            | NoTenant::NoText { .. }
            | NoTenant::Unclaimed(_)
            | NoTenant::Unidentified
            | NoTenant::Unmapped(_)
            | NoTenant::Unusable { .. }
            | NoTenant::UnusableClaim { .. },
        )
        | Refusal::BodyTooLarge { .. }
        | Refusal::CompressedWithoutEncoding
        | Refusal::ContentType(_)
        | Refusal::DecodedTooLarge { .. }
        | Refusal::Encoding { .. }
        | Refusal::Format { .. }
        | Refusal::Frame(_)
        | Refusal::Malformed { .. }
        | Refusal::Method(_)
        | Refusal::NoBackend(_)
        | Refusal::NoMemory
        | Refusal::OverLimit(
            OverLimit::Attributes { .. }
            | OverLimit::Bytes { .. }
            | OverLimit::Changes { .. }
            | OverLimit::Depth { .. }
            | OverLimit::Records { .. }
            | OverLimit::References { .. },
        )
        | Refusal::Path(_)
        | Refusal::Trailers
        | Refusal::Undecodable(_)
        | Refusal::WriteContentType(_)
        | Refusal::WriteEncoding(_)
        | Refusal::WritePath(_) => true,
        // These are in the second table.
        Refusal::AllDropped(_) | Refusal::Violation(_) => false,
    }
}

const fn name(code: i32) -> &'static str {
    match code {
        code if code == Code::InvalidArgument.number() => "INVALID_ARGUMENT",
        code if code == Code::PermissionDenied.number() => "PERMISSION_DENIED",
        code if code == Code::ResourceExhausted.number() => "RESOURCE_EXHAUSTED",
        code if code == Code::Unimplemented.number() => "UNIMPLEMENTED",
        code if code == Code::Unavailable.number() => "UNAVAILABLE",
        code if code == Code::Unauthenticated.number() => "UNAUTHENTICATED",
        _ => "unknown",
    }
}

fn refusals() -> String {
    let mut table = String::from("| outcome | HTTP | gRPC | message |\n|---|---|---|---|\n");
    for refusal in examples() {
        assert!(is_shown(&refusal));
        let (label, http, code) = (refusal.label(), refusal.http_status(), refusal.status().code);
        let message = refusal.status().message.replace('|', "\\|");
        writeln!(table, "| `{label}` | {http} | {} | {message} |", name(code)).unwrap();
    }
    table
}

/// What is said of records that break a rule, with `dropped` and with `nothing was stored:` before it
/// where it is a refusal.
fn violations() -> String {
    let mut table = String::from("| reason | message |\n|---|---|\n");
    let attribute = || Some("source.name".to_owned());
    for (attribute, reason) in [
        (attribute(), Reason::Missing),
        (attribute(), Reason::Empty),
        (attribute(), Reason::Ambiguous),
        (attribute(), Reason::Value),
        (attribute(), Reason::Overridden),
        (None, Reason::Unstorable(Defect::InvalidId)),
        (None, Reason::Unstorable(Defect::AttributeName)),
        (None, Reason::Unstorable(Defect::LabelValue)),
        (None, Reason::Unstorable(Defect::Labels)),
        (None, Reason::Unstorable(Defect::MetricName)),
        (None, Reason::Unstorable(Defect::UnknownKind)),
        (None, Reason::Unstorable(Defect::NoDataPoints)),
        (None, Reason::Unstorable(Defect::Temporality)),
        (None, Reason::Unstorable(Defect::Scale)),
        (None, Reason::Unstorable(Defect::Exemplar)),
        (None, Reason::Unstorable(Defect::TraceTooLarge)),
    ] {
        let (level, fate, detail) = (Level::Resource, Fate::Dropped, None);
        let violation = Violation { attribute, level, reason, fate, detail, records: 3 };
        let clause = violation.clause(Signal::Metrics);
        writeln!(table, "| `{}` | {clause} |", reason.label()).unwrap();
    }
    table
}

#[test]
fn the_document_shows_every_message() {
    let document = include_str!("../../MESSAGES.md");
    for table in [refusals(), violations()] {
        assert!(document.contains(&table), "filters/reply/MESSAGES.md lacks\n{table}");
    }
}
