//! The demo: what it sends ([`plan`]), what should come of each row ([`check`]), what is found in the
//! backends ([`read_back`]), and the table that shows it ([`table`]).

pub mod check;
pub mod plan;
pub mod read_back;
pub mod table;
