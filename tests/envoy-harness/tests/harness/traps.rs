//! Guests that trap, and what a request costs.

use envoy_harness::{Error, HeaderMap, Origin, PluginConfig, Progress, Vm, VmConfig};

use crate::guest::{get, messages, module, ok, open, post, start, start_with};

/// Panics as a Rust guest does, on a body of 4 bytes: it logs, and then executes `unreachable`.
const PANICS: &str = r#"
    (func $rust_panic
      (drop (call $log (i32.const 5) [panicked at 'no such header']))
      (unreachable))
    (func $decide (param i32)
      (if (i32.eq (local.get 0) (i32.const 4)) (then (call $rust_panic))))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
      (call $decide (local.get 1)) (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (call $say [response headers] (local.get 1)) (i32.const 0))
    (func (export "proxy_on_log") (param i32) (call $say [log] (local.get 0)))"#;

#[test]
fn a_trap_says_where_why_and_what_was_logged_last() {
    let (vm, plugin) = start(PANICS);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    let error = stream.request_body("body", true).unwrap_err();
    let Error::Trap(trap) = &error else { panic!("{error}") };
    assert_eq!((trap.callback.as_str(), trap.context), ("proxy_on_request_body", stream.context()));
    assert_eq!(trap.root_id, "guest");
    assert!(trap.reason.contains("unreachable"), "{}", trap.reason);
    assert_eq!(trap.backtrace[..2], ["rust_panic", "decide"]);
    assert_eq!(trap.logs.last().unwrap().message, "panicked at 'no such header'");
    let text = error.to_string();
    for part in
        ["proxy_on_request_body trapped", "plugin \"guest\"", "0: rust_panic", "panicked at"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(vm.trap().as_ref(), Some(trap.as_ref()));
}

#[test]
fn the_stream_that_trapped_and_all_later_ones_are_refused_without_the_guest() {
    let (vm, plugin) = start(PANICS);
    let mut stream = open(&vm, plugin);
    let mut other = open(&vm, plugin);
    other.request_headers(post(), false).unwrap();
    stream.request_headers(post(), false).unwrap();
    stream.request_body("body", true).unwrap_err();

    let mut later = open(&vm, plugin);
    assert_eq!(later.request_headers(get(), true).unwrap(), Progress::Replied);
    assert_eq!(other.request_body("fine", true).unwrap(), Progress::Replied);
    for stream in [&mut stream, &mut other, &mut later] {
        let reply = stream.local_reply().unwrap();
        assert_eq!(reply.headers, Some(HeaderMap::from([(":status", "503")])));
        assert!(reply.complete);
        assert_eq!(
            (stream.origin(), stream.details().as_str()),
            (Some(Origin::Envoy), "wasm_fail_stream")
        );
        stream.finish().unwrap();
    }
    assert!(!stream.forwarded().complete);
    assert_eq!(messages(&vm), ["panicked at 'no such header'"], "it is never called again");
    assert!(matches!(vm.start_plugin(PluginConfig::new("another")), Err(Error::Failed(_))));
}

#[test]
fn a_grpc_request_is_refused_as_unavailable() {
    let (vm, plugin) = start(PANICS);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post().with("content-type", "application/grpc"), false).unwrap();
    stream.request_body("body", true).unwrap_err();
    assert_eq!(stream.received().status(), Some(200));
    assert_eq!(stream.received().header("grpc-status").as_deref(), Some("14"));
}

#[test]
fn a_reply_that_the_filter_had_asked_for_is_not_sent_if_it_traps() {
    let guest = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $send_local_response (i32.const 400) [] [] [] (i32.const -1)))
        (unreachable))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap_err();
    assert_eq!(stream.received().status(), Some(503));
}

#[test]
fn what_was_put_off_until_the_trap_is_done_still() {
    let guest = r#"
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0)) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (drop (call $set_effective (global.get $stream)))
          (drop (call $continue_stream (i32.const 0)))
          (unreachable))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    vm.tick(plugin).unwrap_err();
    assert!(stream.forwarded().complete);
}

#[test]
fn a_trap_on_the_reply_takes_its_place_or_cuts_it_off() {
    let traps_in = |callback: &str| {
        format!(r#"(func (export "{callback}") (param i32 i32 i32) (result i32) (unreachable))"#)
    };
    let (vm, plugin) = start(&traps_in("proxy_on_response_headers"));
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), false).unwrap_err();
    assert_eq!(stream.received().status(), Some(503));

    let (vm, plugin) = start(&traps_in("proxy_on_response_body"));
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), false).unwrap();
    stream.response_body("body", true).unwrap_err();
    assert_eq!(stream.received().status(), Some(200));
    assert!(stream.is_reset());
}

#[test]
fn a_plugin_that_traps_when_it_is_configured_does_not_harm_the_vm() {
    let guest = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
        (if (i32.eqz (local.get 1)) (then (unreachable))) (i32.const 1))"#;
    let vm = Vm::new(&module(guest)).unwrap();
    let error = vm.start_plugin(PluginConfig::new("bad")).unwrap_err();
    assert!(error.to_string().contains("proxy_on_configure trapped"), "{error}");
    assert_eq!(vm.trap(), None);
    vm.start_plugin(PluginConfig::new("good").configuration("{}")).unwrap();
}

#[test]
fn a_trap_in_a_tick_is_an_error_of_the_tick() {
    let (vm, plugin) = start(r#"(func (export "proxy_on_tick") (param i32) (unreachable))"#);
    assert!(matches!(vm.tick(plugin), Err(Error::Trap(_))));
    vm.tick(plugin).unwrap();
}

#[test]
fn a_guest_that_never_returns_runs_out_of_fuel() {
    let guest = r#"(func (export "proxy_on_tick") (param i32) (loop $for_ever (br $for_ever)))"#;
    let config = VmConfig::new().fuel_limit(100_000);
    let (vm, plugin) = start_with(guest, config, PluginConfig::new("guest"));
    let error = vm.tick(plugin).unwrap_err();
    assert!(error.to_string().contains("fuel"), "{error}");
}

#[test]
fn a_guest_gets_no_more_memory_than_its_limit() {
    let guest = r#"(func (export "proxy_on_tick") (param i32)
        (call $say [grown] (i32.ne (memory.grow (i32.const 30)) (i32.const -1))))"#;
    for (limit, expected) in [(16 << 16, "grown=0"), (64 << 16, "grown=1")] {
        let config = VmConfig::new().memory_limit(limit);
        let (vm, plugin) = start_with(guest, config, PluginConfig::new("guest"));
        vm.tick(plugin).unwrap();
        assert_eq!(messages(&vm), [expected]);
    }
}

#[test]
fn a_guest_that_cannot_give_memory_is_told_so() {
    // The guest's own malloc traps when it cannot grow the memory. This is a trap of the callback that called it.
    let guest = r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $get_buffer (i32.const 7) (i32.const 0) (local.get 1) @out)) (i32.const 1))"#;
    let vm = Vm::with_config(&module(guest), VmConfig::new().memory_limit(3 << 16)).unwrap();
    let plugin = PluginConfig::new("guest").configuration(vec![b'x'; 1 << 20]);
    let error = vm.start_plugin(plugin).unwrap_err();
    assert!(error.to_string().contains("proxy_on_configure trapped"), "{error}");
    assert!(error.to_string().contains("malloc"), "{error}");
}

#[test]
fn a_request_costs_the_same_fuel_every_time() {
    let cost = |body: &str| {
        let (vm, plugin) = start(PANICS);
        let mut stream = open(&vm, plugin);
        stream.request_headers(post(), false).unwrap();
        stream.request_body(body, true).unwrap();
        stream.finish().unwrap();
        assert!(vm.fuel() >= stream.fuel());
        stream.fuel()
    };
    assert_eq!(cost("fine"[..3].into()), cost("fine"[..3].into()));
    assert!(cost("abc") > 0);
}

#[test]
fn the_guests_memory_is_measured() {
    let (vm, plugin) =
        start(r#"(func (export "proxy_on_tick") (param i32) (drop (memory.grow (i32.const 1))))"#);
    assert_eq!(vm.memory_bytes(), 2 << 16);
    vm.tick(plugin).unwrap();
    assert_eq!(vm.memory_bytes(), 3 << 16);
}
