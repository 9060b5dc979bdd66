//! May these records in? The rules that each record must meet, and what becomes of those that do
//! not.

mod check;
mod config;
mod rule;
mod spelling;
mod template;
mod value;
mod violation;

pub use check::{Checked, Verdict};
pub use config::{OnViolation, RecordsConfig};
pub use rule::{Level, RuleSet};
pub use spelling::Spelling;
pub use violation::{Reason, Violation, Violations};
