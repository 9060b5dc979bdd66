//! Shared data and shared queues.

use envoy_harness::{PluginConfig, Shared, Vm, VmConfig};

use crate::guest::{messages, module, start, start_with};

#[test]
fn data_is_swapped_only_for_what_was_read() {
    let guest = r#"(func (export "proxy_on_tick") (param i32)
        (call $say [none] (call $get_shared [key] @out (i32.const 136)))
        (call $say [new] (call $set_shared [key] [one] (i32.const 77)))
        (call $say [get] (call $get_shared [key] @out (i32.const 136))) (call $say_result)
        (call $say [stale] (call $set_shared [key] [two] (i32.const 77)))
        (call $say [current] (call $set_shared [key] [two] (i32.load (i32.const 136))))
        (call $say [again] (call $set_shared [key] [three] (i32.load (i32.const 136))))
        (call $say [any] (call $set_shared [key] [four] (i32.const 0)))
        (call $say [pointer] (call $set_shared [key] (i32.const -1) (i32.const 1) (i32.const 0)))
        (call $say [out] (call $get_shared [key] (i32.const -1) (i32.const 0) (i32.const 136))))"#;
    let (vm, plugin) = start(guest);
    vm.tick(plugin).unwrap();
    let expected = [
        "none=1",
        "new=0",
        "get=0",
        "one",
        "stale=8",
        "current=0",
        "again=8",
        "any=0",
        "pointer=6",
        "out=6",
    ];
    assert_eq!(messages(&vm), expected);
    assert_eq!(vm.shared().data("", "key").as_deref(), Some(b"four".as_slice()));
}

#[test]
fn vms_of_one_id_share_data_and_others_do_not() {
    let reads = r#"(func (export "proxy_on_tick") (param i32)
        (call $say [get] (call $get_shared [key] @out (i32.const 136))))"#;
    let shared = Shared::new();
    shared.set_data("a", "key", "value");
    for (vm_id, expected) in [("a", "get=0"), ("b", "get=1")] {
        let config = VmConfig::new().vm_id(vm_id).share(&shared);
        let (vm, plugin) = start_with(reads, config, PluginConfig::new("guest"));
        vm.tick(plugin).unwrap();
        assert_eq!(messages(&vm), [expected]);
    }
    let (vm, plugin) = start_with(reads, VmConfig::new().vm_id("a"), PluginConfig::new("guest"));
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["get=1"], "another process");
}

const QUEUES: &str = r#"
    (func $token (result i32) (i32.load (i32.const 136)))
    (func (export "proxy_on_tick") (param i32)
      (call $say [none] (call $resolve_queue [] [q] (i32.const 136)))
      (call $say [token] (call $enqueue (i32.const 9) [x]))
      (call $say [token] (call $dequeue (i32.const 9) @out))
      (call $say [register] (call $register_queue [q] (i32.const 136)))
      (call $say [empty] (call $dequeue (call $token) @out))
      (call $say [resolve] (call $resolve_queue [] [q] (i32.const 136)))
      (call $say [enqueue] (call $enqueue (call $token) [one]))
      (call $say [enqueue] (call $enqueue (call $token) [two]))
      (call $say [dequeue] (call $dequeue (call $token) @out)) (call $say_result))
    (func (export "proxy_on_queue_ready") (param i32 i32)
      (call $say [ready for] (local.get 0))
      (call $say [dequeue] (call $dequeue (local.get 1) @out)))"#;

#[test]
fn a_queue_gives_what_came_first() {
    let (vm, plugin) = start(QUEUES);
    vm.tick(plugin).unwrap();
    let expected = [
        "none=1",
        "token=1",
        "token=1",
        "register=0",
        "empty=7",
        "resolve=0",
        "enqueue=0",
        "enqueue=0",
        "dequeue=0",
        "one",
    ];
    assert_eq!(messages(&vm), expected);
    assert_eq!(vm.shared().queue("", "q"), Some(vec![b"two".to_vec()]));
    assert_eq!(vm.shared().queue("", "other"), None);
}

#[test]
fn who_registers_is_told_of_each_item() {
    let (vm, plugin) = start(QUEUES);
    vm.tick(plugin).unwrap();
    let before = messages(&vm).len();
    assert_eq!(vm.announce_queues(10).unwrap(), 2);
    assert_eq!(vm.announce_queues(10).unwrap(), 0);
    let expected = ["ready for=1", "dequeue=0", "ready for=1", "dequeue=7"];
    assert_eq!(messages(&vm)[before..], expected);
}

#[test]
fn a_queue_reaches_from_one_vm_to_another() {
    let shared = Shared::new();
    let module = module(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
             (if (local.get 1) (then (drop (call $register_queue [q] (i32.const 136)))))
             (i32.const 1))
           (func (export "proxy_on_tick") (param i32)
             (drop (call $resolve_queue [consumer] [q] (i32.const 136)))
             (drop (call $enqueue (i32.load (i32.const 136)) [item])))
           (func (export "proxy_on_queue_ready") (param i32 i32)
             (drop (call $dequeue (local.get 1) @out)) (call $say_result))"#,
    );
    let start = |vm_id: &str, configuration: &str| {
        let vm = Vm::with_config(&module, VmConfig::new().vm_id(vm_id).share(&shared)).unwrap();
        let plugin = PluginConfig::new("guest").configuration(configuration);
        let plugin = vm.start_plugin(plugin).unwrap();
        (vm, plugin)
    };
    let (consumer, _) = start("consumer", "registers");
    let (producer, plugin) = start("producer", "");
    producer.tick(plugin).unwrap();
    assert_eq!(producer.announce_queues(10).unwrap(), 0);
    assert_eq!(consumer.announce_queues(10).unwrap(), 1);
    assert_eq!(messages(&consumer), ["item"]);
}
