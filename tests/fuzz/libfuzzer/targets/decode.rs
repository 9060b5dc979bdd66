//! libFuzzer's way into `sluice_fuzz::decode`.

#![no_main]

use cap::Cap;
use std::alloc::System;

/// No input may make the gate take more than this: a zstd window of 8 MiB, in a buffer that doubles.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 48 << 20);

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluice_fuzz::decode::run(data));
