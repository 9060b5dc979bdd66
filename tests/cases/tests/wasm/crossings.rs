//! How often the module and its host call each other in each case, held against `tests/cases/crossings.txt`.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
    fs,
    path::Path,
};

use envoy_harness::Crossings;
use sluice_cases::{case::Protocol, plan::Plan};

/// What the file begins with.
const HEAD: &str = "\
# How often the module and Envoy call each other for one request: entries (Envoy calls the module: its callbacks, and
# its malloc) + host calls (the module calls Envoy). A request is counted on a connection that other requests have used,
# its body arrives whole, and its end by itself. The worker has other requests, so what is counted waits for the timer.
#
# First each case: with the head held, then without. Below, which calls these are; letters tell equal numbers apart.
#
# tests/cases/tests/wasm/crossings.rs fails if the module needs others. If it needs fewer, or there is a new case, write
# this file anew and look at the difference: CROSSINGS=write cargo test --test wasm

";
const FILE: &str = "crossings.txt";

/// Exchanges of which there is one case each, and the most calls that they may need: over gRPC, over HTTP, and over
/// HTTP if the body of a refused request is received first, because the head is held.
///
/// A refusal over gRPC needs 11: the stream's beginning and end, the heads of request and reply, the request's headers
/// and its connection's id with the memory for each, the time, the local reply, and the log line. Over HTTP, the
/// reply's body is a callback more, and so is what Envoy has received of the request; where the body is received first,
/// there are its two callbacks, and its removal from Envoy's buffer.
const CEILINGS: &[(&str, Ceilings)] = &[
    ("encodings/gzip_that_loses_nothing_stays_as_it_came", STORED),
    ("reply/a_202_is_a_success", STORED),
    ("senders/no_certificate_is_nobody", REFUSED),
    ("senders/a_denied_namespace_is_cut_off", REFUSED),
];
const STORED: Ceilings = Ceilings { grpc: 28, http: 24, received_first: 24 };
const REFUSED: Ceilings = Ceilings { grpc: 12, http: 13, received_first: 15 };

#[derive(Clone, Copy)]
struct Ceilings {
    grpc: u64,
    http: u64,
    received_first: u64,
}

/// The crossings of every run.
#[derive(Default)]
pub(super) struct Counted {
    /// By the case's name, and then by the protocol: with the head held, and without.
    cases: BTreeMap<String, BTreeMap<&'static str, [Option<Crossings>; 2]>>,
}

impl Counted {
    pub(super) fn add(&mut self, plan: &Plan, crossings: Crossings) {
        let case = self.cases.entry(plan.case.name.clone()).or_default();
        let protocol = case.entry(name(plan.request.protocol)).or_default();
        protocol[usize::from(!plan.hold)] = Some(crossings);
    }

    /// Compares with the file, or writes it anew if the environment says so.
    pub(super) fn finish(self) {
        self.check_ceilings();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let now = self.to_string();
        if env::var_os("CROSSINGS").is_some_and(|how| how == "write") {
            return fs::write(path, now).unwrap();
        }
        let kept = fs::read_to_string(path).unwrap_or_default();
        if kept == now {
            return;
        }
        let (before, after) = (totals(&kept), totals(&now));
        let more = after.iter().filter_map(|(run, total)| {
            let kept = before.get(run).filter(|kept| *kept < total)?;
            Some(format!("{run}: {total} instead of {kept}"))
        });
        let more: Vec<String> = more.collect();
        assert!(
            more.is_empty(),
            "the module and its host call each other more often than {FILE} has it:\n{}",
            more.join("\n")
        );
        panic!(
            "the module and its host call each other no more often than {FILE} has it, but not \
             as it has it: write it anew with CROSSINGS=write cargo test --test wasm"
        );
    }

    fn check_ceilings(&self) {
        for (case, most) in CEILINGS {
            let protocols = self.cases.get(*case).unwrap_or_else(|| panic!("there is no {case}"));
            for (protocol, runs) in protocols {
                for (held, run) in [true, false].into_iter().zip(runs) {
                    let most = match (*protocol, held) {
                        ("grpc", _) => most.grpc,
                        (_, true) => most.received_first,
                        (_, false) => most.http,
                    };
                    let Some(calls) = run else { continue };
                    assert!(calls.total() <= most, "{case}, {protocol}, at most {most}: {calls}");
                }
            }
        }
    }

    /// A name for every set of calls: their numbers, and a letter if another set has the same numbers.
    fn sets(&self) -> BTreeMap<Crossings, String> {
        let all = self.cases.values().flat_map(|case| case.values().flatten().flatten());
        let mut names = BTreeMap::new();
        let mut known: BTreeMap<String, u32> = BTreeMap::new();
        for crossings in all.collect::<BTreeSet<_>>() {
            let [entries, calls]: [u64; 2] =
                [crossings.entries(), crossings.host_calls()].map(|calls| calls.values().sum());
            let numbers = format!("{entries}+{calls}");
            let others = known.entry(numbers.clone()).or_default();
            names.insert(crossings.clone(), numbers + &letters(*others));
            *others += 1;
        }
        names
    }
}

/// The contents of the file.
impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HEAD)?;
        let sets = self.sets();
        for (case, protocols) in &self.cases {
            f.write_str(case)?;
            for (protocol, runs) in protocols {
                write!(f, "  {protocol}")?;
                for run in runs {
                    let set = run.as_ref().map_or("-", |crossings| sets[crossings].as_str());
                    write!(f, " {set}")?;
                }
            }
            f.write_char('\n')?;
        }
        let mut sets: Vec<_> =
            sets.into_iter().map(|(calls, name)| (calls.total(), name, calls)).collect();
        sets.sort();
        for (_, name, calls) in sets {
            writeln!(f, "\n{name}")?;
            for (what, calls) in [("entries", calls.entries()), ("host calls", calls.host_calls())]
            {
                let calls: Vec<_> = calls
                    .iter()
                    .map(|(name, count)| {
                        let name = name.strip_prefix("proxy_").unwrap_or(name);
                        if *count == 1 { name.to_owned() } else { format!("{name} {count}") }
                    })
                    .collect();
                writeln!(f, "    {what}: {}", calls.join(", "))?;
            }
        }
        Ok(())
    }
}

/// The crossings of each run in the file, by the case, the protocol, and how the head was treated.
fn totals(file: &str) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for line in file.lines().filter(|line| line.contains('/') && !line.starts_with('#')) {
        let mut parts = line.split("  ");
        let case = parts.next().unwrap_or_default();
        for protocol in parts {
            let mut words = protocol.split(' ');
            let protocol = words.next().unwrap_or_default();
            for (held, set) in [" held", ""].into_iter().zip(words) {
                let numbers = set.split('+').map(|number| {
                    number.trim_end_matches(|c: char| c.is_ascii_lowercase()).parse::<u64>().ok()
                });
                if let Some(total) = numbers.sum::<Option<u64>>() {
                    totals.insert(format!("{case} {protocol}{held}"), total);
                }
            }
        }
    }
    totals
}

/// Nothing, `b`, `c`, .. `z`, `ba`, ..
fn letters(number: u32) -> String {
    let mut letters = String::new();
    let mut rest = number;
    while rest > 0 {
        letters.insert(0, char::from(b'a' + u8::try_from(rest % 26).unwrap_or_default()));
        rest /= 26;
    }
    letters
}

const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Grpc => "grpc",
        Protocol::Http => "http",
        Protocol::Json => "json",
        Protocol::Write => "write",
    }
}
