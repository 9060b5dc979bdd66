//! Measures what it costs to read a request, natively and in wasm: `make bench` prints it as one table.

pub mod guest;
pub mod native;
pub mod row;
pub mod table;
pub mod timing;
