//! Runs every committed input, without a fuzzer.

use std::{fs, panic, path::Path};

use sluice_fuzz::{TARGETS, cost};

/// Inputs above this many bytes are slow to mutate and hard to read.
const MAX_INPUT: u64 = 64 << 10;

#[test]
fn every_committed_input_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut failures = Vec::new();
    for target in TARGETS {
        let folder = corpus.join(target.name);
        let inputs = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path());
        let (mut read, mut worst, mut held) = (0, 0, 0);
        for path in inputs {
            let place = path.display().to_string();
            assert!(fs::metadata(&path).unwrap().len() <= MAX_INPUT, "{place} is too large");
            let input = fs::read(&path).unwrap();
            read += 1;
            if panic::catch_unwind(|| target.check(&input)).is_err() {
                failures.push(place);
                continue;
            }
            let cost = cost::of(&target, &input);
            worst = worst.max(100 * cost.steps / (input.len() as u64).max(64));
            held = held.max(cost.memory);
        }
        assert!(read > 0, "{} is empty: write its seeds (README.md)", folder.display());
        println!("{}: {read} inputs, {worst} steps for 100 bytes, {held} bytes held", target.name);
    }
    assert!(failures.is_empty(), "these do not hold:\n{}", failures.join("\n"));
}

#[test]
fn no_folder_of_the_corpus_is_without_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(TARGETS.iter().any(|target| name == target.name), "{name:?} has no target");
    }
}
