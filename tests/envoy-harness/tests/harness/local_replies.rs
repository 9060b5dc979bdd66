//! Local replies: from which callback, to which request, and what the filter sees of them.

use envoy_harness::{Answer, Exchange, HeaderMap, Message, Origin, Progress};

use crate::guest::{get, messages, ok, open, post, start, start_holding};

/// A reply of 403 with a header and a body. gRPC status 7 is not given but follows from it.
const DENY: &str = r#"(drop (call $send_local_response (i32.const 403) [not you] [no] [\01\00\00\00\06\00\00\00\01\00\00\00x-deny\001\00] (i32.const -1)))"#;

/// Denies in one callback, and logs the others.
fn denies_in(callback: &str, parameters: usize) -> String {
    let others: String = [
        ("proxy_on_request_headers", 3),
        ("proxy_on_request_body", 3),
        ("proxy_on_request_trailers", 2),
        ("proxy_on_response_headers", 3),
        ("proxy_on_response_body", 3),
    ]
    .into_iter()
    .filter(|(name, _)| *name != callback)
    .map(|(name, count)| {
        let label = name.trim_start_matches("proxy_on_");
        format!(
            r#"(func (export "{name}") (param {}) (result i32)
                 (call $say [{label}] (local.get 1)) (i32.const 0))"#,
            "i32 ".repeat(count)
        )
    })
    .collect();
    // Continue, which has no effect after a reply was sent.
    let denies = format!(
        r#"(func (export "{callback}") (param {}) (result i32) {DENY} (i32.const 0))"#,
        "i32 ".repeat(parameters)
    );
    format!("{others} {denies}")
}

fn denied() -> Message {
    let headers = HeaderMap::from([
        (":status", "403"),
        ("x-deny", "1"),
        ("content-length", "2"),
        ("content-type", "text/plain"),
    ]);
    Message { headers: Some(headers), body: b"no".into(), trailers: None, complete: true }
}

#[test]
fn a_reply_from_the_request_goes_through_the_reply_side_of_the_filter() {
    let (vm, plugin) = start(&denies_in("proxy_on_request_headers", 3));
    let mut stream = open(&vm, plugin);
    assert_eq!(stream.request_headers(post(), false).unwrap(), Progress::Replied);
    assert_eq!(stream.local_reply(), Some(denied()));
    assert_eq!(stream.origin(), Some(Origin::Filter));
    assert_eq!(stream.details(), "not_you");
    assert_eq!(stream.forwarded(), Message::default());
    assert!(!stream.is_upstream_reset());
    assert_eq!(messages(&vm), ["response_headers=4", "response_body=2"]);
    stream.request_body("body", true).unwrap();
    assert_eq!(messages(&vm).len(), 2, "nobody reads on");
    assert!(stream.response_headers(ok(), true).is_err());
}

#[test]
fn a_reply_from_the_body_resets_an_upstream_that_has_begun() {
    let (vm, plugin) = start(&denies_in("proxy_on_request_body", 3));
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    assert_eq!(stream.request_body("body", true).unwrap(), Progress::Replied);
    assert_eq!(stream.local_reply(), Some(denied()));
    assert!(stream.is_upstream_reset());
    assert!(!stream.forwarded().complete);
}

#[test]
fn a_reply_from_the_body_of_a_request_that_is_held_leaves_the_upstream_alone() {
    let guest = denies_in("proxy_on_request_body", 3)
        .replace("(call $say [request_headers] (local.get 1)) (i32.const 0)", "(i32.const 1)");
    let (vm, plugin) = start_holding(&guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    assert_eq!(stream.request_body("body", true).unwrap(), Progress::Replied);
    assert_eq!(stream.forwarded(), Message::default());
    assert!(!stream.is_upstream_reset());
}

#[test]
fn a_reply_from_the_trailers_ends_the_request() {
    let (vm, plugin) = start(&denies_in("proxy_on_request_trailers", 2));
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("body", false).unwrap();
    assert_eq!(stream.request_trailers(HeaderMap::new()).unwrap(), Progress::Replied);
    assert_eq!(stream.forwarded().trailers, None);
    assert_eq!(stream.local_reply(), Some(denied()));
}

#[test]
fn a_reply_from_the_replys_headers_takes_its_place_past_the_filter() {
    for end_of_stream in [true, false] {
        let (vm, plugin) = start(&denies_in("proxy_on_response_headers", 3));
        let mut stream = open(&vm, plugin);
        stream.request_headers(get(), true).unwrap();
        let progress = stream.response_headers([(":status", "204")], end_of_stream).unwrap();
        assert_eq!(progress, Progress::Replied);
        assert_eq!(stream.local_reply(), Some(denied()));
        assert_eq!(messages(&vm), ["request_headers=3"]);
    }
}

#[test]
fn a_reply_that_comes_after_the_headers_resets_the_stream() {
    let (vm, plugin) = start(&denies_in("proxy_on_response_body", 3));
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), false).unwrap();
    assert_eq!(stream.response_body("body", true).unwrap(), Progress::Reset);
    assert_eq!(stream.received().headers, Some(ok()));
    assert_eq!(stream.received().body, b"");
    assert!(!stream.received().complete);
}

fn grpc() -> HeaderMap {
    post().with("content-type", "application/grpc+proto")
}

#[test]
fn to_a_grpc_request_a_reply_is_trailers_alone() {
    let (vm, plugin) = start(&denies_in("proxy_on_request_headers", 3));
    let mut stream = open(&vm, plugin);
    stream.request_headers(grpc(), false).unwrap();
    let headers = HeaderMap::from([
        (":status", "200"),
        ("x-deny", "1"),
        ("content-type", "application/grpc"),
        ("grpc-status", "7"),
        ("grpc-message", "no"),
    ]);
    let expected = Message { headers: Some(headers), complete: true, ..Message::default() };
    assert_eq!(stream.local_reply(), Some(expected));
    assert_eq!(messages(&vm), ["response_headers=5"]);
}

#[test]
fn a_request_stays_grpc_whatever_the_filter_makes_of_it() {
    let guest = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $replace_value (i32.const 0) [content-type] [application/json]))
          (drop (call $send_local_response (i32.const 200) [] [why] [] (i32.const 3)))
          (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(grpc(), false).unwrap();
    assert_eq!(stream.received().header("grpc-status").as_deref(), Some("3"));
    assert_eq!(stream.received().header("grpc-message").as_deref(), Some("why"));
}

#[test]
fn the_filter_can_change_its_own_reply() {
    let guest = format!(
        r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          {DENY} (i32.const 0))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
          (drop (call $replace_value (i32.const 2) [:status] [451])) (i32.const 0))"#
    );
    let (vm, plugin) = start(&guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    assert_eq!(stream.received().status(), Some(451));
}

#[test]
fn of_two_replies_the_first_is_sent() {
    let guest = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $send_local_response (i32.const 401) [] [] [] (i32.const -1)))
          (drop (call $send_local_response (i32.const 500) [] [] [] (i32.const -1)))
          (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    assert_eq!(stream.received().status(), Some(401));
}

#[test]
fn envoys_413_comes_before_the_filters_own_reply_to_the_same_piece() {
    let guest = format!(
        r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (if (i32.gt_u (local.get 1) (i32.const 4)) (then {DENY}))
          (i32.const 1))"#
    );
    let (vm, plugin) = start_holding(&guest);
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(4);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("1234", false).unwrap();
    stream.request_body("5", false).unwrap();
    assert_eq!(stream.received().status(), Some(413));

    // A first piece is not buffered before the filter has seen it.
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(4);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("12345", false).unwrap();
    assert_eq!(stream.received().status(), Some(403));
}

#[test]
fn an_exchange_ends_where_the_filter_replies() {
    // In the middle of the upstream's answer, which is held.
    let guest = format!(
        r#"
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
          (if (i32.eq (local.get 1) (i32.const 2)) (then {DENY})) (i32.const 1))"#
    );
    let (vm, plugin) = start_holding(&guest);
    let answer = |_: &Message| Answer::new(200).body("answer").trailer("x-t", "1");
    let stream = Exchange::new(get()).in_pieces_of(1).upstream(answer).run(&vm, plugin).unwrap();
    assert_eq!(stream.local_reply(), Some(denied()));

    // Just after the request has been forwarded.
    let guest = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (drop (call $continue_stream (i32.const 0))) {DENY} (i32.const 1))"#
    );
    let (vm, plugin) = start(&guest);
    let stream =
        Exchange::new(get()).upstream(|_| panic!("it is not asked")).run(&vm, plugin).unwrap();
    assert_eq!(stream.local_reply(), Some(denied()));
    assert!(stream.forwarded().complete && stream.is_upstream_reset());
}

#[test]
fn who_replies_for_another_stream_goes_no_further_itself() {
    let guest = format!(
        r#"
        (global $first (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (if (i32.eqz (global.get $first))
            (then (global.set $first (local.get 0)) (return (i32.const 1))))
          (if (local.get 2) (then (call $deny_first)))
          (i32.const 0))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (call $deny_first) (i32.const 0))
        (func $deny_first (drop (call $set_effective (global.get $first))) {DENY})"#
    );
    for in_headers in [true, false] {
        let (vm, plugin) = start(&guest);
        let (mut first, mut second) = (open(&vm, plugin), open(&vm, plugin));
        first.request_headers(get(), true).unwrap();
        let progress = if in_headers {
            second.request_headers(get(), true).unwrap()
        } else {
            second.request_headers(post(), false).unwrap();
            second.request_body("body", true).unwrap()
        };
        assert_eq!(first.local_reply(), Some(denied()));
        assert_eq!((progress, second.local_reply()), (Progress::Paused, None));
        assert!(!second.forwarded().complete);
    }
}

#[test]
fn without_a_stream_a_reply_is_nothing_and_no_error() {
    let guest = r#"(func (export "proxy_on_tick") (param i32)
        (call $say [reply] (call $send_local_response (i32.const 403) [] [] [] (i32.const -1)))
        (call $say [pointer] (call $send_local_response
          (i32.const 403) [] (i32.const -1) (i32.const 9) [] (i32.const -1))))"#;
    let (vm, plugin) = start(guest);
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["reply=0", "pointer=6"]);
}

#[test]
fn a_plugin_replies_for_a_stream_that_it_has_chosen() {
    let guest = format!(
        r#"
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0)) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
          (drop (call $set_effective (global.get $stream))) {DENY})"#
    );
    let (vm, plugin) = start(&guest);
    let mut stream = open(&vm, plugin);
    assert_eq!(stream.request_headers(get(), true).unwrap(), Progress::Paused);
    vm.tick(plugin).unwrap();
    assert_eq!(stream.local_reply(), Some(denied()));
    assert_eq!(stream.request_progress(), Progress::Replied);
}
