//! How a request and a reply pass through the filter: pausing, holding, buffering, limits.

use envoy_harness::{Answer, Error, Exchange, HeaderMap, Message, Origin, Progress, Stream};

use crate::guest::{get, messages, ok, open, post, start, start_holding};

/// Logs each callback of a request and its arguments; `headers` and `body` are the returned values.
fn request_guest(headers: &str, body: &str) -> String {
    format!(
        r#"
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0))
          (call $say [headers] (local.get 2)) {headers})
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (call $say [body] (local.get 1)) {body})
        (func (export "proxy_on_request_trailers") (param i32 i32) (result i32)
          (call $say [trailers] (local.get 1)) (i32.const 0))
        (func (export "proxy_on_tick") (param i32)
          (drop (call $set_effective (global.get $stream)))
          (drop (call $continue_stream (i32.const 0))))"#
    )
}

const CONTINUE: &str = "(i32.const 0)";
const PAUSE: &str = "(i32.const 1)";
const PAUSE_UNTIL_END: &str = "(i32.eqz (local.get 2))";

fn message(body: &str, complete: bool) -> Message {
    Message { headers: Some(post()), body: body.into(), trailers: None, complete }
}

fn send(stream: &mut Stream, pieces: &[&str]) -> Progress {
    let mut progress = stream.request_headers(post(), false).unwrap();
    for (at, piece) in pieces.iter().enumerate() {
        progress = stream.request_body(piece, at + 1 == pieces.len()).unwrap();
    }
    progress
}

#[test]
fn what_the_filter_continues_goes_on_piece_by_piece() {
    let (vm, plugin) = start(&request_guest(CONTINUE, CONTINUE));
    let mut stream = open(&vm, plugin);
    assert_eq!(stream.request_headers(post(), false).unwrap(), Progress::Continued);
    assert_eq!(stream.forwarded(), message("", false));
    stream.request_body("bo", false).unwrap();
    assert_eq!(stream.forwarded(), message("bo", false));
    stream.request_body("dy", true).unwrap();
    assert_eq!(stream.forwarded(), message("body", true));
    assert_eq!(messages(&vm), ["headers=0", "body=2", "body=2"]);
}

#[test]
fn a_module_without_callbacks_lets_everything_through() {
    let (vm, plugin) = start("");
    let stream = Exchange::new(post())
        .body("body")
        .trailers([("x-t", "1")])
        .upstream(|_| Answer::new(200).body("answer").trailer("x-u", "2"))
        .run(&vm, plugin)
        .unwrap();
    assert_eq!(stream.forwarded().body, b"body");
    assert_eq!(stream.forwarded().trailer("x-t").as_deref(), Some("1"));
    assert_eq!(stream.received().body, b"answer");
    assert_eq!(stream.received().trailer("x-u").as_deref(), Some("2"));
    assert_eq!(stream.origin(), Some(Origin::Upstream));
}

#[test]
fn headers_that_pause_stop_the_body_too() {
    let (vm, plugin) = start(&request_guest(PAUSE, CONTINUE));
    let mut stream = open(&vm, plugin);
    assert_eq!(send(&mut stream, &["bo", "dy"]), Progress::Paused);
    assert_eq!(messages(&vm), ["headers=0"]);
    assert_eq!(stream.forwarded(), Message::default());
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["headers=0", "body=4"]);
    assert_eq!(stream.forwarded(), message("body", true));
}

#[test]
fn headers_that_pause_let_the_body_come_where_that_is_allowed() {
    let (vm, plugin) = start_holding(&request_guest(PAUSE, PAUSE_UNTIL_END));
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    assert_eq!(stream.request_body("bo", false).unwrap(), Progress::Paused);
    assert_eq!(stream.forwarded(), Message::default());
    assert_eq!(stream.request_body("dy", true).unwrap(), Progress::Continued);
    assert_eq!(messages(&vm), ["headers=0", "body=2", "body=4"]);
    assert_eq!(stream.forwarded(), message("body", true));
}

#[test]
fn trailers_wait_with_the_headers_and_are_seen_after_the_body() {
    let (vm, plugin) = start(&request_guest(PAUSE, CONTINUE));
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("body", false).unwrap();
    stream.request_trailers([("x-t", "1"), ("x-u", "2")]).unwrap();
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["headers=0", "body=4", "trailers=2"]);
    assert_eq!(stream.forwarded().body, b"body");
    assert_eq!(stream.forwarded().trailer("x-u").as_deref(), Some("2"));
    assert!(stream.forwarded().complete);
}

#[test]
fn a_body_with_trailers_has_no_end_of_its_own() {
    let (vm, plugin) = start_holding(&request_guest(PAUSE, PAUSE_UNTIL_END));
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("body", false).unwrap();
    assert_eq!(stream.request_trailers([("x-t", "1")]).unwrap(), Progress::Continued);
    assert_eq!(messages(&vm), ["headers=0", "body=4", "trailers=1"]);
    assert_eq!(stream.forwarded().body, b"body");
}

#[test]
fn a_body_that_is_held_goes_on_when_it_is_continued_from_elsewhere() {
    let (vm, plugin) = start(&request_guest(CONTINUE, PAUSE));
    let mut stream = open(&vm, plugin);
    assert_eq!(send(&mut stream, &["body"]), Progress::Paused);
    assert_eq!(stream.forwarded(), message("", false));
    vm.tick(plugin).unwrap();
    assert_eq!(stream.forwarded(), message("body", true));
    assert_eq!(messages(&vm), ["headers=0", "body=4"], "the filter has seen it already");
    vm.tick(plugin).unwrap();
    assert_eq!(stream.forwarded(), message("body", true), "to continue again is nothing");
}

#[test]
fn an_empty_last_piece_ends_the_body() {
    let (vm, plugin) = start_holding(&request_guest(PAUSE, PAUSE_UNTIL_END));
    let mut stream = open(&vm, plugin);
    assert_eq!(send(&mut stream, &["body", ""]), Progress::Continued);
    assert_eq!(messages(&vm), ["headers=0", "body=4", "body=4"]);
    assert_eq!(stream.forwarded(), message("body", true));
}

#[test]
fn to_continue_a_reply_that_has_not_come_is_nothing() {
    let guest = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (drop (call $continue_stream (i32.const 1))) (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    assert_eq!((stream.received(), stream.origin()), (Message::default(), None));
    stream.response_headers(ok(), true).unwrap();
    assert!(stream.received().complete);
}

#[test]
fn a_body_that_waited_for_its_headers_is_held_against_the_limit_from_then_on() {
    let (vm, plugin) = start(&request_guest(PAUSE, PAUSE));
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(4);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("12345", false).unwrap();
    vm.tick(plugin).unwrap();
    assert_eq!(stream.request_progress(), Progress::Paused);
    assert_eq!(stream.request_body("6", false).unwrap(), Progress::Replied);
    assert_eq!(stream.received().status(), Some(413));
}

#[test]
fn a_piece_that_is_not_kept_is_lost_and_the_end_is_not() {
    // 3 is StopIterationNoBuffer.
    let (vm, plugin) = start(&request_guest(CONTINUE, "(i32.const 3)"));
    let mut stream = open(&vm, plugin);
    send(&mut stream, &["body"]);
    vm.tick(plugin).unwrap();
    assert_eq!(stream.forwarded(), message("", true));
}

#[test]
fn a_request_without_a_body_is_told_so_and_has_no_other_callback() {
    let (vm, plugin) = start(&request_guest(CONTINUE, CONTINUE));
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    assert_eq!(messages(&vm), ["headers=1"]);
    assert!(stream.forwarded().complete);
}

#[test]
fn headers_alone_that_pause_stay_until_they_are_continued() {
    let (vm, plugin) = start_holding(&request_guest(PAUSE, CONTINUE));
    let mut stream = open(&vm, plugin);
    assert_eq!(stream.request_headers(get(), true).unwrap(), Progress::Paused);
    vm.tick(plugin).unwrap();
    assert!(stream.forwarded().complete);
    assert_eq!(stream.request_progress(), Progress::Continued);
}

#[test]
fn a_body_that_is_kept_beyond_the_limit_is_a_413() {
    let (vm, plugin) = start_holding(&request_guest(PAUSE, PAUSE_UNTIL_END));
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(4);
    stream.request_headers(post(), false).unwrap();
    assert_eq!(stream.request_body("1234", false).unwrap(), Progress::Paused);
    assert_eq!(stream.request_body("5", false).unwrap(), Progress::Replied);
    // As in Envoy, the filter sees the body once more before the reply is sent.
    assert_eq!(messages(&vm), ["headers=0", "body=4", "body=5"]);
    let reply = stream.local_reply().unwrap();
    assert_eq!(
        (reply.status(), reply.body.as_slice()),
        (Some(413), b"Payload Too Large".as_slice())
    );
    assert_eq!(stream.origin(), Some(Origin::Envoy));
    assert_eq!(stream.details(), "request_payload_too_large");
    assert_eq!(stream.forwarded(), Message::default());
    stream.request_body("6", true).unwrap();
    assert_eq!(messages(&vm).len(), 3, "nobody reads on");
}

#[test]
fn a_first_piece_beyond_the_limit_is_a_413_when_it_is_kept() {
    let (vm, plugin) = start(&request_guest(CONTINUE, PAUSE));
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(4);
    assert_eq!(send(&mut stream, &["12345", ""]), Progress::Replied);
    assert_eq!(stream.received().status(), Some(413));
    assert!(stream.is_upstream_reset(), "its headers had gone on");
}

#[test]
fn no_limit_holds_for_what_goes_on_or_waits_for_the_headers() {
    for guest in [request_guest(CONTINUE, CONTINUE), request_guest(PAUSE, CONTINUE)] {
        let (vm, plugin) = start(&guest);
        let mut stream = open(&vm, plugin);
        stream.set_buffer_limit(4);
        send(&mut stream, &["12345", "67890"]);
        vm.tick(plugin).unwrap();
        assert_eq!(stream.forwarded(), message("1234567890", true));
    }
}

#[test]
fn a_limit_of_nothing_is_none() {
    let (vm, plugin) = start_holding(&request_guest(PAUSE, PAUSE_UNTIL_END));
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(0);
    assert_eq!(send(&mut stream, &["12345", "67890"]), Progress::Continued);
}

#[test]
fn a_guest_may_return_what_only_envoys_own_filters_do() {
    let progress = |headers: &str, body: &str| {
        let (vm, plugin) = start(&request_guest(headers, body));
        let mut stream = open(&vm, plugin);
        stream.set_buffer_limit(4);
        let progress = send(&mut stream, &["123", "45", ""]);
        (progress, messages(&vm).len(), stream.forwarded().body)
    };
    // ContinueAndEndStream, which no longer exists.
    assert_eq!(progress("(i32.const 2)", CONTINUE), (Progress::Continued, 4, b"12345".into()));
    // StopAllIterationAndBuffer: the body counts towards the limit.
    assert_eq!(progress("(i32.const 3)", CONTINUE).0, Progress::Replied);
    // StopAllIterationAndWatermark, and a number that is not a status.
    assert_eq!(progress("(i32.const 4)", CONTINUE), (Progress::Paused, 1, Vec::new()));
    assert_eq!(progress("(i32.const 9)", CONTINUE), (Progress::Paused, 1, Vec::new()));
    // StopIterationAndWatermark: buffered, and the peer waits.
    assert_eq!(progress(CONTINUE, "(i32.const 2)"), (Progress::Paused, 4, Vec::new()));
}

/// Replaces the body by 16 bytes at its end.
const GROWS: &str = r#"
    (if (local.get 2) (then
      (drop (call $set_buffer (i32.const 0) (i32.const 0) (local.get 1) [0123456789abcdef]))))"#;

#[test]
fn a_body_that_the_filter_makes_too_long_is_a_413_where_it_is_kept() {
    let guest = request_guest(PAUSE, &format!("{GROWS} {PAUSE_UNTIL_END}"));
    let (vm, plugin) = start_holding(&guest);
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(8);
    assert_eq!(send(&mut stream, &["bo", "dy"]), Progress::Replied);
    assert_eq!(stream.received().status(), Some(413));
    assert_eq!(stream.forwarded(), Message::default());
}

#[test]
fn a_body_that_the_filter_makes_too_long_goes_on_where_it_is_not_kept() {
    let drains = r#"
        (drop (call $set_buffer (i32.const 0) (i32.const 0) (local.get 1) []))"#;
    let guest = request_guest(CONTINUE, &format!("{drains} {GROWS} {CONTINUE}"));
    let (vm, plugin) = start(&guest);
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(8);
    assert_eq!(send(&mut stream, &["bo", "dy"]), Progress::Continued);
    assert_eq!(stream.forwarded(), message("0123456789abcdef", true));
}

const REPLY_GUEST: &str = r#"
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (call $say [headers] (local.get 2)) (i32.const 1))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
      (call $say [body] (local.get 1)) (i32.eqz (local.get 2)))"#;

#[test]
fn a_reply_is_held_in_the_same_way() {
    let (vm, plugin) = start_holding(REPLY_GUEST);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    assert_eq!(stream.response_headers(ok(), false).unwrap(), Progress::Paused);
    stream.response_body("bo", false).unwrap();
    assert_eq!(stream.received(), Message::default());
    assert_eq!(stream.origin(), None);
    assert_eq!(stream.response_body("dy", true).unwrap(), Progress::Continued);
    let expected =
        Message { headers: Some(ok()), body: b"body".into(), trailers: None, complete: true };
    assert_eq!(stream.received(), expected);
    assert_eq!(messages(&vm), ["headers=0", "body=2", "body=4"]);
}

#[test]
fn a_reply_that_is_kept_beyond_the_limit_is_a_500() {
    let (vm, plugin) = start_holding(REPLY_GUEST);
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(4);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), false).unwrap();
    stream.response_body("1234", false).unwrap();
    assert_eq!(stream.response_body("5", false).unwrap(), Progress::Replied);
    // Envoy's reply does not pass through the filter, which had already begun another reply.
    assert_eq!(messages(&vm), ["headers=0", "body=4"]);
    assert_eq!(stream.received().status(), Some(500));
    assert_eq!(stream.received().body, b"Internal Server Error");
}

#[test]
fn a_reply_whose_headers_are_out_is_reset_beyond_the_limit() {
    let guest = r#"(func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
        (i32.const 1))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.set_buffer_limit(4);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), false).unwrap();
    assert_eq!(stream.response_body("12345", false).unwrap(), Progress::Reset);
    assert_eq!(stream.received().status(), Some(200));
    assert!(!stream.received().complete);
}

#[test]
fn peers_cannot_do_what_peers_cannot_do() {
    let (vm, plugin) = start("");
    let mut stream = open(&vm, plugin);
    let out_of_order = |outcome: Result<Progress, Error>| {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::OutOfOrder { .. }), "{error}");
    };
    out_of_order(stream.request_body("b", false));
    out_of_order(stream.response_headers(ok(), false));
    stream.request_headers(get(), true).unwrap();
    out_of_order(stream.request_headers(get(), true));
    out_of_order(stream.request_body("b", false));
    out_of_order(stream.request_trailers(HeaderMap::new()));
    out_of_order(stream.response_body("b", false));
    stream.response_headers(ok(), false).unwrap();
    stream.response_trailers(HeaderMap::new()).unwrap();
    out_of_order(stream.response_body("b", false));
    stream.finish().unwrap();
    out_of_order(stream.request_headers(get(), true));
}

#[test]
fn an_exchange_gives_the_same_in_pieces_of_any_size() {
    let guest = request_guest(PAUSE, PAUSE_UNTIL_END);
    let (vm, plugin) = start_holding(&guest);
    for bytes in [0, 1, 2, 3, 4, 5] {
        let stream = Exchange::new(post())
            .body("body")
            .in_pieces_of(bytes)
            .upstream(|request| Answer::new(200).body(request.body.repeat(2)))
            .run(&vm, plugin)
            .unwrap();
        assert_eq!(stream.received().body, b"bodybody", "in pieces of {bytes}");
        assert!(stream.received().complete);
    }
}
