//! Finds a request's records again, by the query interface of the stand-in backends.

use std::collections::BTreeMap;

use serde::Deserialize;
use sluice_stand_ins::{Backend, Backends};

/// Records of one request in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The backend that has them.
    pub backend: Backend,
    /// The tenant that they are stored under.
    pub tenant: String,
    /// How many there are.
    pub records: usize,
}

/// A backend that cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("{backend}'s stand-in, {url}: {problem}")]
pub struct ReadBackError {
    backend: Backend,
    url: String,
    problem: reqwest::Error,
}

/// The part of a record in `GET /standin/records` that tells where it came from.
#[derive(Deserialize)]
struct Record {
    resource: BTreeMap<String, serde_json::Value>,
}

/// Where the records with this `run.id` are, in all backends and under all tenants.
///
/// # Errors
///
/// Names the backend that does not answer, or not in its own form.
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

/// All tenants that have records, in any backend.
///
/// # Errors
///
/// As [`stored`].
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
        // reqwest wants one even where nothing is encrypted; one that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build()?;
        client.get(&url).send().await?.error_for_status()?.json().await
    };
    asked.await.map_err(|problem| ReadBackError { backend, url: url.clone(), problem })
}
