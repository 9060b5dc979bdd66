//! libFuzzer's way into `sluice_fuzz::series`.

#![no_main]

use cap::Cap;
use std::alloc::System;

/// No input may make the gate take more than this.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, 8 << 20);

libfuzzer_sys::fuzz_target!(|data: &[u8]| sluice_fuzz::series::run(data));
