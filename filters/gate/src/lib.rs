//! The gate: the five stages in their order, as functions of values.
//!
//! ```text
//! request head   senders -> tenant -> export -> route                   request.rs
//! while it comes wait, drain, refuse or decide                          pending_request.rs
//! request body   framed -> decoded -> checked -> outgoing -> forwarded  body.rs
//! reply          what the backend said -> what is told                  backend_reply.rs
//! local reply    what is thrown away before it goes                     local_reply.rs, rest.rs
//! ```
//!
//! Nothing here calls Envoy. Each step takes what has arrived and returns what is to be done. Only
//! the crate `module` does it.

mod backend_reply;
mod body;
mod budget;
mod certificates;
mod config;
mod count;
mod examine;
mod export;
mod forward;
mod framed;
mod gate;
mod json_object;
mod json_path;
mod local_reply;
mod other_paths;
mod outgoing;
mod pending_request;
mod pieces;
mod request;
mod rest;
mod worker;

pub use backend_reply::{
    AwaitingReply, HEADER_ONLY, ReplyBody, ReplyDecision, ReplyEdits, ReplyHead, ReplyInProgress,
    ReplyStep, SAID,
};
pub use body::BodyStep;
pub use budget::{Budget, Holding, NoRoom, Share};
pub use certificates::{Certificates, PeerConnection};
pub use config::Limits;
pub use count::{Count, certificate_end_stat};
pub use examine::Examined;
pub use export::is_envoys_grpc;
pub use forward::Forward;
pub use gate::Gate;
pub use local_reply::{Delivery, LocalReply};
pub use pending_request::{EnvoyBuffer, PendingRequest, Receive};
pub use pieces::Pieces;
pub use request::{HeadStep, Identified, Pass, RequestHead};
pub use rest::{Discard, Rest, Unseen};
pub use worker::Worker;
