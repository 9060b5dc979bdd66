//! What the gate takes of memory. Each test counts every allocation of its thread.

#[cfg(test)]
mod bounds;
