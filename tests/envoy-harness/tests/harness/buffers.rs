//! Bodies: reading, removing, growing, and where they are not accessible.

use envoy_harness::{HeaderMap, PluginConfig, VmConfig};

use crate::guest::{get, messages, ok, open, post, said_on_headers, start, start_with};

/// A guest that does `deed` at the end of a request's body, which it buffers until then.
fn at_the_end(deed: &str) -> String {
    format!(
        r#"(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
             (if (local.get 2) (then {deed}))
             (i32.eqz (local.get 2)))"#
    )
}

/// What the upstream gets of `bo`, `dy` when a guest does `deed`.
fn forwarded(deed: &str) -> String {
    let (vm, plugin) = start(&at_the_end(deed));
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("bo", false).unwrap();
    stream.request_body("dy", true).unwrap();
    assert!(stream.forwarded().complete);
    String::from_utf8(stream.forwarded().body).unwrap()
}

fn said(deed: &str) -> Vec<String> {
    let (vm, plugin) = start(&at_the_end(deed));
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("bo", false).unwrap();
    stream.request_body("dy", true).unwrap();
    messages(&vm)
}

#[test]
fn a_buffer_that_does_not_exist_is_a_bad_argument() {
    let deed = r#"
        (call $say [get] (call $get_buffer (i32.const 9) (i32.const 0) (i32.const 1) @out))
        (call $say [status] (call $buffer_status (i32.const 9) (i32.const 128) (i32.const 132)))
        (call $say [set] (call $set_buffer (i32.const 9) (i32.const 0) (i32.const 0) [x]))"#;
    assert_eq!(said(deed), ["get=2", "status=2", "set=2"]);
}

#[test]
fn a_pointer_out_of_memory_is_refused_and_nothing_changes() {
    let deed = r#"
        (call $say [set] (call $set_buffer
          (i32.const 0) (i32.const 0) (i32.const 4) (i32.const -1) (i32.const 1)))
        (call $say [get] (call $get_buffer
          (i32.const 0) (i32.const 0) (i32.const 4) (i32.const -1) (i32.const -1)))"#;
    assert_eq!(said(deed), ["set=6", "get=6"]);
    assert_eq!(forwarded(deed), "body");
}

#[test]
fn a_part_is_read_and_never_more_than_there_is() {
    let deed = r#"
        (drop (call $get_buffer (i32.const 0) (i32.const 1) (i32.const 2) @out)) (call $say_result)
        (drop (call $get_buffer (i32.const 0) (i32.const 2) (i32.const -1) @out)) (call $say_result)
        (call $forget_result)
        (call $say [beyond] (call $get_buffer (i32.const 0) (i32.const 5) (i32.const 1) @out))
        (call $say [at] (i32.load (i32.const 128)))"#;
    assert_eq!(said(deed), ["od", "dy", "beyond=0", "at=0"]);
}

#[test]
fn a_buffers_status_is_its_length() {
    let deed = r#"
        (call $forget_result)
        (drop (call $buffer_status (i32.const 0) (i32.const 128) (i32.const 132)))
        (call $say [length] (i32.load (i32.const 128)))
        (call $say [flags] (i32.load (i32.const 132)))"#;
    assert_eq!(said(deed), ["length=4", "flags=0"]);
}

#[test]
fn at_the_start_what_is_drained_is_replaced() {
    let set = |length: i32, text: &str| {
        forwarded(&format!(
            "(drop (call $set_buffer (i32.const 0) (i32.const 0) (i32.const {length}) [{text}]))"
        ))
    };
    assert_eq!(set(4, "new"), "new");
    assert_eq!(set(-1, "new"), "new");
    assert_eq!(set(1, "new"), "newody");
    assert_eq!(set(0, "new"), "newbody");
    assert_eq!(set(4, ""), "");
}

#[test]
fn at_the_end_and_beyond_it_is_appended() {
    for start in [4, 5, -1] {
        let deed = format!(
            "(drop (call $set_buffer (i32.const 0) (i32.const {start}) (i32.const 9) [new]))"
        );
        assert_eq!(forwarded(&deed), "bodynew");
    }
}

#[test]
fn in_the_middle_is_refused() {
    let deed = "(call $say [set] (call $set_buffer (i32.const 0) (i32.const 1) (i32.const 1) [x]))";
    assert_eq!(said(deed), ["set=2"]);
    assert_eq!(forwarded(deed), "body");
}

#[test]
fn the_length_that_a_callback_is_told_is_of_all_that_is_kept() {
    let guest = r#"
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (call $say [length] (local.get 1))
          (i32.ne (local.get 1) (i32.const 4)))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    for piece in ["bo", "dy", "and", " more"] {
        stream.request_body(piece, false).unwrap();
    }
    // After data has been forwarded, new data is counted from zero.
    assert_eq!(messages(&vm), ["length=2", "length=4", "length=3", "length=8"]);
    assert_eq!(stream.forwarded().body, b"body");
}

#[test]
fn what_is_drained_from_each_piece_is_gone() {
    let guest = r#"
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (drop (call $set_buffer (i32.const 0) (i32.const 0) (local.get 1) [.])) (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    for piece in ["a", "bcd", "ef"] {
        stream.request_body(piece, false).unwrap();
    }
    stream.request_body("", true).unwrap();
    assert_eq!(stream.forwarded().body, b"....");
}

#[test]
fn a_body_that_has_gone_on_is_empty_and_cannot_be_changed() {
    let guest = r#"
        (func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
          (call $forget_result)
          (call $say [get] (call $get_buffer (i32.const 0) (i32.const 0) (i32.const 9) @out))
          (call $say [at] (i32.load (i32.const 128)))
          (call $say [set] (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) [x]))
          (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("body", false).unwrap();
    stream.request_trailers(HeaderMap::new()).unwrap();
    assert_eq!(messages(&vm), ["get=0", "at=0", "set=2"]);
    assert_eq!(stream.forwarded().body, b"body");
}

#[test]
fn a_body_that_is_kept_can_be_changed_when_its_trailers_come() {
    let guest = r#"
        (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_response_trailers") (param i32 i32) (result i32)
          (drop (call $get_buffer (i32.const 1) (i32.const 0) (i32.const 9) @out))
          (call $say_result)
          (drop (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 4) [new]))
          (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), false).unwrap();
    stream.response_body("bo", false).unwrap();
    stream.response_body("dy", false).unwrap();
    assert_eq!(stream.received().body, b"");
    stream.response_trailers([("grpc-status", "0")]).unwrap();
    assert_eq!(messages(&vm), ["body"]);
    let received = stream.received();
    assert_eq!(received.body, b"new");
    assert_eq!(received.trailer("grpc-status").as_deref(), Some("0"));
    assert!(received.complete);
}

#[test]
fn a_reply_of_headers_alone_has_no_body_to_change() {
    let guest = r#"
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (call $say [set] (call $set_buffer (i32.const 1) (i32.const 0) (i32.const 0) [x]))
          (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers([(":status", "204")], true).unwrap();
    assert_eq!(messages(&vm), ["set=2"]);
    assert_eq!(stream.received().body, b"");
}

#[test]
fn configurations_are_read_where_they_are_given() {
    let guest = r#"
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
          (call $say [vm length] (local.get 1))
          (drop (call $get_buffer (i32.const 6) (i32.const 0) (local.get 1) @out))
          (call $say_result)
          (call $say [too early] (call $get_buffer (i32.const 7) (i32.const 0) (i32.const 9) @out))
          (i32.const 1))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
          (call $say [plugin length] (local.get 1))
          (drop (call $get_buffer (i32.const 7) (i32.const 0) (local.get 1) @out))
          (call $say_result)
          (call $say [set] (call $set_buffer (i32.const 7) (i32.const 0) (i32.const 0) [x]))
          (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (call $say [too late] (call $get_buffer (i32.const 7) (i32.const 0) (i32.const 9) @out)))"#;
    let (vm, plugin) = start_with(
        guest,
        VmConfig::new().configuration("of the vm"),
        PluginConfig::new("guest").configuration("of the plugin"),
    );
    vm.tick(plugin).unwrap();
    let expected = [
        "vm length=9",
        "of the vm",
        "too early=1",
        "plugin length=13",
        "of the plugin",
        "set=2",
        "too late=1",
    ];
    assert_eq!(messages(&vm), expected);
}

#[test]
fn there_is_no_answer_where_no_call_was_answered() {
    let guest = r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $say [http] (call $get_buffer (i32.const 4) (i32.const 0) (i32.const 9) @out))
        (call $say [grpc] (call $get_buffer (i32.const 5) (i32.const 0) (i32.const 9) @out))
        (call $say [network] (call $get_buffer (i32.const 2) (i32.const 0) (i32.const 9) @out))
        (i32.const 0))"#;
    assert_eq!(said_on_headers(guest, get()), ["http=1", "grpc=0", "network=0"]);
}
