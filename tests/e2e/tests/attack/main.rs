//! What a sender could do to the other senders of its worker. Each attack has its own Envoy, with the shipped limits
//! and one worker, once with `holdHeaders: true` and once with `false`.
//!
//! Meanwhile another sender's requests must succeed, the worker's VM must keep running, and Envoy's memory must stay
//! under the limit in `filters/README.md`.

mod early;
mod gate;
mod growth;
mod upload;
mod waiting;

use std::sync::Arc;

use gate::Mode;
use libtest_mimic::{Arguments, Trial};

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = Arc::new(runtime.expect("a tokio runtime"));
    let mut trials = Vec::new();
    for mode in Mode::ALL {
        for attack in waiting::ATTACKS {
            let runtime = Arc::clone(&runtime);
            trials.push(Trial::test(format!("{mode}::waiting::{}", attack.name), move || {
                runtime.block_on(waiting::run(mode, attack));
                Ok(())
            }));
        }
        for shape in growth::SHAPES {
            let runtime = Arc::clone(&runtime);
            trials.push(Trial::test(format!("{mode}::growth::{}", shape.name), move || {
                runtime.block_on(growth::run(mode, shape));
                Ok(())
            }));
        }
        for answer in early::ANSWERS {
            let runtime = Arc::clone(&runtime);
            trials.push(Trial::test(format!("{mode}::early::{}", answer.name), move || {
                runtime.block_on(early::run(mode, answer));
                Ok(())
            }));
        }
    }
    // One at a time, because each fills an Envoy's memory.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit();
}
