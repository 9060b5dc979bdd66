//! A short notation for write requests of Prometheus.

use anyhow::{Result, ensure};
use serde::Deserialize;
use sluice_prompb::{
    Exemplar, Histogram, Label, Message, MetricMetadata, Sample, TimeSeries, WriteRequest,
};

/// A series, or the metadata of a metric.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Its labels, in the order of the message.
    labels: Option<Labels>,
    /// The number of samples; default: 1.
    samples: Option<usize>,
    /// The number of native histograms.
    #[serde(default)]
    histograms: usize,
    /// The number of exemplars.
    #[serde(default)]
    exemplars: usize,
    /// Instead of everything else: the name of the metric whose metadata this is.
    metadata: Option<String>,
}

/// Labels as a map, or as pairs if a name occurs twice.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Labels {
    Map(serde_yaml_ng::Mapping),
    Pairs(Vec<(String, String)>),
}

impl Labels {
    fn pairs(&self) -> Result<Vec<(String, String)>> {
        match self {
            Self::Map(map) => {
                map.iter().map(|(name, value)| Ok((text(name)?, text(value)?))).collect()
            }
            Self::Pairs(pairs) => Ok(pairs.clone()),
        }
    }
}

fn text(value: &serde_yaml_ng::Value) -> Result<String> {
    Ok(serde_yaml_ng::from_value(value.clone())?)
}

/// Returns a request with these series.
///
/// # Errors
/// If an entry is not valid.
pub fn request(entries: &[Series]) -> Result<WriteRequest> {
    const TIME: i64 = 1_795_000_000_000;
    let mut request = WriteRequest::default();
    for entry in entries {
        if let Some(name) = &entry.metadata {
            ensure!(entry.labels.is_none(), "{name}: metadata has no labels");
            let metric_family_name = name.clone();
            let help = "what it is".to_owned();
            request.metadata.push(MetricMetadata { r#type: 1, metric_family_name, help });
            continue;
        }
        let pairs = entry.labels.as_ref().map(Labels::pairs).transpose()?.unwrap_or_default();
        let labels = pairs.into_iter().map(|(name, value)| Label { name, value }).collect();
        let trace = Label { name: "trace_id".to_owned(), value: "01".to_owned() };
        let exemplar = Exemplar { labels: vec![trace], value: 1.0, timestamp: TIME };
        let histogram = Histogram { count_int: 1, sum: 1.0, timestamp: TIME };
        request.timeseries.push(TimeSeries {
            labels,
            samples: vec![Sample { value: 1.0, timestamp: TIME }; entry.samples.unwrap_or(1)],
            exemplars: vec![exemplar; entry.exemplars],
            histograms: vec![histogram; entry.histograms],
        });
    }
    Ok(request)
}

/// Returns the encoded request, before compression.
///
/// # Errors
/// Fails as [`request`] does.
pub fn encode(entries: &[Series]) -> Result<Vec<u8>> {
    Ok(request(entries)?.encode_to_vec())
}
