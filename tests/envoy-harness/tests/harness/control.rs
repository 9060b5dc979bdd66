//! Logs, time, ticks, status, effective contexts, streams, foreign functions.

use std::time::Duration;

use envoy_harness::{LogLevel, PluginConfig, Progress, Status, VmConfig};

use crate::guest::{get, messages, ok, open, start, start_with};

fn on_tick(deed: &str) -> String {
    format!(r#"(func (export "proxy_on_tick") (param i32) {deed})"#)
}

/// What a guest logs if it does `deed` in a plugin's context.
fn said(deed: &str) -> Vec<String> {
    let (vm, plugin) = start(&on_tick(deed));
    vm.tick(plugin).unwrap();
    messages(&vm)
}

#[test]
fn a_line_is_logged_with_its_level_and_context() {
    let deed = r#"
        (drop (call $log (i32.const 3) [careful]))
        (call $say [level] (call $log (i32.const 6) [none]))
        (call $say [pointer] (call $log (i32.const 2) (i32.const -1) (i32.const 2)))"#;
    let (vm, plugin) = start(&on_tick(deed));
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["careful", "level=2", "pointer=6"]);
    assert!(vm.has_logged(LogLevel::Warn, "care"));
    assert!(!vm.has_logged(LogLevel::Error, "care"));
    assert_eq!(vm.logs()[0].context, plugin.context());
}

#[test]
fn the_log_level_is_the_one_that_was_set() {
    let deed = r#"
        (call $say [pointer] (call $get_log_level (i32.const -1)))
        (drop (call $get_log_level (i32.const 128)))
        (call $say [level] (i32.load (i32.const 128)))"#;
    assert_eq!(said(deed), ["pointer=6", "level=0"]);
    let config = VmConfig::new().log_level(LogLevel::Error);
    let (vm, plugin) = start_with(&on_tick(deed), config, PluginConfig::new("guest"));
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["pointer=6", "level=4"]);
}

#[test]
fn the_time_is_the_one_that_was_set() {
    let deed = r#"
        (call $say [pointer] (call $get_time (i32.const -1)))
        (drop (call $get_time (i32.const 128)))
        (call $say [ns] (i32.load (i32.const 128)))"#;
    let config = VmConfig::new().time(Duration::from_nanos(7));
    let (vm, plugin) = start_with(&on_tick(deed), config, PluginConfig::new("guest"));
    vm.tick(plugin).unwrap();
    vm.set_time(Duration::from_nanos(8));
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["pointer=6", "ns=7", "pointer=6", "ns=8"]);
}

/// Ticks every 10 ms, and stops after the third tick.
const TICKS: &str = r#"
    (global $ticks (mut i32) (i32.const 0))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (drop (call $set_tick (i32.const 10))) (i32.const 1))
    (func (export "proxy_on_tick") (param i32)
      (global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
      (call $say [tick] (global.get $ticks))
      (if (i32.eq (global.get $ticks) (i32.const 3))
        (then (drop (call $set_tick (i32.const 0))))))"#;

#[test]
fn a_timer_fires_as_often_as_it_comes_due_until_it_is_off() {
    let (vm, plugin) = start(TICKS);
    assert_eq!(vm.tick_period(plugin), Some(Duration::from_millis(10)));
    let begun = vm.time();
    vm.advance(Duration::from_millis(9)).unwrap();
    assert!(messages(&vm).is_empty());
    vm.advance(Duration::from_millis(11)).unwrap();
    assert_eq!(messages(&vm), ["tick=1", "tick=2"]);
    vm.advance(Duration::from_secs(1)).unwrap();
    assert_eq!(messages(&vm), ["tick=1", "tick=2", "tick=3"]);
    assert_eq!(vm.tick_period(plugin), None);
    assert_eq!(vm.time(), begun + Duration::from_millis(1020));
}

#[test]
fn a_timer_that_a_stream_sets_is_its_plugins() {
    let guest = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $set_tick (i32.const 5))) (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    open(&vm, plugin).request_headers(get(), true).unwrap();
    assert_eq!(vm.tick_period(plugin), Some(Duration::from_millis(5)));
}

#[test]
fn a_context_that_does_not_exist_cannot_be_chosen() {
    let said = said("(call $say [chosen] (call $set_effective (i32.const 77)))");
    assert_eq!(said, ["chosen=2"]);
}

#[test]
fn a_plugin_acts_for_a_stream_that_it_has_chosen_until_it_returns() {
    let guest = r#"
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0)) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (call $say [before] (call $set_property [p] [v]))
          (drop (call $set_effective (global.get $stream)))
          (call $say [chosen] (call $add_value (i32.const 0) [x] [y]))
          (call $say [continue] (call $continue_stream (i32.const 0)))
          (call $say [after] (call $add_value (i32.const 0) [x] [y])))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    assert_eq!(stream.request_headers(get(), true).unwrap(), Progress::Paused);
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["before=1", "chosen=0", "continue=0", "after=2"]);
    assert_eq!(stream.forwarded().headers, Some(get().with("x", "y")));
    assert!(stream.forwarded().complete);
    for finished in [false, true] {
        if finished {
            stream.finish().unwrap();
        }
        let before = messages(&vm).len();
        vm.tick(plugin).unwrap();
        assert_eq!(messages(&vm)[before..], ["before=1", "chosen=2", "continue=0", "after=2"]);
    }
}

#[test]
fn only_streams_of_http_can_be_continued_and_closed() {
    let deed = r#"
        (call $say [continue 2] (call $continue_stream (i32.const 2)))
        (call $say [continue 3] (call $continue_stream (i32.const 3)))
        (call $say [continue 4] (call $continue_stream (i32.const 4)))
        (call $say [close 3] (call $close_stream (i32.const 3)))
        (call $say [close 4] (call $close_stream (i32.const 4)))"#;
    let expected = ["continue 2=0", "continue 3=12", "continue 4=2", "close 3=0", "close 4=2"];
    assert_eq!(said(deed), expected);
}

#[test]
fn a_stream_that_is_closed_is_reset_on_both_sides() {
    let guest = r#"
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (drop (call $close_stream (i32.const 1))) (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    assert_eq!(stream.response_headers(ok(), false).unwrap(), Progress::Reset);
    assert!(stream.is_reset());
    assert!(stream.is_upstream_reset());
    assert!(!stream.received().complete);
    assert_eq!(stream.local_reply(), None);
}

#[test]
fn there_is_no_status_before_a_call_has_ended() {
    let deed = r#"
        (call $forget_result)
        (call $say [status] (call $get_status (i32.const 136) @out))
        (call $say [code] (i32.load (i32.const 136)))
        (call $say [at] (i32.load (i32.const 128)))
        (call $say [pointer] (call $get_status (i32.const -1) @out))"#;
    assert_eq!(said(deed), ["status=0", "code=0", "at=0", "pointer=6"]);
}

#[test]
fn only_who_was_asked_to_wait_can_say_that_it_is_done() {
    assert_eq!(said("(call $say [done] (call $done))"), ["done=1"]);
}

#[test]
fn a_foreign_function_is_called_if_there_is_one() {
    let deed = r#"
        (call $say [none] (call $call_foreign [none] [x] @out))
        (call $say [pointer] (call $call_foreign [double] (i32.const -1) (i32.const 1) @out))
        (call $say [double] (call $call_foreign [double] [ab] @out)) (call $say_result)
        (call $say [refused] (call $call_foreign [double] [] @out))
        (call $forget_result)
        (call $say [no result] (call $call_foreign [double] [ab] (i32.const 0) (i32.const 0)))"#;
    let config = VmConfig::new().foreign_function("double", |bytes| {
        if bytes.is_empty() { Err(Status::BadArgument) } else { Ok([bytes, bytes].concat()) }
    });
    let (vm, plugin) = start_with(&on_tick(deed), config, PluginConfig::new("guest"));
    vm.tick(plugin).unwrap();
    let expected = ["none=1", "pointer=6", "double=0", "abab", "refused=2", "no result=0"];
    assert_eq!(messages(&vm), expected);
}
