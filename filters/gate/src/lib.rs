//! The gate: the five stages in their order, as a function of values.
//!
//! ```text
//! request head  senders -> tenant -> export -> route                   request.rs
//! request body  framed -> decoded -> checked -> outgoing -> forwarded   body.rs
//! reply         what the backend said -> what is told                   answer.rs
//! refusal       what is thrown away before it goes                      rest.rs
//! ```
//!
//! Nothing here calls Envoy. Each step takes what came and returns what is to be done, and only the
//! crate `module` does it.

mod answer;
mod body;
mod budget;
mod certificates;
mod config;
mod count;
mod export;
mod forward;
mod framed;
mod held;
mod other_paths;
mod outgoing;
mod pieces;
mod place;
mod request;
mod rest;

pub use answer::{Finished, HEADER_ONLY, Reading, ReplyHead, ReplyStep, Rewritten, SAID, Sent};
pub use body::BodyStep;
pub use budget::{Budget, Holding, NoRoom, Share};
pub use certificates::Certificates;
pub use config::{Gate, Limits};
pub use count::{Count, certificate_end_stat};
pub use export::is_envoys_grpc;
pub use forward::{BodyEdit, Forward};
pub use held::Held;
pub use pieces::Pieces;
pub use request::{HeadStep, Identified, Reply, RequestHead};
pub use rest::{Rest, Unseen};
