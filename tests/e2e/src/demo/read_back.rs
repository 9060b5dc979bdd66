//! Finds a request's records with the query interface of the stand-in backends.

use std::collections::BTreeMap;

use serde::Deserialize;
use sluice_stand_ins::{Backend, Backends};

/// The records of one request at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The backend that has them.
    pub backend: Backend,
    /// The tenant of these records.
    pub tenant: String,
    /// Their number.
    pub records: usize,
}

/// A backend did not answer a query.
#[derive(Debug, thiserror::Error)]
#[error("{backend}'s stand-in, {url}: {problem}")]
pub struct ReadBackError {
    backend: Backend,
    url: String,
    problem: reqwest::Error,
}

/// The part of a record in `GET /standin/records` that identifies its request.
#[derive(Deserialize)]
struct Record {
    resource: BTreeMap<String, serde_json::Value>,
}

/// Finds the records with this `run.id` in all backends and under all tenants.
///
/// # Errors
///
/// If a backend does not answer, or not in its own format; the error names it.
pub async fn stored(backends: &Backends, run_id: &str) -> Result<Vec<Stored>, ReadBackError> {
    let mut stored = Vec::new();
    for backend in Backend::ALL {
        let tenants: BTreeMap<String, Vec<Record>> = get(backends, backend, "records").await?;
        for (tenant, records) in tenants {
            let ours = |record: &&Record| {
                record.resource.get("run.id").is_some_and(|value| value == run_id)
            };
            let records = records.iter().filter(ours).count();
            if records > 0 {
                stored.push(Stored { backend, tenant, records });
            }
        }
    }
    Ok(stored)
}

/// Returns all tenants that have records in any backend.
///
/// # Errors
///
/// As for [`stored`].
pub async fn tenants(backends: &Backends) -> Result<Vec<Stored>, ReadBackError> {
    let mut all = Vec::new();
    for backend in Backend::ALL {
        let tenants: BTreeMap<String, usize> = get(backends, backend, "tenants").await?;
        all.extend(tenants.into_iter().map(|(tenant, records)| Stored {
            backend,
            tenant,
            records,
        }));
    }
    Ok(all)
}

async fn get<T: serde::de::DeserializeOwned>(
    backends: &Backends,
    backend: Backend,
    what: &str,
) -> Result<T, ReadBackError> {
    let url = format!("http://{}/standin/{what}", backends.address(backend));
    let asked = async {
        // reqwest needs a crypto provider even if nothing is encrypted. If one is already installed, that one will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build()?;
        client.get(&url).send().await?.error_for_status()?.json().await
    };
    asked.await.map_err(|problem| ReadBackError { backend, url: url.clone(), problem })
}
