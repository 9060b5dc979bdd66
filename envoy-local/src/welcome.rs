//! What the user needs next: the addresses, and commands to paste.

use std::path::{Path, PathBuf};

use envoy_local::{SenderName, Stack};
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use prost::Message;

/// Why the text could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub(crate) struct WelcomeError {
    path: PathBuf,
    source: std::io::Error,
}

/// Returns the text to print after the start. Also writes the request that the text's curl command sends into
/// `run_dir`.
pub(crate) fn text(stack: &Stack, run_dir: &Path) -> Result<String, WelcomeError> {
    let request = run_dir.join("first-log.pb");
    let written = std::fs::write(&request, first_log().encode_to_vec());
    written.map_err(|source| WelcomeError { path: request.clone(), source })?;

    let payments = stack.pki().sender(SenderName::Payments);
    let [ca, cert, key] = [stack.pki().ca_pem(), &payments.cert, &payments.key].map(quoted);
    let [grpc, http, admin] = [stack.grpc_addr(), stack.http_addr(), stack.admin_addr()];
    let backends = stack.backends();
    let [loki, mimir, tempo, pyroscope] =
        [backends.loki(), backends.mimir(), backends.tempo(), backends.pyroscope()];
    let certificates = stack.pki().folder().display();
    let log = stack.envoy_log_path().display();
    let at = quoted(&request).replacen('\'', "'@", 1);
    Ok(format!(
        "Sluice is up.

  OTLP/gRPC        https://{grpc}
  OTLP/HTTP        https://{http}
  Loki's stand-in  http://{loki}
  Mimir's          http://{mimir}
  Tempo's          http://{tempo}
  Pyroscope's      http://{pyroscope}
  Envoy's admin    http://{admin}
  Envoy's log      {log}
  certificates     {certificates}
                   payments, team-blue: on the allowlist
                   stranger: not on it; outsider: from a CA that the gateway does not trust

Send a log record, and see it in Loki's stand-in under the tenant payments:

curl -i --cacert {ca} --cert {cert} --key {key} -H 'content-type: application/x-protobuf' --data-binary {at} https://{http}/v1/logs
curl http://{loki}/standin/records

Send a span with the Python SDK over gRPC, and see it in Tempo's. Any OpenTelemetry SDK takes these four variables:

export OTEL_EXPORTER_OTLP_ENDPOINT=https://{grpc}
export OTEL_EXPORTER_OTLP_CERTIFICATE={ca}
export OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE={cert}
export OTEL_EXPORTER_OTLP_CLIENT_KEY={key}
python3 -m venv /tmp/sluice-python && /tmp/sluice-python/bin/pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc
/tmp/sluice-python/bin/python - <<'END'
{FIRST_SPAN}END
curl http://{tempo}/standin/records

Ctrl-C stops everything.
"
    ))
}

const FIRST_SPAN: &str = "\
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({'source.name': 'checkout'}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
with provider.get_tracer('first').start_as_current_span('first span'):
    pass
provider.shutdown()
";

/// One record that the rules in `envoy.yaml` accept: its resource has `source.name`.
fn first_log() -> ExportLogsServiceRequest {
    let text = |text: &str| Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    let attribute = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: text(value),
        ..KeyValue::default()
    };
    let record = LogRecord { body: text("the first record"), ..LogRecord::default() };
    let resource = Resource {
        attributes: vec![
            attribute("service.name", "checkout"),
            attribute("source.name", "checkout"),
        ],
        ..Resource::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource),
            scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    }
}

/// Quotes any path for a shell.
fn quoted(path: impl AsRef<Path>) -> String {
    format!("'{}'", path.as_ref().to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_blanks_and_quotes_survives_a_shell() {
        let path = Path::new("/tmp/it's a $HOME/x");
        let echoed = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", quoted(path))])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(echoed.stdout).unwrap(), path.to_str().unwrap());
    }

    #[test]
    fn the_first_log_has_the_attribute_that_the_local_gate_requires() {
        let first = first_log();
        let resource = first.resource_logs[0].resource.as_ref().unwrap();
        assert!(resource.attributes.iter().any(|attribute| attribute.key == "source.name"));
    }
}
