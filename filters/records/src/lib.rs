//! The rules that each record must meet, and what happens to records that break them.

mod asked;
mod check;
mod config;
mod labels;
mod rule;
mod series;
mod spelling;
mod stage;
mod stamp;
mod template;
mod traces;
mod unstorable;
mod value;
mod violation;

pub use check::{Findings, Unfit, Verdict};
pub use config::{OnViolation, RecordsConfig};
pub use rule::{Level, RuleSet};
pub use stage::{Checked, RecordStage, Rejected};
pub use violation::{Clause, Fate, Reason, Violation, Violations};
