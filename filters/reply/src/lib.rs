//! What the sender is told: refusals, what was dropped, and the backend's answer, each in the
//! sender's own protocol (OTLP specification 1.11, "OTLP/gRPC Response" and "OTLP/HTTP Response").

mod backend;
mod envoy;
mod export_response;
mod protocol;
mod refusal;
mod retry_after;
mod status;
mod text;
mod words;

pub use backend::{BackendReply, ExportOutcome, FAILED, Failure, GrpcReply, outcome_of};
pub use envoy::EnvoyAnswer;
pub use export_response::{ExportResponse, PartialSuccess};
pub use protocol::{LocalResponse, Protocol, ReplyPayload};
pub use refusal::Refusal;
pub use retry_after::parse_retry_after;
pub use status::{Code, FieldViolation, Status, from_base64};
