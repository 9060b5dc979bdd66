//! Every case through real Envoy, with the head held and with it gone; and once more in the configurations that come of
//! the manifests in `istio/`.

mod client;
mod manifests;
mod runner;

use runner::every_case_holds;

#[tokio::test(flavor = "multi_thread")]
async fn every_case_holds_in_envoy() {
    every_case_holds("in Envoy", None, |_| true).await.unwrap();
}
