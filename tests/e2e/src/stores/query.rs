//! Reads from a store with the query API of Prometheus, which both stores have.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Kind, Store};

/// One series of an answer, with its current value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels, including `__name__`.
    pub labels: BTreeMap<String, String>,
    /// Its latest value.
    pub value: f64,
}

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The store did not answer, or did not answer in JSON.
    #[error("the store gives no answer: {0}")]
    Transport(#[from] reqwest::Error),
    /// The store rejected the query.
    #[error("the store answered {status} to {query}: {said}")]
    Refused {
        /// The query.
        query: String,
        /// The status.
        status: u16,
        /// The message.
        said: String,
    },
    /// The answer is not a list of series with values.
    #[error("the store's answer cannot be read: {0}")]
    Unreadable(String),
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    /// The time in seconds, and the value as text.
    value: (f64, String),
}

impl Store {
    /// Returns the series that an instant query in PromQL finds now.
    ///
    /// # Errors
    /// [`QueryError`] if there is no readable answer.
    pub async fn query(&self, query: &str) -> Result<Vec<Series>, QueryError> {
        let url = |path: &str| format!("http://{}{path}", self.address);
        if self.kind == Kind::VictoriaMetrics {
            // Written data can be found after it has been flushed from memory.
            self.client.get(url("/internal/force_flush")).send().await?.error_for_status()?;
        }
        let mut request = reqwest::Url::parse(&url("/api/v1/query"))
            .map_err(|error| QueryError::Unreadable(error.to_string()))?;
        request.query_pairs_mut().append_pair("query", query);
        let reply = self.client.get(request).send().await?;
        let status = reply.status();
        if !status.is_success() {
            let (query, status) = (query.to_owned(), status.as_u16());
            return Err(QueryError::Refused { query, status, said: reply.text().await? });
        }
        let answer: Answer = reply.json().await?;
        let series = |Sample { metric, value: (_, value) }: Sample| match value.parse() {
            Ok(value) => Ok(Series { labels: metric, value }),
            Err(_) => Err(QueryError::Unreadable(format!("{value:?} is no number"))),
        };
        answer.data.result.into_iter().map(series).collect()
    }
}
