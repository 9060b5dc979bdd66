//! Envoy's configuration for this machine: `envoy.yaml` with its paths, ports and host names replaced. A container and
//! a local run use the same file, so that what is tried here is what is deployed.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use json_patch::Patch;
use serde_json::{Value, json};

/// The configuration for containers, unchanged.
pub(crate) const ENVOY_YAML: &str = include_str!("../envoy.yaml");

/// The Lua filter that adds a body to header-only replies.
pub(crate) const HEADER_ONLY_LUA: &str = include_str!("../header-only.lua");

/// The values that differ on this machine.
pub(crate) struct Local<'a> {
    /// The configuration for containers, as YAML or JSON.
    pub(crate) envoy: &'a str,
    /// The wasm module's file.
    pub(crate) module: &'a Path,
    /// The file with [`HEADER_ONLY_LUA`].
    pub(crate) header_only: &'a Path,
    /// The folder with `ca.pem`, `server.pem` and `server.key`.
    pub(crate) certificates: &'a Path,
    /// The loopback addresses to listen on.
    pub(crate) loopback: &'a [IpAddr],
    /// The port for OTLP/gRPC. 0 means a free port, on the first loopback address only, because each address would get
    /// a different one.
    pub(crate) grpc_port: u16,
    /// As `grpc_port`.
    pub(crate) http_port: u16,
    /// As `grpc_port`.
    pub(crate) admin_port: u16,
    /// Loki, Mimir, Tempo and Pyroscope.
    pub(crate) backends: [(&'static str, SocketAddr); 5],
    /// Whether the gate holds the headers until it has read the body.
    pub(crate) hold_headers: bool,
    /// Merged over the gate's configuration (RFC 7396).
    pub(crate) gate: Option<&'a Value>,
    /// Listeners in addition to the two of `envoy.yaml`.
    pub(crate) more: &'a [Listener],
    /// Clusters in addition to those of the backends.
    pub(crate) clusters: &'a [Cluster],
    /// Merged over the clusters of these names (RFC 7396); their addresses stay.
    pub(crate) cluster_settings: &'a BTreeMap<String, Value>,
    /// Applied to the result (RFC 6902).
    pub(crate) patch: &'a Patch,
}

/// A cluster in addition to those of `envoy.yaml`.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The cluster of `envoy.yaml` from which this one is copied; it has the same protocol.
    pub like: String,
    /// The address; that of the copied cluster if `None`.
    pub address: Option<SocketAddr>,
}

/// A listener in addition to the two, with its own gate, for tests that need many gates but only one Envoy.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The complete configuration of its gate. Envoy is configured to match the `holdHeaders` in it.
    pub gate: Value,
    /// Whether a sender must show a certificate.
    pub certificate_required: bool,
    /// Whether the Lua filter runs after the gate.
    pub header_only_filter: bool,
    /// How long Envoy waits for a backend, as a duration in protobuf's JSON; the value of `envoy.yaml` if `None`.
    pub timeout: Option<String>,
    /// Envoy's own HTTP filters before the gate.
    pub filters_before: Vec<Value>,
    /// The cluster for requests that the gate lets pass without a backend. If `None`, Envoy answers them with 404.
    pub other_paths: Option<String>,
}

/// Why no configuration for this machine could be made from `envoy.yaml`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not YAML.
    #[error("envoy-local/envoy.yaml: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// A field that is replaced here is missing.
    #[error(
        "envoy-local/envoy.yaml has no {0}, which the local run fills in: change envoy-local/src/config.rs along with the file"
    )]
    Missing(String),
    /// The gate's configuration in it is not JSON.
    #[error("envoy-local/envoy.yaml: the gate's configuration: {0}")]
    Gate(#[from] serde_json::Error),
    /// A patch of [`Options::patch`](crate::Options::patch) does not fit.
    #[error("the patch of Envoy's configuration: {0}")]
    Patch(#[from] json_patch::PatchError),
}

/// The JSON pointer of a cluster's address.
const ENDPOINT: &str = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address";

/// Returns Envoy's configuration for this machine.
///
/// # Errors
/// If `envoy.yaml` does not have the expected structure.
pub(crate) fn envoy(local: &Local<'_>) -> Result<Value, ConfigError> {
    let mut envoy: Value = serde_yaml_ng::from_str(local.envoy)?;
    *at(&mut envoy, "/admin/address/socket_address/port_value")? = local.admin_port.into();
    for (listener, port) in [("otlp_grpc", local.grpc_port), ("otlp_http", local.http_port)] {
        let listener = named(at(&mut envoy, "/static_resources/listeners")?, listener)?;
        listen(listener, local.loopback, port)?;
        certificates(listener, local.certificates)?;
        let filters = at(listener, "/filter_chains/0/filters/0/typed_config/http_filters")?;
        gate(named(filters, "sluice")?, local)?;
        let lua = named(filters, "header_only")?;
        *at(lua, "/typed_config/default_source_code/filename")? = path(local.header_only);
    }
    for more in local.more {
        let listeners = at(&mut envoy, "/static_resources/listeners")?;
        let mut listener = named(listeners, "otlp_http")?.clone();
        listener["name"] = more.name.as_str().into();
        listen(&mut listener, local.loopback.get(..1).unwrap_or_default(), 0)?;
        let tls = at(&mut listener, "/filter_chains/0/transport_socket/typed_config")?;
        *at(tls, "/require_client_certificate")? = more.certificate_required.into();
        let filters = at(&mut listener, "/filter_chains/0/filters/0/typed_config/http_filters")?;
        let plugin = at(named(filters, "sluice")?, "/typed_config/config")?;
        let holds = more.gate["holdHeaders"].as_bool().unwrap_or(false);
        *at(plugin, "/allow_on_headers_stop_iteration")? = holds.into();
        *at(plugin, "/configuration/value")? = more.gate.to_string().into();
        let routes = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";
        let routes = at(&mut listener, routes)?;
        if let Some(timeout) = &more.timeout {
            *at(routes, "/0/route/timeout")? = timeout.as_str().into();
        }
        if let Some(cluster) = &more.other_paths {
            *at(routes, "/0/match")? = json!({ "prefix": "/", "headers": [{ "name": "x-sluice-backend", "present_match": true }] });
            let rest = json!({ "match": { "prefix": "/" }, "route": { "cluster": cluster } });
            routes.as_array_mut().into_iter().for_each(|all| all.push(rest.clone()));
        }
        let filters = at(&mut listener, "/filter_chains/0/filters/0/typed_config/http_filters")?;
        if !more.header_only_filter
            && let Some(filters) = filters.as_array_mut()
        {
            filters.retain(|filter| filter["name"] != "header_only");
        }
        if let Some(filters) = filters.as_array_mut() {
            filters.splice(..0, more.filters_before.iter().cloned());
        }
        listeners.as_array_mut().into_iter().for_each(|all| all.push(listener.clone()));
    }
    for (name, address) in local.backends {
        let cluster = named(at(&mut envoy, "/static_resources/clusters")?, name)?;
        *at(cluster, ENDPOINT)? = socket_address(address.ip(), address.port());
    }
    for more in local.clusters {
        let clusters = at(&mut envoy, "/static_resources/clusters")?;
        let mut cluster = named(clusters, &more.like)?.clone();
        if let Some(settings) = local.cluster_settings.get(&more.name) {
            json_patch::merge(&mut cluster, settings);
        }
        for name in ["/name", "/load_assignment/cluster_name"] {
            *at(&mut cluster, name)? = more.name.as_str().into();
        }
        if let Some(address) = more.address {
            *at(&mut cluster, ENDPOINT)? = socket_address(address.ip(), address.port());
        }
        clusters.as_array_mut().into_iter().for_each(|all| all.push(cluster.clone()));
    }
    json_patch::patch(&mut envoy, local.patch)?;
    Ok(envoy)
}

fn listen(listener: &mut Value, loopback: &[IpAddr], port: u16) -> Result<(), ConfigError> {
    let Some((first, others)) = loopback.split_first() else { return Ok(()) };
    *at(listener, "/address")? = socket_address(*first, port);
    if port != 0 {
        let others = others.iter().map(|ip| json!({ "address": socket_address(*ip, port) }));
        listener["additional_addresses"] = others.collect();
    }
    Ok(())
}

fn certificates(listener: &mut Value, folder: &Path) -> Result<(), ConfigError> {
    let tls = at(listener, "/filter_chains/0/transport_socket/typed_config/common_tls_context")?;
    for (pointer, file) in [
        ("/tls_certificates/0/certificate_chain/filename", "server.pem"),
        ("/tls_certificates/0/private_key/filename", "server.key"),
    ] {
        *at(tls, pointer)? = path(&folder.join(file));
    }
    // A listener without client certificates has no authority to check them.
    if tls.get("validation_context").is_some() {
        *at(tls, "/validation_context/trusted_ca/filename")? = path(&folder.join("ca.pem"));
    }
    Ok(())
}

fn gate(filter: &mut Value, local: &Local<'_>) -> Result<(), ConfigError> {
    let plugin = at(filter, "/typed_config/config")?;
    *at(plugin, "/vm_config/code/local/filename")? = path(local.module);
    *at(plugin, "/allow_on_headers_stop_iteration")? = local.hold_headers.into();
    let text = at(plugin, "/configuration/value")?;
    let mut gate: Value = serde_json::from_str(text.as_str().unwrap_or_default())?;
    gate["holdHeaders"] = local.hold_headers.into();
    if let Some(patch) = local.gate {
        json_patch::merge(&mut gate, patch);
    }
    *text = gate.to_string().into();
    Ok(())
}

fn socket_address(ip: IpAddr, port: u16) -> Value {
    json!({ "socket_address": { "address": ip.to_string(), "port_value": port } })
}

fn path(path: &Path) -> Value {
    path.to_string_lossy().into()
}

fn at<'v>(value: &'v mut Value, pointer: &str) -> Result<&'v mut Value, ConfigError> {
    value.pointer_mut(pointer).ok_or_else(|| ConfigError::Missing(pointer.to_owned()))
}

fn named<'v>(list: &'v mut Value, name: &str) -> Result<&'v mut Value, ConfigError> {
    let mut entries = list.as_array_mut().into_iter().flatten();
    let found = entries.find(|entry| entry["name"] == name);
    found.ok_or_else(|| ConfigError::Missing(format!("entry named {name}")))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

    static NO_SETTINGS: BTreeMap<String, Value> = BTreeMap::new();

    static NO_PATCH: Patch = Patch(Vec::new());

    fn local<'a>() -> Local<'a> {
        let backend = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Local {
            envoy: ENVOY_YAML,
            module: Path::new("/here/sluice.wasm"),
            header_only: Path::new("/here/header-only.lua"),
            certificates: Path::new("/here/tls"),
            loopback: &LOOPBACK,
            grpc_port: 14317,
            http_port: 0,
            admin_port: 0,
            backends: [
                ("loki", backend(1)),
                ("mimir", backend(2)),
                ("tempo", backend(3)),
                ("tempo-grpc", backend(5)),
                ("pyroscope", backend(4)),
            ],
            hold_headers: true,
            gate: None,
            more: &[],
            clusters: &[],
            cluster_settings: &NO_SETTINGS,
            patch: &NO_PATCH,
        }
    }

    /// Every gate configuration in the Envoy configuration, parsed; one for each listener.
    fn gates(envoy: &Value) -> Vec<Value> {
        let listeners = envoy["static_resources"]["listeners"].as_array().unwrap();
        let plugin = |listener: &Value| {
            let pointer =
                "/filter_chains/0/filters/0/typed_config/http_filters/0/typed_config/config";
            listener.pointer(pointer).unwrap().clone()
        };
        let parsed = |plugin: Value| {
            serde_json::from_str(plugin["configuration"]["value"].as_str().unwrap()).unwrap()
        };
        listeners.iter().map(plugin).map(parsed).collect()
    }

    #[test]
    fn nothing_of_the_container_is_left() {
        let text = envoy(&local()).unwrap().to_string();
        for left in ["/etc/sluice", "0.0.0.0", r#""loki","port_value""#, "3100", "9009", "9901"] {
            assert!(!text.contains(left), "{left} in {text}");
        }
    }

    #[test]
    fn a_cluster_may_be_like_another_and_elsewhere() {
        let cluster =
            |name: &str, address| Cluster { name: name.into(), like: "tempo-grpc".into(), address };
        let elsewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let clusters = [cluster("next", None), cluster("other", Some(elsewhere))];
        let mut envoy = envoy(&Local { clusters: &clusters, ..local() }).unwrap();
        let clusters = at(&mut envoy, "/static_resources/clusters").unwrap();
        for (name, port) in [("next", 5), ("other", 7)] {
            let cluster = named(clusters, name).unwrap();
            assert_eq!(cluster["load_assignment"]["cluster_name"], name);
            assert_eq!(*at(cluster, ENDPOINT).unwrap(), socket_address(LOOPBACK[0], port));
            assert!(cluster["typed_extension_protocol_options"].is_object(), "HTTP/2");
        }
    }

    #[test]
    fn every_address_is_a_loopback_address() {
        fn addresses(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(map) => {
                    if let Some(socket) = map.get("socket_address") {
                        found.push(socket["address"].as_str().unwrap().to_owned());
                    }
                    map.values().for_each(|value| addresses(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| addresses(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        addresses(&envoy(&local()).unwrap(), &mut found);
        // The admin interface, two listeners, the second address of the first listener, four clusters.
        assert_eq!(found.len(), 9, "{found:?}");
        assert!(found.iter().all(|ip| ip.parse::<IpAddr>().unwrap().is_loopback()), "{found:?}");
    }

    #[test]
    fn a_fixed_port_is_listened_on_at_both_addresses_and_a_free_one_at_one() {
        let envoy = envoy(&local()).unwrap();
        let [grpc, http] = [0, 1].map(|index| &envoy["static_resources"]["listeners"][index]);
        assert_eq!(grpc["address"], socket_address(LOOPBACK[0], 14317));
        assert_eq!(grpc["additional_addresses"][0]["address"], socket_address(LOOPBACK[1], 14317));
        assert_eq!(http["address"], socket_address(LOOPBACK[0], 0));
        assert!(http["additional_addresses"].is_null());
    }

    #[test]
    fn an_override_is_merged_over_the_gates_configuration_of_both_listeners() {
        let patch = json!({ "limits": { "bodyBytes": 1000 }, "records": null });
        let envoy = envoy(&Local { gate: Some(&patch), ..local() }).unwrap();
        let gates = gates(&envoy);
        assert_eq!(gates.len(), 2);
        for gate in gates {
            assert_eq!(gate["limits"], json!({ "bodyBytes": 1000, "decodedBytes": 67_108_864 }));
            assert_eq!(gate.get("records"), None);
            assert_eq!(gate["tenant"], json!({ "fromNamespace": {} }));
        }
    }

    #[test]
    fn a_patch_has_the_last_word_and_must_fit() {
        let patch = |operations| serde_json::from_value::<Patch>(operations).unwrap();
        let port = "/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address\
                    /socket_address/port_value";
        let fits = patch(json!([{ "op": "replace", "path": port, "value": 7 }]));
        let changed = envoy(&Local { patch: &fits, ..local() }).unwrap();
        assert_eq!(changed.pointer(port), Some(&json!(7)));
        let other = patch(json!([{ "op": "test", "path": port, "value": 7 }]));
        let error = envoy(&Local { patch: &other, ..local() }).unwrap_err();
        assert!(error.to_string().starts_with("the patch of Envoy's configuration: "), "{error}");
    }

    #[test]
    fn holding_the_headers_is_told_to_envoy_and_to_the_gate_alike() {
        for hold_headers in [true, false] {
            let envoy = envoy(&Local { hold_headers, ..local() }).unwrap();
            let flag = format!(r#""allow_on_headers_stop_iteration":{hold_headers}"#);
            assert_eq!(envoy.to_string().matches(&flag).count(), 2);
            assert!(gates(&envoy).iter().all(|gate| gate["holdHeaders"] == hold_headers));
        }
    }

    #[test]
    fn envoys_own_limit_lies_above_the_gates() {
        let envoy = envoy(&local()).unwrap();
        let limit = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config\
                     /virtual_hosts/0/request_body_buffer_limit";
        let limit = envoy.pointer(limit).unwrap().as_u64().unwrap();
        let limits = &gates(&envoy)[0]["limits"];
        assert!(limit > limits["bodyBytes"].as_u64().unwrap() + (64 << 10));
        // The size as snappy of remote write, if nothing can be compressed.
        let decoded = limits["decodedBytes"].as_u64().unwrap();
        assert!(limit >= decoded + decoded / 6 + 32);
    }
}
