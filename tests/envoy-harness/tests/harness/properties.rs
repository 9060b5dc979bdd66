//! Properties.

use std::time::Duration;

use envoy_harness::{Attributes, PluginConfig, Value, VmConfig};

use crate::guest::{get, messages, ok, open, start, start_with};

/// A guest that logs what it finds at each path when a request's headers arrive.
fn reads(paths: &[&str]) -> String {
    let reads: String = paths
        .iter()
        .map(|path| {
            format!(
                "(call $forget_result) (call $say [get] (call $get_property [{path}] @out))
                 (if (i32.ne (i32.load (i32.const 132)) (i32.const 99)) (then (call $say_result)))"
            )
        })
        .collect();
    format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             {reads} (i32.const 0))"#
    )
}

fn found(attributes: Attributes, paths: &[&str]) -> Vec<String> {
    let (vm, plugin) = start(&reads(paths));
    let mut stream = vm.stream(plugin, attributes).unwrap();
    stream.request_headers(get().with("x-a", "1").with("x-a", "2"), true).unwrap();
    messages(&vm)
}

#[test]
fn what_nobody_set_is_not_found() {
    let paths = ["connection\\00mtls", "request\\00referer", "response\\00code", "mine", "plugin"];
    assert_eq!(found(Attributes::new(), &paths), ["get=1"; 5]);
}

#[test]
fn no_path_is_a_serialization_failure_and_a_bad_pointer_is_refused() {
    let guest = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $say [empty] (call $get_property (i32.const 0) (i32.const 0) @out))
        (call $say [pointer] (call $get_property (i32.const -1) (i32.const 1) @out))
        (call $say [set] (call $set_property [x] (i32.const -1) (i32.const 1)))
        (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    open(&vm, plugin).request_headers(get(), true).unwrap();
    assert_eq!(messages(&vm), ["empty=3", "pointer=6", "set=6"]);
}

#[test]
fn the_whole_of_a_connection_cannot_be_written() {
    assert_eq!(found(Attributes::new(), &["connection", "request"]), ["get=3", "get=3"]);
}

#[test]
fn attributes_of_the_connection_are_found_as_they_were_set() {
    let attributes = Attributes::new()
        .with(["connection", "mtls"], true)
        .with(["connection", "peer_certificate"], "PEM")
        .with(["metadata", "filter_metadata", "jwt", "sub"], Value::from("me"));
    let paths = [
        "connection\\00peer_certificate",
        "metadata\\00filter_metadata\\00jwt\\00sub",
        "connection\\00mtls",
    ];
    assert_eq!(found(attributes, &paths), ["get=0", "PEM", "get=0", "me", "get=0", "\u{1}"]);
}

#[test]
fn attributes_of_the_request_are_worked_out_from_its_headers() {
    let paths = ["request\\00method", "request\\00host", "request\\00headers\\00x-a"];
    let expected = ["get=0", "GET", "get=0", "example.org", "get=0", "1,2"];
    assert_eq!(found(Attributes::new(), &paths), expected);
}

#[test]
fn an_attribute_that_is_set_comes_before_one_that_is_worked_out() {
    let attributes = Attributes::new().with(["request", "method"], "PATCH");
    assert_eq!(found(attributes, &["request\\00method"]), ["get=0", "PATCH"]);
}

#[test]
fn headers_that_have_gone_on_are_no_attributes_until_the_log() {
    let guest = r#"
        (func $probe
          (call $say [method] (call $get_property [request\00method] @out))
          (call $say [code] (call $get_property [response\00code] @out)))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (call $probe) (i32.const 0))
        (func (export "proxy_on_log") (param i32) (call $probe))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), true).unwrap();
    stream.finish().unwrap();
    assert_eq!(messages(&vm), ["method=1", "code=0", "method=0", "code=0"]);
}

#[test]
fn a_plugin_knows_its_names() {
    let paths = ["plugin_name", "plugin_root_id", "plugin_vm_id"];
    let (vm, plugin) = start_with(
        &reads(&paths),
        VmConfig::new().vm_id("the vm"),
        PluginConfig::new("the root").name("the name"),
    );
    open(&vm, plugin).request_headers(get(), true).unwrap();
    assert_eq!(messages(&vm), ["get=0", "the name", "get=0", "the root", "get=0", "the vm"]);
}

#[test]
fn what_a_filter_sets_is_found_under_one_name_and_lives_with_the_stream() {
    let guest = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (call $say [set] (call $set_property [mine] [value]))
          (call $say [deep] (call $set_property [a\00b] [value]))
          (call $say [get] (call $get_property [mine] @out)) (call $say_result)
          (call $say [deep] (call $get_property [a\00b] @out))
          (call $say [into] (call $get_property [mine\00x] @out))
          (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    assert_eq!(messages(&vm), ["set=0", "deep=0", "get=0", "value", "deep=1", "into=1"]);
    assert_eq!(stream.filter_state("mine").as_deref(), Some(b"value".as_slice()));
    assert_eq!(stream.filter_state("a\0b").as_deref(), Some(b"value".as_slice()));
    assert_eq!(open(&vm, plugin).filter_state("mine"), None);
}

#[test]
fn what_another_filter_has_set_is_found() {
    let attributes = Attributes::new().with_filter_state("theirs", "value");
    assert_eq!(found(attributes, &["theirs"]), ["get=0", "value"]);
}

#[test]
fn a_plugin_has_no_filter_state() {
    let guest = r#"(func (export "proxy_on_tick") (param i32)
        (call $say [set] (call $set_property [mine] [value])))"#;
    let (vm, plugin) =
        start_with(guest, VmConfig::new().time(Duration::ZERO), PluginConfig::new("guest"));
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["set=1"]);
}
