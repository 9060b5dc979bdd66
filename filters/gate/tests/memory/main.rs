//! How much memory the gate takes. Each test counts every allocation of its thread.

#[cfg(test)]
mod bounds;
