//! Plugins: several in one VM, refused ones, reconfiguring, ending. VMs in several threads.

use std::thread;

use envoy_harness::{Attributes, Error, PluginConfig, Vm, VmConfig};

use crate::guest::{get, messages, module, open, start, start_with};

/// Rejects an empty configuration. Each stream has its plugin's context in a header.
const GUEST: &str = r#"
    (func (export "proxy_on_context_create") (param i32 i32)
      (call $say [create] (local.get 0)) (call $say [of] (local.get 1)))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $log (i32.const 4) [a configuration is needed]))
      (i32.ne (local.get 1) (i32.const 0)))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (drop (call $get_property [plugin_root_id] @out))
      (drop (call $add_value (i32.const 0) [x-plugin]
        (i32.load (i32.const 128)) (i32.load (i32.const 132))))
      (i32.const 0))
    (func (export "proxy_on_done") (param i32) (result i32)
      (call $say [done] (local.get 0)) (i32.const 1))
    (func (export "proxy_on_log") (param i32) (call $say [log] (local.get 0)))
    (func (export "proxy_on_delete") (param i32) (call $say [delete] (local.get 0)))"#;

fn configured(root_id: &str) -> PluginConfig {
    PluginConfig::new(root_id).configuration("{}")
}

fn plugin_of(stream: &envoy_harness::Stream) -> Option<String> {
    stream.forwarded().header("x-plugin")
}

#[test]
fn a_configuration_that_is_refused_says_why_and_leaves_no_trace() {
    let vm = Vm::new(&module(GUEST)).unwrap();
    let error = vm.start_plugin(PluginConfig::new("empty")).unwrap_err();
    let Error::Refused(refused) = &error else { panic!("{error}") };
    assert_eq!(refused.callback, "proxy_on_configure");
    assert_eq!(refused.logs.last().unwrap().message, "a configuration is needed");
    assert!(error.to_string().contains("plugin \"empty\" was refused"), "{error}");
    assert!(messages(&vm).is_empty());
    vm.start_plugin(configured("full")).unwrap();
}

#[test]
fn a_vm_that_does_not_start_is_refused() {
    let guest = r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32)
        (i32.ne (local.get 1) (i32.const 0)))"#;
    let vm = Vm::new(&module(guest)).unwrap();
    let error = vm.start_plugin(PluginConfig::new("guest")).unwrap_err();
    assert!(error.to_string().contains("proxy_on_vm_start answered false"), "{error}");
    start_with(guest, VmConfig::new().configuration("{}"), PluginConfig::new("guest"));
}

#[test]
fn each_plugin_of_a_vm_has_its_own_streams() {
    let vm = Vm::new(&module(GUEST)).unwrap();
    let (first, second) = (
        vm.start_plugin(configured("first")).unwrap(),
        vm.start_plugin(configured("second")).unwrap(),
    );
    for (plugin, name) in [(first, "first"), (second, "second"), (first, "first")] {
        let mut stream = open(&vm, plugin);
        stream.request_headers(get(), true).unwrap();
        assert_eq!(plugin_of(&stream).as_deref(), Some(name));
    }
}

#[test]
fn a_stream_is_created_logged_done_and_deleted() {
    let (vm, plugin) = start_with(GUEST, VmConfig::new(), configured("guest"));
    let before = messages(&vm).len();
    let mut stream = open(&vm, plugin);
    assert_eq!(messages(&vm).len(), before, "the guest knows nothing before its headers");
    stream.request_headers(get(), true).unwrap();
    stream.finish().unwrap();
    stream.finish().unwrap();
    assert_eq!(messages(&vm)[before..], ["create=2", "of=1", "log=2", "done=2", "delete=2"]);
    assert!(stream.forwarded().complete, "what it got can be seen still");
}

#[test]
fn streams_in_flight_stay_with_the_plugin_that_they_began_with() {
    let (vm, old) = start_with(GUEST, VmConfig::new(), configured("old"));
    let mut in_flight = open(&vm, old);
    let new = vm.reconfigure(old, configured("new")).unwrap();
    assert!(vm.has_plugin(old), "it has a stream");
    assert!(matches!(vm.stream(old, Attributes::new()), Err(Error::UnknownPlugin)));

    let mut later = open(&vm, new);
    later.request_headers(get(), true).unwrap();
    in_flight.request_headers(get(), true).unwrap();
    assert_eq!(plugin_of(&later).as_deref(), Some("new"));
    assert_eq!(plugin_of(&in_flight).as_deref(), Some("old"));

    let before = messages(&vm).len();
    in_flight.finish().unwrap();
    let ended = ["log=2", "done=2", "delete=2", "done=1", "delete=1"];
    assert_eq!(messages(&vm)[before..], ended);
    assert!(!vm.has_plugin(old));
    assert!(vm.has_plugin(new));
}

#[test]
fn a_configuration_that_is_refused_leaves_the_one_before_in_force() {
    let (vm, plugin) = start_with(GUEST, VmConfig::new(), configured("old"));
    let before = messages(&vm).len();
    let error = vm.reconfigure(plugin, PluginConfig::new("new")).unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    assert_eq!(messages(&vm).len(), before);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    assert_eq!(plugin_of(&stream).as_deref(), Some("old"));
}

#[test]
fn a_plugin_that_is_not_done_is_waited_for() {
    let guest = r#"
        (func (export "proxy_on_done") (param i32) (result i32)
          (drop (call $http_call [cluster]
            [\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00]
            [] [] (i32.const 0) (i32.const 136)))
          (i32.const 0))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (call $say [done] (call $done)) (call $say [again] (call $done)))
        (func (export "proxy_on_delete") (param i32) (call $say [delete] (local.get 0)))"#;
    let (vm, plugin) = start(guest);
    vm.shutdown(plugin).unwrap();
    assert!(vm.has_plugin(plugin));
    vm.fail_http_call(vm.http_calls()[0].token).unwrap();
    assert_eq!(messages(&vm), ["done=0", "again=1", "delete=1"]);
    assert!(!vm.has_plugin(plugin));
    assert!(matches!(vm.shutdown(plugin), Err(Error::UnknownPlugin)));
}

#[test]
fn a_plugin_of_another_vm_is_unknown() {
    let (one, plugin) = start("");
    let (other, _) = start("");
    assert!(one.has_plugin(plugin));
    assert!(matches!(other.tick(plugin), Err(Error::UnknownPlugin)));
    assert!(matches!(other.stream(plugin, Attributes::new()), Err(Error::UnknownPlugin)));
}

#[test]
fn vms_of_one_module_know_nothing_of_each_other_in_any_thread() {
    let module = module(
        r#"(global $seen (mut i32) (i32.const 0))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
             (call $say [seen] (global.get $seen)) (i32.const 0))"#,
    );
    let run = |requests: usize| {
        let vm = Vm::new(&module).unwrap();
        let plugin = vm.start_plugin(PluginConfig::new("guest")).unwrap();
        for _ in 0..requests {
            open(&vm, plugin).request_headers(get(), true).unwrap();
        }
        messages(&vm)
    };
    thread::scope(|scope| {
        let threads = [3, 5].map(|requests| (requests, scope.spawn(move || run(requests))));
        for (requests, thread) in threads {
            let said = thread.join().unwrap();
            assert_eq!(said.len(), requests);
            assert_eq!(said.last(), Some(&format!("seen={requests}")));
        }
    });
}
