use sluice_config::{ConfigProblem, check};
use sluice_headers::HeaderEdit;
use sluice_senders::{Ambiguity, Evidence, PeerError, SenderStage};
use sluice_tenant::{TenantStage, Tenanted};

use super::*;
use crate::{BACKEND_HEADER, Endpoint, MIRROR_HEADER, Transport};

const ORG_IDS: Context = Context { tenant_ids: Some(TenantIds::OrgId) };
const ACCOUNTS: Context = Context { tenant_ids: Some(TenantIds::Account) };
const TEXTS: Context = Context { tenant_ids: Some(TenantIds::Text) };
const NO_TENANTS: Context = Context { tenant_ids: None };

fn compile(json: &str, context: Context) -> Result<Routes, Vec<ConfigProblem>> {
    let config: BackendsConfig = serde_json::from_str(json).unwrap();
    check("backends", |place| config.compile(place, context))
}

fn routes(json: &str, context: Context) -> Routes {
    compile(json, context).unwrap()
}

fn problems(json: &str, context: Context) -> Vec<String> {
    compile(json, context).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The paths of the problems.
fn places(json: &str, context: Context) -> Vec<String> {
    compile(json, context).unwrap_err().into_iter().map(|problem| problem.path).collect()
}

/// A request of this tenant.
fn of_tenant(tenant: &str, ids: TenantIds) -> Tenanted {
    let ids = match ids {
        TenantIds::Account => "account",
        TenantIds::OrgId => "orgId",
        TenantIds::Text => "text",
    };
    tenanted(&format!(r#"{{"fixed": "{tenant}", "ids": "{ids}"}}"#))
}

/// A request without a tenant.
fn of_none() -> Tenanted {
    tenanted("null")
}

/// A request that has passed a `tenant` section.
fn tenanted(section: &str) -> Tenanted {
    let mut evidence = Evidence {
        certificate: &mut || Err(PeerError::NoCertificate),
        header: &|_| Vec::new(),
        metadata: None,
        now: 0,
    };
    let senders = check("senders", |place| SenderStage::compile(None, place)).unwrap();
    let admission = senders.admit(&mut evidence, Ambiguity::Refused).unwrap();
    let section = serde_json::from_str(section).unwrap();
    let tenants = check("tenant", |place| TenantStage::compile(section, place)).unwrap();
    tenants.assign(admission).unwrap()
}

/// The values of some headers that are set for a request to an endpoint.
fn set<const N: usize>(endpoint: &Endpoint<'_>, names: [&str; N]) -> [Option<String>; N] {
    let edits = endpoint.header_edits(Format::Protobuf, std::iter::empty());
    names.map(|name| {
        edits.iter().find_map(|edit| match edit {
            HeaderEdit::Set(set, value) if set == name => Some(value.clone()),
            _ => None,
        })
    })
}

/// The cluster of a tenant's metrics, and the cluster of the mirrored request.
fn places_of(routes: &Routes, tenant: &str) -> [Option<String>; 2] {
    let tenant = of_tenant(tenant, TenantIds::OrgId);
    let backend = routes.pick(Signal::Metrics).unwrap();
    let endpoint = backend.endpoint(&tenant, Transport::Http).unwrap();
    set(&endpoint, [BACKEND_HEADER, MIRROR_HEADER])
}

/// The path of write requests to the backend for metrics, if it supports them.
fn write_path(json: &str, context: Context, tenant: &str) -> Option<String> {
    let routes = routes(&format!(r#"{{"metrics": {json}}}"#), context);
    let tenant = context.tenant_ids.map_or_else(of_none, |ids| of_tenant(tenant, ids));
    let endpoint = routes.pick(Signal::Metrics).unwrap().write_endpoint(&tenant)?;
    let [path] = set(&endpoint.unwrap(), [":path"]);
    path
}

#[test]
fn remote_write_has_a_path_where_the_backend_takes_it() {
    for (backend, context, expected) in [
        (r#"{"kind": "mimir", "cluster": "x"}"#, ORG_IDS, Some("/api/v1/push")),
        (r#"{"kind": "prometheus", "cluster": "x"}"#, ORG_IDS, Some("/api/v1/write")),
        (
            r#"{"kind": "victoriametrics", "cluster": "x"}"#,
            ACCOUNTS,
            Some("/insert/12/prometheus/api/v1/write"),
        ),
        (
            r#"{"kind": "victoriametrics", "cluster": "x", "path": "/opentelemetry/v1/metrics"}"#,
            ORG_IDS,
            Some("/api/v1/write"),
        ),
        (
            r#"{"kind": "prometheus", "cluster": "x", "remoteWritePath": "/workspaces/{tenant}/x"}"#,
            ORG_IDS,
            Some("/workspaces/12/x"),
        ),
        (r#"{"kind": "otlp", "cluster": "x"}"#, ORG_IDS, None),
        (r#"{"kind": "signoz", "cluster": "x"}"#, ORG_IDS, None),
    ] {
        assert_eq!(write_path(backend, context, "12").as_deref(), expected, "{backend}");
    }
}

#[test]
fn a_path_of_remote_write_that_is_of_no_use_is_a_problem() {
    for (backend, context) in [
        (r#"{"kind": "otlp", "cluster": "x", "remoteWritePath": "/a"}"#, ORG_IDS),
        (r#"{"kind": "mimir", "cluster": "x", "remoteWritePath": "a"}"#, ORG_IDS),
        (r#"{"kind": "mimir", "cluster": "x", "remoteWritePath": "/a?b"}"#, ORG_IDS),
        (r#"{"kind": "mimir", "cluster": "x", "remoteWritePath": "/{tenant}"}"#, NO_TENANTS),
    ] {
        let found = places(&format!(r#"{{"metrics": {backend}}}"#), context);
        assert_eq!(found, ["backends.metrics.remoteWritePath"], "{backend}");
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let found = places(
        r#"{
            "logs": {"kind": "mimir", "cluster": "loki"},
            "metrics": {
                "kind": "mimir", "cluster": "mi\r\nmir", "grpcCluster": "mimir", "path": "x",
                "encodings": ["gzip", "br", "GZIP"], "formats": [],
                "cells": [{"tenants": [], "cluster": "b"},
                          {"tenants": ["*", "a*b", "a|b", "team-*"], "cluster": "", "grpcCluster": "c"}],
                "canary": {"cluster": "", "percent": 100},
                "mirror": [{"tenants": ["a"], "cluster": "c", "grpcCluster": "d"}]
            },
            "profiles": {"kind": "pyroscope", "cluster": "pyroscope", "takesDelta": true},
            "traces": {"kind": "tempo", "cluster": ""}
        }"#,
        ORG_IDS,
    );
    assert_eq!(
        found,
        [
            "backends.logs.kind",
            "backends.metrics.path",
            "backends.metrics.encodings[1]",
            "backends.metrics.encodings[2]",
            "backends.metrics.formats",
            "backends.metrics.grpcCluster",
            "backends.metrics.cluster",
            "backends.metrics.cells[0].tenants",
            "backends.metrics.cells[1].tenants[0]",
            "backends.metrics.cells[1].tenants[1]",
            "backends.metrics.cells[1].tenants[2]",
            "backends.metrics.cells[1].grpcCluster",
            "backends.metrics.cells[1].cluster",
            "backends.metrics.mirror[0].grpcCluster",
            "backends.metrics.canary.cluster",
            "backends.metrics.canary.percent",
            "backends.profiles.takesDelta",
            "backends.traces.cluster",
        ]
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    for json in [
        r#"{"events": {"kind": "otlp", "cluster": "a"}}"#,
        r#"{"logs": {"kind": "elastic", "cluster": "a"}}"#,
        r#"{"logs": {"kind": "otlp", "cluster": "a", "formats": ["xml"]}}"#,
        r#"{"logs": {"kind": "otlp", "cluster": "a", "cells": [{"cluster": "b"}]}}"#,
        r#"{"logs": {"kind": "otlp", "cluster": "a", "cells": [{"tenants": ["a"], "to": "b"}]}}"#,
        r#"{"logs": {"kind": "otlp", "cluster": "a", "canary": {"cluster": "b"}}}"#,
        r#"{"logs": {"kind": "otlp", "cluster": "a", "canary": {"cluster": "b", "percent": 2.5}}}"#,
        r#"{"logs": {"kind": "otlp", "cluster": "a", "canary": {"cluster": "b", "percent": 5, "by": "traceId"}}}"#,
        r#"{"logs": {"kind": "otlp", "cluster": "a", "spelling": "loose"}}"#,
    ] {
        assert!(serde_json::from_str::<BackendsConfig>(json).is_err(), "{json}");
    }
}

#[test]
fn labels_do_not_move_to_scopes_that_are_thrown_away() {
    let json = |labels: &str| {
        format!(
            r#"{{"logs": {{"kind": "loki", "cluster": "loki", "scopeAttributes": "dropped",
                 "labels": {labels}}}}}"#
        )
    };
    let found = places(&json(r#"{"overflow": "move"}"#), ORG_IDS);
    assert_eq!(found, ["backends.logs.labels.overflow"]);
    let routes = routes(&json(r#"{"max": 3}"#), ORG_IDS);
    let labels = routes.pick(Signal::Logs).unwrap().traits().labels.as_ref();
    assert_eq!(labels.map(|labels| labels.overflow), Some(sluice_stores::Overflow::Drop));
}

#[test]
fn no_backend_at_all_is_refused() {
    assert_eq!(places("{}", ORG_IDS), ["backends"]);
}

#[test]
fn a_list_of_encodings_takes_the_place_of_the_kinds_own() {
    let takes = |encodings: &str| {
        let json = format!(
            r#"{{"metrics": {{"kind": "mimir", "cluster": "mimir", "encodings": {encodings}}}}}"#
        );
        let routes = routes(&json, NO_TENANTS);
        let backend = routes.pick(Signal::Metrics).unwrap();
        backend.endpoint(&of_none(), Transport::Http).unwrap().encodings()
    };
    let expected = Encodings::NONE.with(Encoding::Identity).with(Encoding::Zstd);
    assert_eq!(takes(r#"["zstd", "identity"]"#), expected);
    assert!(!takes("[]").contains(Encoding::Gzip));
}

#[test]
fn each_signal_finds_its_own_backend() {
    let routes = routes(
        r#"{"logs": {"kind": "loki", "cluster": "logs-cell-1"},
            "traces": {"kind": "tempo", "cluster": "tempo"}}"#,
        NO_TENANTS,
    );
    assert_eq!(routes.pick(Signal::Logs).unwrap().store().name, "loki");
    assert_eq!(routes.pick(Signal::Metrics), None);
    assert_eq!(routes.pick(Signal::Traces).unwrap().store().name, "tempo");
}

#[test]
fn a_kind_stores_what_it_stores() {
    for (kind, stored) in [
        ("loki", &["logs"][..]),
        ("mimir", &["metrics"]),
        ("otlp", &["logs", "metrics", "profiles", "traces"]),
        ("prometheus", &["metrics"]),
        ("pyroscope", &["profiles"]),
        ("signoz", &["logs", "metrics", "traces"]),
        ("tempo", &["traces"]),
        ("victorialogs", &["logs"]),
        ("victoriametrics", &["metrics"]),
    ] {
        let context = if kind.starts_with("victoria") { ACCOUNTS } else { ORG_IDS };
        for signal in ["logs", "metrics", "profiles", "traces"] {
            let json = format!(r#"{{"{signal}": {{"kind": "{kind}", "cluster": "c"}}}}"#);
            assert_eq!(compile(&json, context).is_ok(), stored.contains(&signal), "{json}");
        }
    }
}

/// What every kind requires of tenant ids, so that none of them reads a tenant as a different one.
#[test]
fn a_kind_is_told_of_tenants_in_its_own_way_or_not_at_all() {
    let with = |kind: &str, more: &str, context| {
        let signal = match kind {
            "loki" | "victorialogs" => "logs",
            "tempo" => "traces",
            "pyroscope" => "profiles",
            _ => "metrics",
        };
        let json = format!(r#"{{"{signal}": {{"kind": "{kind}", "cluster": "c"{more}}}}}"#);
        compile(&json, context).map(drop)
    };
    for kind in ["loki", "mimir", "tempo", "pyroscope"] {
        assert_eq!(with(kind, "", ORG_IDS), Ok(()));
        assert_eq!(with(kind, "", ACCOUNTS), Ok(()));
        assert_eq!(with(kind, "", NO_TENANTS), Ok(()));
        assert!(with(kind, "", TEXTS).is_err(), "{kind}");
    }
    for kind in ["otlp", "prometheus", "signoz"] {
        for context in [ORG_IDS, ACCOUNTS, TEXTS, NO_TENANTS] {
            assert_eq!(with(kind, "", context), Ok(()));
        }
        let path = r#", "path": "/{tenant}/v1/metrics""#;
        assert_eq!(with(kind, path, TEXTS), Ok(()));
        assert!(with(kind, path, NO_TENANTS).is_err(), "{kind}");
    }
    for kind in ["victorialogs", "victoriametrics"] {
        assert_eq!(with(kind, "", ACCOUNTS), Ok(()));
        for context in [ORG_IDS, TEXTS, NO_TENANTS] {
            assert!(with(kind, "", context).is_err(), "{kind}");
        }
    }
    // A single node has no tenants.
    let single = r#", "path": "/opentelemetry/v1/metrics""#;
    for context in [ORG_IDS, ACCOUNTS, TEXTS, NO_TENANTS] {
        assert_eq!(with("victoriametrics", single, context), Ok(()));
    }
    assert_eq!(
        problems(r#"{"logs": {"kind": "victorialogs", "cluster": "c"}}"#, ORG_IDS),
        ["backends.logs.kind: victorialogs uses numeric tenants: set tenant.ids: account"]
    );
}

#[test]
fn an_account_is_in_the_path_or_in_headers() {
    let routes = routes(
        r#"{"logs": {"kind": "victorialogs", "cluster": "vl"},
            "metrics": {"kind": "victoriametrics", "cluster": "vm"}}"#,
        ACCOUNTS,
    );
    let headers = [":path", "accountid", "projectid"];
    let told = |signal, tenant| {
        let tenant = of_tenant(tenant, TenantIds::Account);
        let backend = routes.pick(signal).unwrap();
        set(&backend.endpoint(&tenant, Transport::Http).unwrap(), headers)
            .map(Option::unwrap_or_default)
    };
    let path = "/insert/opentelemetry/v1/logs";
    assert_eq!(told(Signal::Logs, "12:3"), [path, "12", "3"]);
    assert_eq!(told(Signal::Logs, "12"), [path, "12", "0"]);
    let path = "/insert/12:3/opentelemetry/v1/metrics";
    assert_eq!(told(Signal::Metrics, "12:3"), [path, "", ""]);
    let vm = routes.pick(Signal::Metrics).unwrap();
    assert_eq!(
        vm.endpoint(&of_none(), Transport::Http),
        Err(sluice_tenant::NoTenant::Unidentified)
    );
}

#[test]
fn a_project_is_no_tenant_where_a_colon_begins_something_else() {
    let routes = routes(r#"{"metrics": {"kind": "mimir", "cluster": "mimir"}}"#, ACCOUNTS);
    let mimir = routes.pick(Signal::Metrics).unwrap();
    let account = of_tenant("12", TenantIds::Account);
    assert!(mimir.endpoint(&account, Transport::Http).is_ok());
    let project = of_tenant("12:3", TenantIds::Account);
    let refused = mimir.endpoint(&project, Transport::Http).unwrap_err();
    assert!(refused.to_string().contains("\"12:3\" cannot be sent to mimir"), "{refused}");
}

const PLACES: &str = r#"{"metrics": {
    "kind": "mimir", "cluster": "mimir",
    "cells": [{"tenants": ["payments", "team-*"], "cluster": "mimir-b"},
              {"tenants": ["team-blue", "search"], "cluster": "mimir-c"}],
    "canary": {"cluster": "mimir-next", "percent": 99},
    "mirror": [{"tenants": ["payments", "a*"], "cluster": "copy"},
               {"tenants": ["abc"], "cluster": "never"}]
}}"#;

#[test]
fn the_first_cell_that_has_a_tenant_is_its_place_and_no_canary_is() {
    let routes = routes(PLACES, ORG_IDS);
    let cluster = |tenant: &str| places_of(&routes, tenant)[0].clone().unwrap();
    for (tenant, expected) in [
        ("payments", "mimir-b"),
        ("team-blue", "mimir-b"),
        ("team-", "mimir-b"),
        ("search", "mimir-c"),
    ] {
        assert_eq!(cluster(tenant), expected, "{tenant}");
    }
    let others = (0..1000).map(|number| cluster(&format!("other-{number}")));
    let next = others.filter(|cluster| cluster == "mimir-next").count();
    assert!((980..=998).contains(&next), "{next} of 1000");
    assert!(!["Payments", "team", "payments2"].map(cluster).contains(&"mimir-b".to_owned()));
}

#[test]
fn the_first_mirror_that_has_a_tenant_gets_the_copy() {
    let routes = routes(PLACES, ORG_IDS);
    let copy = |tenant: &str| places_of(&routes, tenant)[1].clone();
    assert_eq!(copy("payments").as_deref(), Some("copy"));
    assert_eq!(copy("abc").as_deref(), Some("copy"));
    assert_eq!(copy("search"), None);
}

#[test]
fn a_cell_and_a_canary_have_clusters_for_grpc_or_take_it_over_http() {
    let routes = routes(
        r#"{"traces": {
            "kind": "tempo", "cluster": "tempo", "grpcCluster": "tempo-grpc",
            "cells": [{"tenants": ["a"], "cluster": "b", "grpcCluster": "b-grpc"},
                      {"tenants": ["c"], "cluster": "d"}],
            "canary": {"cluster": "next", "grpcCluster": "next-grpc", "percent": 5, "by": "tenant"}
        }}"#,
        ORG_IDS,
    );
    let tempo = routes.pick(Signal::Traces).unwrap();
    let spoken = |tenant, from| {
        let tenant = of_tenant(tenant, TenantIds::OrgId);
        let endpoint = tempo.endpoint(&tenant, from).unwrap();
        let [cluster] = set(&endpoint, [BACKEND_HEADER]).map(Option::unwrap_or_default);
        (endpoint.transport(), cluster)
    };
    for (tenant, from, expected) in [
        ("a", Transport::Grpc, (Transport::Grpc, "b-grpc")),
        ("a", Transport::Http, (Transport::Http, "b")),
        ("c", Transport::Grpc, (Transport::Http, "d")),
        ("x", Transport::Grpc, (Transport::Grpc, "tempo-grpc")),
        ("x", Transport::Http, (Transport::Http, "tempo")),
        // In the share of five percent (`share::tests::who_is_in_it_stays_in_it`).
        ("team-60", Transport::Grpc, (Transport::Grpc, "next-grpc")),
        ("team-60", Transport::Http, (Transport::Http, "next")),
    ] {
        assert_eq!(spoken(tenant, from), (expected.0, expected.1.to_owned()), "{tenant}");
    }
}

#[test]
fn a_canary_has_a_cluster_for_grpc_where_its_backend_has_one() {
    let half = r#"{"traces": {"kind": "tempo", "cluster": "a", "grpcCluster": "g",
                   "canary": {"cluster": "b", "percent": 5}}}"#;
    assert_eq!(places(half, ORG_IDS), ["backends.traces.canary.grpcCluster"]);
}

#[test]
fn whoever_is_told_apart_must_be_known() {
    let json = r#"{"logs": {"kind": "loki", "cluster": "a",
        "cells": [{"tenants": ["a"], "cluster": "b"}], "mirror": [{"tenants": ["a"], "cluster": "b"}],
        "canary": {"cluster": "b", "percent": 5}}}"#;
    let expected = ["backends.logs.cells", "backends.logs.mirror", "backends.logs.canary.by"];
    assert_eq!(places(json, NO_TENANTS), expected);
}

#[test]
fn formats_are_the_kinds_own_unless_they_are_listed() {
    let takes = |more: &str| {
        let json = format!(
            r#"{{"metrics": {{"kind": "victoriametrics", "cluster": "a", "path": "/x"{more}}}}}"#
        );
        let routes = routes(&json, NO_TENANTS);
        let backend = routes.pick(Signal::Metrics).unwrap();
        let request = of_none();
        let endpoint = backend.endpoint(&request, Transport::Http).unwrap();
        [Format::Protobuf, Format::Json].map(|f| endpoint.takes(f))
    };
    assert_eq!(takes(""), [true, false]);
    assert_eq!(takes(r#", "formats": ["json", "protobuf"]"#), [true, true]);
    assert_eq!(takes(r#", "formats": ["json"]"#), [false, true]);
}

#[test]
fn how_a_backend_reads_may_be_said() {
    use sluice_stores::{Precedence, Spelling};
    let reads = |more: &str| {
        let json = format!(r#"{{"logs": {{"kind": "otlp", "cluster": "a"{more}}}}}"#);
        let routes = routes(&json, NO_TENANTS);
        let traits = routes.pick(Signal::Logs).unwrap().traits().clone();
        (traits.spelling, traits.precedence)
    };
    assert_eq!(reads(""), (Spelling::Flattened, Precedence::Any));
    assert_eq!(
        reads(r#", "spelling": "exact", "precedence": "none""#),
        (Spelling::Exact, Precedence::None)
    );
    let twice = r#"{"logs": {"kind": "loki", "cluster": "a", "scopeAttributes": "dropped",
                    "precedence": "resource"}}"#;
    assert_eq!(places(twice, ORG_IDS), ["backends.logs.scopeAttributes"]);
}
