//! libFuzzer's way into `sluice_fuzz::json`.

#![no_main]

use std::sync::LazyLock;

use sluice_fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| Target::named("json"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET.check(data));
