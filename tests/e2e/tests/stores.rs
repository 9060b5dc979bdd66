//! Real stores: that they start, are empty, and end.

use sluice_e2e::stores::{Kind, Store};

#[tokio::test]
async fn a_store_starts_with_nothing_in_it_and_ends_with_its_test() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for kind in [Kind::Prometheus, Kind::VictoriaMetrics] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::start(kind, folder.path()).await.unwrap();
        assert_eq!(store.query("count({job=\"e2e\"})").await.unwrap(), [], "{kind:?}");
        let address = store.address();
        store.stop().await;
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{kind:?} still listens");
    }
}
