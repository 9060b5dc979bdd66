//! Typical mistakes in a policy, each with the whole output of `sluice check`: `mistakes/NAME.yaml` and
//! `mistakes/NAME.txt`.

use std::{fs, path::Path};

use sluice_cli::{check::check, policy::Source, text};

/// 2026-11-18, the time of the cases too.
const NOW: u64 = 1_795_000_000;

#[test]
fn each_mistake_is_said_at_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let mut differences = Vec::new();
    let mut count = 0;
    let mut paths: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|it| it == "yaml")) {
        count += 1;
        let text = fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let files = [Source { name: name.clone(), text }];
        let checked = check(&files, NOW);
        assert!(!checked.problems.is_empty(), "{name}: nothing is said");
        let output = anstream::adapter::strip_str(&text::problems(&checked, &files)).to_string();
        let snapshot = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&snapshot, &output).unwrap();
        }
        let expected = fs::read_to_string(&snapshot).unwrap_or_default();
        if output != expected {
            differences.push(format!("{name}:\n{output}"));
        }
    }
    assert!(count >= 20, "only {count} mistakes");
    assert!(
        differences.is_empty(),
        "BLESS=1 cargo test -p sluice-cli --test mistakes writes these:\n{}",
        differences.join("\n")
    );
}

/// A file may end anywhere, or have anything in it: something is said, and nothing panics.
#[test]
fn no_file_is_too_broken_to_be_checked() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read_to_string(&path).unwrap();
        for (at, _) in whole.char_indices().step_by(11) {
            let (before, after) = whole.split_at(at);
            for text in [
                before.to_owned(),
                format!("{before}\u{e9}{after}"),
                format!("{before}\t: [{after}"),
            ] {
                let files = [Source { name: "broken".into(), text }];
                let checked = check(&files, NOW);
                let output = text::problems(&checked, &files);
                assert!(
                    !output.is_empty() && !text::problems_json(&checked, &files).contains('\u{0}')
                );
            }
        }
    }
}
