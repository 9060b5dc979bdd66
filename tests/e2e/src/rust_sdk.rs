//! The OpenTelemetry SDK for Rust as a sender: its providers, its batch processors, its OTLP exporters.

mod records;
mod watch;

use std::{collections::HashMap, path::Path, str::FromStr, sync::Arc};

use opentelemetry_otlp::{
    Compression, LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use tonic::{
    metadata::{MetadataKey, MetadataMap},
    transport::{Certificate, ClientTlsConfig, Identity},
};
use watch::{Watch, Watched};

use crate::{Encoding, Export, Outcome, Protocol, SendError, Signal, client};

/// The number of data points that the SDK keeps apart in one instrument (its cardinality limit, minus the one for
/// overflow).
const MOST_POINTS: usize = 1_999;

/// Sends once with the Rust SDK. Needs a multi-threaded tokio runtime.
///
/// # Errors
///
/// If nothing was sent: numbers of records that the SDK cannot put into one request, unreadable files, settings that
/// its exporter rejects.
pub(crate) async fn send(export: &Export) -> Result<Outcome, SendError> {
    check_counts(export)?;
    let watch = Arc::new(Watch::new(export.signal));
    let pipeline = Pipeline { export, watch: Arc::clone(&watch) };
    match export.signal {
        Signal::Logs => pipeline.logs().await?,
        Signal::Metrics => pipeline.metrics().await?,
        Signal::Traces => pipeline.traces().await?,
    }
    Ok(watch.outcome())
}

fn check_counts(export: &Export) -> Result<(), SendError> {
    let &Export { signal, records, without, .. } = export;
    let problem = if records == 0 {
        "the Rust SDK sends no empty request"
    } else if without > records {
        "more lack source.name than there are"
    } else if signal == Signal::Metrics && records > MOST_POINTS {
        "the Rust SDK folds what is over 1999 data points of one instrument into one"
    } else if signal != Signal::Metrics && without != 0 && without != records {
        return Err(SendError::OneResource { signal, without, records });
    } else {
        return Ok(());
    };
    Err(SendError::Counts { records, without, problem })
}

/// The exporters of one export, each with a watcher, and the SDK's providers in front of them.
struct Pipeline<'e> {
    export: &'e Export,
    watch: Arc<Watch>,
}

/// Sets the common settings of all three exporters; their builder types have no common name.
macro_rules! exporter {
    ($pipeline:expr, $exporter:ident) => {{
        let export = $pipeline.export;
        let built = match export.protocol {
            Protocol::Grpc => {
                let watch = Arc::clone(&$pipeline.watch);
                let builder = $exporter::builder()
                    .with_tonic()
                    .with_endpoint(format!("https://{}", export.endpoint))
                    .with_timeout(export.timeout)
                    .with_tls_config(grpc_tls(export)?)
                    .with_metadata(metadata(export)?)
                    .with_interceptor(move |request| {
                        watch.sent_over_grpc();
                        Ok(request)
                    });
                if export.gzip { builder.with_compression(Compression::Gzip) } else { builder }
                    .build()
            }
            Protocol::Http => {
                let headers: HashMap<_, _> = export.headers.iter().cloned().collect();
                let builder = $exporter::builder()
                    .with_http()
                    .with_endpoint(format!("https://{}/v1/{}", export.endpoint, export.signal))
                    .with_protocol(match export.encoding {
                        Encoding::Protobuf => opentelemetry_otlp::Protocol::HttpBinary,
                        Encoding::Json => opentelemetry_otlp::Protocol::HttpJson,
                    })
                    .with_timeout(export.timeout)
                    .with_headers(headers)
                    .with_http_client($pipeline.watch.http_client(http_client(export)?));
                if export.gzip { builder.with_compression(Compression::Gzip) } else { builder }
                    .build()
            }
        };
        built
            .map(|exporter| Watched::new(exporter, Arc::clone(&$pipeline.watch)))
            .map_err(|error| SendError::Exporter(error.to_string()))
    }};
}

impl Pipeline<'_> {
    async fn logs(&self) -> Result<(), SendError> {
        let exporter = exporter!(self, LogExporter)?;
        let export = self.export.clone();
        blocking(move || records::logs(&export, exporter)).await
    }

    async fn metrics(&self) -> Result<(), SendError> {
        let exporter = exporter!(self, MetricExporter)?;
        let export = self.export.clone();
        blocking(move || records::metrics(&export, exporter)).await
    }

    async fn traces(&self) -> Result<(), SendError> {
        let exporter = exporter!(self, SpanExporter)?;
        let export = self.export.clone();
        blocking(move || records::traces(&export, exporter)).await
    }
}

/// The providers block until the last batch has been sent.
async fn blocking(pipeline: impl FnOnce() + Send + 'static) -> Result<(), SendError> {
    tokio::task::spawn_blocking(pipeline)
        .await
        .map_err(|error| SendError::Exporter(error.to_string()))
}

fn grpc_tls(export: &Export) -> Result<ClientTlsConfig, SendError> {
    Ok(ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(read(&export.cacert)?))
        .identity(Identity::from_pem(read(&export.cert)?, read(&export.key)?)))
}

fn http_client(export: &Export) -> Result<reqwest::Client, SendError> {
    let tls = client::tls(&export.cacert, &export.cert, &export.key, client::Alpn::Both)?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(export.timeout)
        .build()
        .map_err(|error| SendError::Exporter(error.to_string()))
}

fn metadata(export: &Export) -> Result<MetadataMap, SendError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in &export.headers {
        let refused = |problem: String| SendError::Exporter(format!("header {name}: {problem}"));
        let key = MetadataKey::from_str(&name.to_lowercase())
            .map_err(|error| refused(error.to_string()))?;
        metadata.append(key, value.parse().map_err(|error| refused(format!("{error}")))?);
    }
    Ok(metadata)
}

fn read(path: &Path) -> Result<Vec<u8>, SendError> {
    std::fs::read(path)
        .map_err(|error| SendError::Identity { path: path.to_owned(), problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(signal: Signal, records: usize, without: usize) -> Export {
        let identity = ["ca.pem", "cert.pem", "key.pem"].map(Into::into);
        let mut export = Export::new(
            Protocol::Grpc,
            signal,
            "localhost:1".to_owned(),
            identity,
            "run".to_owned(),
        );
        (export.records, export.without) = (records, without);
        export
    }

    #[test]
    fn a_mix_of_logs_is_refused_because_it_would_be_two_requests() {
        let error = check_counts(&export(Signal::Logs, 10, 3)).expect_err("two resources");
        assert!(error.to_string().contains("send them with the Python SDK"), "{error}");
    }

    #[test]
    fn no_records_and_more_without_than_with_are_refused() {
        for (records, without) in [(0, 0), (2, 3)] {
            check_counts(&export(Signal::Metrics, records, without))
                .expect_err("these numbers cannot be sent");
        }
        check_counts(&export(Signal::Metrics, 2_000, 0))
            .expect_err("the SDK would fold the last ones into one");
    }

    #[test]
    fn logs_all_alike_and_a_mix_of_data_points_are_sent() {
        for (signal, without) in [(Signal::Logs, 0), (Signal::Traces, 10), (Signal::Metrics, 3)] {
            check_counts(&export(signal, 10, without)).expect("these numbers can be sent");
        }
    }

    #[tokio::test]
    async fn a_missing_key_is_an_error_that_names_the_file() {
        let error = send(&export(Signal::Logs, 1, 0)).await.expect_err("there is no such file");
        assert!(error.to_string().starts_with("ca.pem: "), "{error}");
    }
}
