//! The demo: what it sends ([`plan`]), the expected result of each row ([`check`]), what the backends have
//! ([`read_back`]), and the table with the results ([`table`]).

pub mod check;
pub mod plan;
pub mod read_back;
pub mod table;
