//! The crossings between host and guest.

use std::collections::BTreeMap;

use envoy_harness::Attributes;

use crate::guest::{get, start};

/// A guest that asks for a property that there is and one that is missing, and ticks.
const GUEST: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $set_tick (i32.const 1)))
      (i32.const 1))
    (func (export "proxy_on_tick") (param i32)
      (drop (call $get_time (i32.const 128))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (drop (call $get_property [mine] @out))
      (drop (call $get_property [missing] @out))
      (i32.const 0))
    (func (export "proxy_on_log") (param i32))"#;

fn calls<const COUNT: usize>(calls: [(&str, u64); COUNT]) -> BTreeMap<String, u64> {
    calls.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[test]
fn the_calls_of_both_sides_are_counted_by_name_for_each_stream() {
    let (vm, plugin) = start(GUEST);
    vm.tick(plugin).unwrap();
    let attributes = Attributes::new().with_filter_state("mine", "x");
    let mut first = vm.stream(plugin, attributes.clone()).unwrap();
    first.request_headers(get(), true).unwrap();
    first.finish().unwrap();
    vm.stream(plugin, attributes).unwrap().request_headers(get(), true).unwrap();

    let crossings = first.crossings();
    // A missing value costs no allocation, and what the guest does not export is not called.
    let entries = [("malloc", 1), ("proxy_on_log", 1), ("proxy_on_request_headers", 1)];
    assert_eq!(*crossings.entries(), calls(entries));
    assert_eq!(*crossings.host_calls(), calls([("proxy_get_property", 2)]));
    let text = "5: 3 entries (malloc, proxy_on_log, proxy_on_request_headers), \
                2 host calls (proxy_get_property 2)";
    assert_eq!((crossings.total(), crossings.to_string().as_str()), (5, text));

    let all = vm.crossings();
    assert_eq!(all.entries().get("proxy_on_request_headers"), Some(&2));
    assert_eq!(all.entries().get("proxy_on_tick"), Some(&1));
    let ticks = "proxy_set_tick_period_milliseconds";
    assert_eq!(all.host_calls().get(ticks), Some(&1));
}
