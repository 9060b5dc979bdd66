//! Runs a row of the benchmark in wasm. Like the module, it is a proxy-wasm plugin: the SDK has the exports, so nothing
//! here is unsafe.
//!
//! | the host calls | argument | what the guest does |
//! |---|---|---|
//! | `proxy_on_vm_start` | a [`Task`] in JSON as the VM's configuration | prepares it |
//! | `proxy_on_configure` | a request as the plugin's configuration | runs it once, and logs the outcome |
//! | `proxy_on_queue_ready` | a number instead of the queue's id | runs it this many times |

use std::hint::black_box;

use proxy_wasm::traits::{Context, RootContext};
use sluice_bench_work::{Task, TaskError, Work};

/// The macro makes `_initialize`, which the host calls before anything else.
mod entry {
    use proxy_wasm::types::LogLevel;

    use super::Guest;

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::new(Guest::default()));
    }}
}

#[derive(Default)]
struct Guest {
    work: Option<Work>,
    request: Vec<u8>,
}

impl Context for Guest {}

impl RootContext for Guest {
    fn on_vm_start(&mut self, _: usize) -> bool {
        let task = self.get_vm_configuration().unwrap_or_default();
        let task = serde_json::from_slice(&task).map_err(TaskError::from);
        match task.and_then(Task::prepare) {
            Ok(work) => self.work = Some(work),
            Err(error) => log::error!("{error}"),
        }
        self.work.is_some()
    }

    fn on_configure(&mut self, _: usize) -> bool {
        self.request = self.get_plugin_configuration().unwrap_or_default();
        let Some(work) = &self.work else { return false };
        log::info!("{}", work.run(&self.request));
        true
    }

    fn on_queue_ready(&mut self, times: u32) {
        let Some(work) = &self.work else { return };
        for _ in 0..times {
            black_box(work.run(black_box(&self.request)));
        }
    }
}
