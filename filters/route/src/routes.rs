//! Which backend each signal has.

use serde::Deserialize;
use sluice_otlp::{
    Signal,
    content::{Encoding, Encodings},
};
use sluice_senders::ConfigProblem;

use crate::{
    Backend, Endpoint, Kind, Transport,
    traits::{LabelsConfig, ScopeAttributes},
};

/// The section `backends` as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendsConfig {
    logs: Option<BackendConfig>,
    metrics: Option<BackendConfig>,
    profiles: Option<BackendConfig>,
    traces: Option<BackendConfig>,
}

/// One backend as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BackendConfig {
    /// Whose contract it keeps.
    pub(crate) kind: Kind,
    /// What goes into the header that Envoy routes by: a cluster's name, or whatever a route
    /// matches on.
    cluster: String,
    /// The same for requests that come over gRPC, of a kind that takes them so. If left out, they go to
    /// `cluster` over HTTP.
    grpc_cluster: Option<String>,
    /// Loki: the resource attributes that become labels.
    pub(crate) labels: Option<LabelsConfig>,
    /// Loki: whether it keeps the attributes of scopes; it does, if left out.
    pub(crate) scope_attributes: Option<ScopeAttributes>,
    /// Tempo: what it takes of one trace, in bytes (its `max_bytes_per_trace`); not looked at, if left
    /// out.
    pub(crate) max_trace_bytes: Option<u64>,
    /// Mimir: whether it takes delta temporality; it does not, if left out.
    pub(crate) takes_delta: Option<bool>,
    /// The content encodings that it takes, by their names in `content-encoding`; what its kind
    /// takes if left out.
    encodings: Option<Vec<String>>,
}

/// The backend of each signal; a signal that has none is refused.
#[derive(Clone, Debug)]
pub struct Routes {
    logs: Option<Backend>,
    metrics: Option<Backend>,
    profiles: Option<Backend>,
    traces: Option<Backend>,
}

impl BackendsConfig {
    /// Checks the section. `path` is where it stands, for the problems' paths.
    ///
    /// # Errors
    /// Every [`ConfigProblem`] there is.
    pub fn compile(self, path: &str) -> Result<Routes, Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        let mut backend = |signal: Signal, config: Option<BackendConfig>| {
            let config = config?;
            let kind = config.kind;
            let path = format!("{path}.{}", signal.as_str());
            if kind.signal() != signal {
                let (kind, stores) = (kind.as_str(), kind.signal().as_str());
                let message = format!("{kind} stores {stores}, not {}", signal.as_str());
                problems.push(ConfigProblem::new(format!("{path}.kind"), message));
            }
            let traits = config.traits(&path, &mut problems);
            let encodings = match config.encodings {
                Some(names) => listed(&names, &format!("{path}.encodings"), &mut problems),
                None => kind.encodings(),
            };
            let http = Endpoint {
                transport: Transport::Http,
                cluster: cluster(config.cluster, format!("{path}.cluster"), &mut problems),
                path: kind.path(),
                encodings,
            };
            let grpc = config.grpc_cluster.and_then(|name| {
                let path = format!("{path}.grpcCluster");
                let Some(encodings) = kind.grpc_encodings() else {
                    let message =
                        format!("{} takes no OTLP over gRPC: leave it out", kind.as_str());
                    problems.push(ConfigProblem::new(path, message));
                    return None;
                };
                Some(Endpoint {
                    transport: Transport::Grpc,
                    cluster: cluster(name, path, &mut problems),
                    path: signal.grpc_path(),
                    encodings,
                })
            });
            Some(Backend { kind, traits, http, grpc })
        };
        let routes = Routes {
            logs: backend(Signal::Logs, self.logs),
            metrics: backend(Signal::Metrics, self.metrics),
            profiles: backend(Signal::Profiles, self.profiles),
            traces: backend(Signal::Traces, self.traces),
        };
        if Signal::ALL.into_iter().all(|signal| routes.pick(signal).is_none()) {
            let message =
                "no signal has a backend: name at least one of logs, metrics, traces and profiles";
            problems.push(ConfigProblem::new(path, message));
        }
        if problems.is_empty() { Ok(routes) } else { Err(problems) }
    }
}

/// A cluster's name, as far as a header can carry it.
fn cluster(name: String, path: String, problems: &mut Vec<ConfigProblem>) -> String {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("{name:?} cannot be a header's value: name a cluster");
        problems.push(ConfigProblem::new(path, message));
    }
    name
}

/// The set of the encodings with these names.
fn listed(names: &[String], path: &str, problems: &mut Vec<ConfigProblem>) -> Encodings {
    let mut listed = Encodings::NONE;
    for (index, name) in names.iter().enumerate() {
        match Encoding::ALL.into_iter().find(|encoding| encoding.as_str() == name) {
            Some(encoding) => listed = listed.with(encoding),
            None => {
                let known = Encoding::ALL.map(Encoding::as_str).join(", ");
                let message = format!("{name:?} is no encoding that is known: use {known}");
                problems.push(ConfigProblem::new(format!("{path}[{index}]"), message));
            }
        }
    }
    listed
}

impl Routes {
    /// The backend of a signal, if it has one.
    #[must_use]
    pub const fn pick(&self, signal: Signal) -> Option<&Backend> {
        match signal {
            Signal::Logs => self.logs.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Profiles => self.profiles.as_ref(),
            Signal::Traces => self.traces.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(kind: Kind, cluster: &str) -> Option<BackendConfig> {
        Some(BackendConfig {
            kind,
            cluster: cluster.to_owned(),
            grpc_cluster: None,
            labels: None,
            scope_attributes: None,
            max_trace_bytes: None,
            takes_delta: None,
            encodings: None,
        })
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_place() {
        let config = BackendsConfig {
            logs: backend(Kind::Mimir, "loki"),
            metrics: Some(BackendConfig {
                grpc_cluster: Some("mimir".to_owned()),
                ..backend(Kind::Mimir, "mi\r\nmir").unwrap()
            }),
            traces: backend(Kind::Tempo, ""),
            profiles: Some(BackendConfig {
                takes_delta: Some(true),
                ..backend(Kind::Pyroscope, "pyroscope").unwrap()
            }),
        };
        let problems = config.compile("backends").unwrap_err();
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "backends.logs.kind",
                "backends.metrics.cluster",
                "backends.metrics.grpcCluster",
                "backends.profiles.takesDelta",
                "backends.traces.cluster"
            ]
        );
    }

    #[test]
    fn labels_do_not_move_to_scopes_that_are_thrown_away() {
        let compile = |labels: &str| {
            let json = format!(
                r#"{{"logs": {{"kind": "loki", "cluster": "loki", "scopeAttributes": "dropped",
                     "labels": {labels}}}}}"#
            );
            serde_json::from_str::<BackendsConfig>(&json).unwrap().compile("backends")
        };
        let problems = compile(r#"{"overflow": "move"}"#).unwrap_err();
        assert_eq!(problems[0].path, "backends.logs.labels.overflow");
        let routes = compile(r#"{"max": 3}"#).unwrap();
        let labels = routes.pick(Signal::Logs).unwrap().traits().labels.as_ref();
        assert_eq!(labels.map(|labels| labels.overflow), Some(sluice_records::Overflow::Drop));
    }

    #[test]
    fn no_backend_at_all_is_refused() {
        assert_eq!(BackendsConfig::default().compile("backends").unwrap_err().len(), 1);
    }

    #[test]
    fn a_list_of_encodings_takes_the_place_of_the_kinds_own() {
        let takes = |names: &[&str]| {
            let mut metrics = backend(Kind::Mimir, "mimir");
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            metrics.as_mut().unwrap().encodings = Some(names);
            BackendsConfig { metrics, ..BackendsConfig::default() }.compile("backends")
        };
        let routes = takes(&["zstd", "identity"]).unwrap();
        let encodings = routes.pick(Signal::Metrics).unwrap().http.encodings();
        assert_eq!(encodings, Encodings::NONE.with(Encoding::Identity).with(Encoding::Zstd));
        let none = takes(&[]).unwrap();
        assert!(!none.pick(Signal::Metrics).unwrap().http.encodings().contains(Encoding::Gzip));

        let problems = takes(&["gzip", "br", "GZIP"]).unwrap_err();
        let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["backends.metrics.encodings[1]", "backends.metrics.encodings[2]"]);
    }

    #[test]
    fn each_signal_finds_its_own_backend() {
        let config = BackendsConfig {
            logs: backend(Kind::Loki, "logs-cell-1"),
            metrics: None,
            profiles: None,
            traces: backend(Kind::Tempo, "tempo"),
        };
        let routes = config.compile("backends").unwrap();
        let logs = routes.pick(Signal::Logs).unwrap();
        assert_eq!((logs.kind(), logs.http.cluster.as_str()), (Kind::Loki, "logs-cell-1"));
        assert_eq!(routes.pick(Signal::Metrics), None);
        assert_eq!(routes.pick(Signal::Traces).unwrap().kind(), Kind::Tempo);
    }
}
