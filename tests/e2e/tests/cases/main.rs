//! Runs every case through real Envoy, with the head held and not held; and again with the configurations that result
//! from the manifests in `istio/`.

mod client;
mod manifests;
mod runner;

use runner::every_case_holds;

#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds_in_envoy() {
    every_case_holds("in Envoy", None, |_| true).await.unwrap();
}
