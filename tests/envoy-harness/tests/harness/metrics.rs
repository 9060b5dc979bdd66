//! Metrics.

use envoy_harness::Metric;

use crate::guest::{get, messages, open, start};

const GUEST: &str = r#"
    (func $id (result i32) (i32.load (i32.const 136)))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (call $say [kind] (call $define_metric (i32.const 3) [m] (i32.const 136)))
      (call $say [name] (call $define_metric (i32.const 0) (i32.const -1) (i32.const 1) (i32.const 136)))
      (call $say [unknown] (call $increment_metric (i32.const 400) (i64.const 1)))
      (call $say [unknown] (call $record_metric (i32.const 400) (i64.const 1)))
      (call $say [unknown] (call $get_metric (i32.const 401) (i32.const 128)))

      (call $say [counter] (call $define_metric (i32.const 0) [seen] (i32.const 136)))
      (call $say [id] (call $id))
      (drop (call $increment_metric (call $id) (i64.const 2)))
      (drop (call $record_metric (call $id) (i64.const 3)))
      (call $say [by 0] (call $increment_metric (call $id) (i64.const 0)))
      (call $say [by -1] (call $increment_metric (call $id) (i64.const -1)))
      (call $say [get] (call $get_metric (call $id) (i32.const 128)))
      (call $say [value] (i32.load (i32.const 128)))

      (call $say [gauge] (call $define_metric (i32.const 1) [open] (i32.const 136)))
      (call $say [id] (call $id))
      (drop (call $record_metric (call $id) (i64.const 10)))
      (call $say [by -1] (call $increment_metric (call $id) (i64.const -3)))

      (call $say [histogram] (call $define_metric (i32.const 2) [size] (i32.const 136)))
      (call $say [id] (call $id))
      (drop (call $record_metric (call $id) (i64.const 7)))
      (drop (call $record_metric (call $id) (i64.const 5)))
      (call $say [increment] (call $increment_metric (call $id) (i64.const 1)))
      (call $say [get] (call $get_metric (call $id) (i32.const 128)))
      (i32.const 0))"#;

#[test]
fn each_kind_takes_what_it_is_for_and_refuses_the_rest() {
    let (vm, plugin) = start(GUEST);
    open(&vm, plugin).request_headers(get(), true).unwrap();
    let expected = [
        "kind=2",
        "name=6",
        "unknown=1",
        "unknown=1",
        "unknown=1",
        "counter=0",
        "id=4",
        "by 0=2",
        "by -1=2",
        "get=0",
        "value=5",
        "gauge=0",
        "id=5",
        "by -1=0",
        "histogram=0",
        "id=6",
        "increment=2",
        "get=2",
    ];
    assert_eq!(messages(&vm), expected);
    assert_eq!(vm.metric("seen"), Some(5));
    assert_eq!(vm.metric("open"), Some(7));
    assert_eq!(vm.metrics().get("size"), Some(&Metric::Histogram(vec![7, 5])));
    assert_eq!(vm.metric("size"), None);
    assert_eq!(vm.metric("never"), None);
}

#[test]
fn a_name_that_is_defined_twice_is_one_metric() {
    let (vm, plugin) = start(GUEST);
    open(&vm, plugin).request_headers(get(), true).unwrap();
    open(&vm, plugin).request_headers(get(), true).unwrap();
    assert_eq!(vm.metric("seen"), Some(10));
    assert!(messages(&vm).contains(&"id=8".to_owned()));
}
