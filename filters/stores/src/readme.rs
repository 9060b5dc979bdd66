//! The tables of the READMEs, generated from the values in the stores' files.

use std::fmt::Write as _;

use sluice_encodings::{Encoding, Encodings};
use sluice_otlp::Format;

use crate::{
    ALL, Defect, Element, Formats, LabelDefaults, Meaning, Outcome, Precedence, Remedy,
    RemoteWrite, Setting, Site, Spelling, Store, TenantAddress, Words,
};

const README: &str = include_str!("../README.md");
const RECORDS: &str = include_str!("../../records/README.md");
const ROUTE: &str = include_str!("../../route/README.md");

/// A table with this head and the `cells` of each store; no row for a store without cells.
fn table<const N: usize>(head: [&str; N], cells: impl Fn(&Store) -> Option<[String; N]>) -> String {
    let mut text = format!("| kind | {} |\n|---|{}\n", head.join(" | "), "---|".repeat(N));
    for store in ALL {
        if let Some(cells) = cells(store) {
            writeln!(text, "| `{}` | {} |", store.name, cells.join(" | ")).unwrap();
        }
    }
    text
}

fn codes<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let codes: Vec<_> = texts.into_iter().map(|text| format!("`{text}`")).collect();
    codes.join(", ")
}

fn encodings(encodings: Encodings) -> String {
    let named = Encoding::ALL.into_iter().filter(|encoding| *encoding != Encoding::Identity);
    codes(named.filter(|encoding| encodings.contains(*encoding)).map(Encoding::as_str))
}

fn formats(formats: Formats) -> String {
    let named = [(Format::Protobuf, "protobuf"), (Format::Json, "json")];
    codes(named.into_iter().filter(|(format, _)| formats.contains(*format)).map(|(_, name)| name))
}

fn remote_write(write: RemoteWrite) -> String {
    match write.path_of_tenant {
        Some(path) => format!("`{path}`, or `{}` if its `path` has no `{{tenant}}`", write.path),
        None => format!("`{}`", write.path),
    }
}

fn tenant(address: TenantAddress) -> String {
    match address {
        TenantAddress::AccountInPath => "the path, as an account number".to_owned(),
        TenantAddress::AccountInHeaders { account, project } => {
            format!("the headers `{account}` and `{project}`, as numbers")
        }
        TenantAddress::OrgId => "the tenant header".to_owned(),
        TenantAddress::Free => "the place that its `path` names".to_owned(),
    }
}

fn spelling(spelling: Spelling) -> &'static str {
    match spelling {
        Spelling::Exact => "`exact`",
        Spelling::Flattened => "`flattened`",
        Spelling::Folded => "`folded`",
    }
}

fn precedence(precedence: Precedence) -> &'static str {
    match precedence {
        Precedence::Any => "`any`",
        Precedence::None => "`none`",
        Precedence::Record => "`record`",
        Precedence::Resource => "`resource`",
        Precedence::Scope => "`scope`",
    }
}

fn labels(LabelDefaults { max, names }: LabelDefaults) -> String {
    format!("at most {max}, of {} attributes", names.len())
}

/// A sentence for each of a store's own wordings.
fn words(Words { statuses, begins, text, means }: &Words) -> String {
    let statuses: Vec<_> = statuses.iter().map(u16::to_string).collect();
    let stands = if *begins { "that begins with" } else { "with" };
    let means = match means {
        Meaning::TooLarge => "the request is too large".to_owned(),
        Meaning::Tenant => "the tenant is missing, or not accepted".to_owned(),
        Meaning::Throttled => "the rate is too high".to_owned(),
        Meaning::Burst(burst) => format!(
            "the rate is too high, or the batch exceeds the burst limit ({} bytes by default)",
            burst.default_burst
        ),
    };
    format!("{} {stands} `{text}`: {means}", statuses.join(" or "))
}

fn all(cells: Vec<String>) -> String {
    if cells.is_empty() { "-".to_owned() } else { cells.join("; ") }
}

#[test]
fn the_readme_shows_every_store() {
    let reached = table(
        [
            "signals and paths",
            "accepts, beside `identity`",
            "formats",
            "gRPC",
            "reads the tenant from",
        ],
        |store| {
            let path = |(signal, path): &(sluice_otlp::Signal, &str)| {
                format!("{} at `{path}`", signal.as_str())
            };
            Some([
                all(store.paths.iter().map(path).collect()),
                encodings(store.encodings),
                formats(store.formats),
                store.grpc.map_or("no".to_owned(), encodings),
                tenant(store.tenant),
            ])
        },
    );
    let writes =
        table(["remote write at"], |store| store.remote_write.map(|at| [remote_write(at)]));
    let reads = table(["spelling", "precedence", "labels", "settings of its own"], |store| {
        Some([
            spelling(store.spelling).to_owned(),
            precedence(store.precedence).to_owned(),
            store.labels.map_or("no limit".to_owned(), labels),
            all(store.settings.iter().map(|setting| format!("`{}`", setting.key())).collect()),
        ])
    });
    let answers = table(
        ["words that say more than the status", "statuses after which a part may be stored"],
        |store| {
            let parts: Vec<_> = store.stores_part_on.iter().map(u16::to_string).collect();
            let has = !store.words.is_empty() || !parts.is_empty();
            has.then(|| [all(store.words.iter().map(words).collect()), all(parts)])
        },
    );
    let steered = table(
        ["headers that change what it does", "paths at which it accepts telemetry"],
        |store| {
            let headers = codes(store.guarded_headers.iter().map(|header| header.name));
            let paths = codes(store.push_paths.iter().copied());
            let has = !headers.is_empty() || !paths.is_empty();
            has.then(|| {
                [headers, paths].map(|cell| if cell.is_empty() { "-".to_owned() } else { cell })
            })
        },
    );
    let tables = [reached, writes, reads, answers, steered];
    let lacking: Vec<_> = tables.into_iter().filter(|table| !README.contains(table)).collect();
    assert!(lacking.is_empty(), "filters/stores/README.md lacks\n{}", lacking.join("\n"));
}

/// What stores refuse or lose, as in the documentation of the rules.
fn refused() -> String {
    let mut text = String::from(
        "| signal | where | what | without the gate | the gate | `reason` |\n|---|---|---|---|---|---|\n",
    );
    for site in Site::ALL {
        let Site { signal, element, defect, remedy } = site;
        let place = match (element, signal) {
            (Element::Exemplar, _) => "exemplar",
            (Element::Metric, _) => "metric",
            (Element::Record, _) => signal.record_name(),
            (Element::Resource, _) => "resource",
            (Element::Scope, _) => "scope",
        };
        let outcome = |store: &Store| {
            let name = store.name;
            let (_, outcome) = store.refuses.iter().find(|(refused, _)| *refused == site)?;
            Some(match outcome {
                Outcome::FailsAnswer => {
                    format!("{name} stores the rest and answers the whole batch with an error")
                }
                Outcome::Loses => format!("{name} discards it silently"),
                Outcome::LosesRecords => {
                    format!("{name} discards its records silently")
                }
                Outcome::RefusesBatch => format!("{name} refuses the whole batch"),
                Outcome::RefusesBatchBefore(release) => {
                    format!("{name} before {release} refuses the whole batch")
                }
            })
        };
        let outcomes: Vec<_> = ALL.into_iter().filter_map(outcome).collect();
        let remedy = match remedy {
            Remedy::Cut => match defect {
                Defect::Exemplar => "cuts the exemplar",
                Defect::InvalidId => "cuts the id",
                _ => "cuts the attribute",
            },
            Remedy::Drop if place == "metric" => "drops the metric",
            Remedy::Drop => "drops the record",
        };
        writeln!(
            text,
            "| {} | {place} | {} | {} | {remedy} | `{}` |",
            signal.as_str(),
            defect.clause(),
            outcomes.join("; "),
            defect.label(),
        )
        .unwrap();
    }
    text
}

#[test]
fn the_documentation_of_the_rules_shows_what_stores_refuse() {
    let refused = refused();
    assert!(RECORDS.contains(&refused), "filters/records/README.md lacks\n{refused}");
}

#[test]
fn the_documentation_of_entries_says_whose_setting_each_is() {
    for setting in [
        Setting::BurstBytes,
        Setting::Labels,
        Setting::MaxTraceBytes,
        Setting::ScopeAttributes,
        Setting::TakesDelta,
    ] {
        let key = format!("| `{}", setting.key());
        let row = ROUTE.lines().find(|line| line.starts_with(&key)).unwrap();
        let stores = codes(setting.stores().map(|store| store.name));
        assert!(row.contains(&format!(" | {stores} | ")), "{row} of {stores}");
    }
    let of = |key: &str, has: fn(&Store) -> bool| {
        let stores = codes(ALL.into_iter().filter(|store| has(store)).map(|store| store.name));
        let row = format!("| `{key}` | {stores} | ");
        assert!(ROUTE.lines().any(|line| line.starts_with(&row)), "there is no {row}");
    };
    of("remoteWritePath", |store| store.remote_write.is_some());
    of("grpcCluster", |store| store.grpc.is_some());
}

#[test]
fn no_store_has_two_outcomes_at_one_site_or_one_that_the_table_lacks() {
    for store in ALL {
        for (index, (site, _)) in store.refuses.iter().enumerate() {
            assert!(Site::ALL.contains(site), "{}: {site:?}", store.name);
            let mut others = store.refuses.iter().skip(index + 1);
            assert!(others.all(|(other, _)| other != site), "{}: {site:?}", store.name);
        }
    }
    for (index, site) in Site::ALL.iter().enumerate() {
        for other in Site::ALL.iter().skip(index + 1) {
            let same = (site.signal, site.element, site.defect)
                == (other.signal, other.element, other.defect);
            assert!(!same, "{site:?} and {other:?}");
        }
    }
}

#[test]
fn stores_are_listed_by_their_names_and_found_by_them() {
    assert!(ALL.is_sorted_by_key(|store| store.name));
    for store in ALL {
        let found: &Store = serde_json::from_value(store.name.into()).unwrap();
        assert_eq!(found, store);
        assert!(!store.paths.is_empty(), "{} stores nothing", store.name);
    }
    let unknown = serde_json::from_value::<&'static Store>("elastic".into()).unwrap_err();
    assert!(
        unknown
            .to_string()
            .starts_with("unknown variant `elastic`, expected one of `loki`, `mimir`, "),
        "{unknown}"
    );
}

/// A header has one meaning, whichever store it is guarded for.
#[test]
fn a_guarded_header_has_one_effect() {
    let headers: Vec<_> = ALL.iter().flat_map(|store| store.guarded_headers).collect();
    for header in &headers {
        assert_eq!(header.name, header.name.to_lowercase());
        for other in headers.iter().filter(|other| other.name == header.name) {
            assert_eq!(other.effect, header.effect, "{}", header.name);
        }
    }
}
