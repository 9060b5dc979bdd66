//! HTTP and gRPC call-outs.

use std::time::Duration;

use envoy_harness::{Answer, Error, HeaderMap, PluginConfig, Progress, Vm, VmConfig};

use crate::guest::{get, messages, open, start, start_with};

/// The three headers that every call needs, as pairs.
const HEADERS: &str = "[\\03\\00\\00\\00\\07\\00\\00\\00\\04\\00\\00\\00\\05\\00\\00\\00\\01\\00\\00\\00\\0a\\00\\00\\00\\01\\00\\00\\00:method\\00POST\\00:path\\00/\\00:authority\\00a\\00]";

/// Makes a call when a request's headers arrive, holds the request, and replies with the answer to the call.
fn asks() -> String {
    format!(
        r#"
        (global $stream (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
          (global.set $stream (local.get 0))
          (call $say [call] (call $http_call [auth] {HEADERS} [who?]
            (i32.const 0) (i32.const 0) (i32.const 250) (i32.const 136)))
          (i32.const 1))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
          (call $say [told of] (local.get 1))
          (call $say [headers] (local.get 2))
          (call $say [body] (local.get 3))
          (call $say [trailers] (local.get 4))
          (call $say [status] (call $get_value (i32.const 6) [:status] @out))
          (if (local.get 2) (then (call $say_result)))
          (call $say [bytes] (call $get_buffer (i32.const 4) (i32.const 0) (i32.const 9) @out))
          (if (local.get 3) (then (call $say_result)))
          (call $say [trailer] (call $get_value (i32.const 7) [x-t] @out))
          (drop (call $get_status (i32.const 136) @out))
          (call $say [code] (i32.load (i32.const 136)))
          (drop (call $set_effective (global.get $stream)))
          (drop (call $continue_stream (i32.const 0))))"#
    )
}

#[test]
fn a_call_that_lacks_something_is_refused_and_not_made() {
    let guest = format!(
        r#"(func (export "proxy_on_tick") (param i32)
          (call $say [headers] (call $http_call [auth] [] [] [] (i32.const 0) (i32.const 136)))
          (call $say [cluster] (call $http_call [none] {HEADERS} [] [] (i32.const 0) (i32.const 136)))
          (call $say [timeout] (call $http_call [auth] {HEADERS} [] [] (i32.const -1) (i32.const 136)))
          (call $say [token] (call $http_call [auth] {HEADERS} [] [] (i32.const 0) (i32.const -1)))
          (call $say [grpc] (call $grpc_stream [none] [] [] [] (i32.const 136))))"#
    );
    let config = VmConfig::new().clusters(["auth"]);
    let (vm, plugin) = start_with(&guest, config, PluginConfig::new("guest"));
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), ["headers=2", "cluster=2", "timeout=2", "token=6", "grpc=4"]);
    assert!(vm.http_calls().is_empty());
    assert!(vm.grpc_calls().is_empty());
}

#[test]
fn a_call_is_answered_and_the_stream_goes_on() {
    let (vm, plugin) = start(&asks());
    let mut stream = open(&vm, plugin);
    assert_eq!(stream.request_headers(get(), true).unwrap(), Progress::Paused);
    let [call] = <[_; 1]>::try_from(vm.http_calls()).unwrap();
    assert_eq!((call.cluster.as_str(), call.body.as_slice()), ("auth", b"who?".as_slice()));
    assert_eq!(call.headers.get("content-length"), Some(b"4".as_slice()));
    assert_eq!(call.timeout, Some(Duration::from_millis(250)));
    assert_eq!(call.root_context, plugin.context());

    let answer = Answer::new(200).header("x", "y").body("yes").trailer("x-t", "z");
    vm.answer_http_call(call.token, answer).unwrap();
    let expected = [
        "call=0",
        "told of=4",
        "headers=2",
        "body=3",
        "trailers=1",
        "status=0",
        "200",
        "bytes=0",
        "yes",
        "trailer=0",
        "code=0",
    ];
    assert_eq!(messages(&vm), expected);
    assert!(stream.forwarded().complete);
    let again = vm.answer_http_call(call.token, Answer::new(200));
    assert!(matches!(again, Err(Error::UnknownCall { token: 4 })), "{again:?}");
}

#[test]
fn a_call_that_fails_has_no_headers_and_a_status() {
    let (vm, plugin) = start(&asks());
    open(&vm, plugin).request_headers(get(), true).unwrap();
    vm.fail_http_call(vm.http_calls()[0].token).unwrap();
    let expected = [
        "call=0",
        "told of=4",
        "headers=0",
        "body=0",
        "trailers=0",
        "status=2",
        "bytes=1",
        "trailer=2",
        "code=11",
    ];
    assert_eq!(messages(&vm), expected);
}

const GRPC: &str = r#"
    (func (export "proxy_on_tick") (param i32)
      (call $say [call] (call $grpc_call [cluster] [service] [method] [] [ask] (i32.const 10) (i32.const 136)))
      (call $say [token] (i32.load (i32.const 136)))
      (call $say [stream] (call $grpc_stream [cluster] [service] [method] [] (i32.const 140)))
      (call $say [token] (i32.load (i32.const 140)))
      (call $say [send] (call $grpc_send (i32.load (i32.const 140)) [one] (i32.const 0)))
      (call $say [send] (call $grpc_send (i32.load (i32.const 140)) [two] (i32.const 1)))
      (call $say [send to a call] (call $grpc_send (i32.load (i32.const 136)) [x] (i32.const 0)))
      (call $say [send to none] (call $grpc_send (i32.const 66) [x] (i32.const 0)))
      (call $say [close none] (call $grpc_close (i32.const 66)))
      (call $say [cancel none] (call $grpc_cancel (i32.const 65)))
      (call $say [cancel http] (call $grpc_cancel (i32.const 64))))
    (func (export "proxy_on_grpc_receive_initial_metadata") (param i32 i32 i32)
      (call $say [initial] (local.get 2))
      (drop (call $get_value (i32.const 4) [x] @out)) (call $say_result))
    (func (export "proxy_on_grpc_receive") (param i32 i32 i32)
      (call $say [message] (local.get 2))
      (drop (call $get_buffer (i32.const 5) (i32.const 0) (local.get 2) @out)) (call $say_result))
    (func (export "proxy_on_grpc_receive_trailing_metadata") (param i32 i32 i32)
      (call $say [trailing] (local.get 2))
      (drop (call $get_value (i32.const 5) [x] @out)) (call $say_result))
    (func (export "proxy_on_grpc_close") (param i32 i32 i32)
      (call $say [closed] (local.get 2))
      (drop (call $get_status (i32.const 144) @out)) (call $say_result))
    (func (export "proxy_on_queue_ready") (param i32 i32))"#;

fn started() -> (Vm, usize) {
    let (vm, plugin) = start(GRPC);
    vm.tick(plugin).unwrap();
    let said = messages(&vm).len();
    (vm, said)
}

#[test]
fn grpc_calls_are_opened_and_sent_to() {
    let (vm, _) = started();
    let expected = [
        "call=0",
        "token=5",
        "stream=0",
        "token=6",
        "send=0",
        "send=0",
        "send to a call=2",
        "send to none=1",
        "close none=1",
        "cancel none=1",
        "cancel http=2",
    ];
    assert_eq!(messages(&vm), expected);
    let [call, stream] = <[_; 2]>::try_from(vm.grpc_calls()).unwrap();
    assert_eq!((call.service.as_str(), call.method.as_str()), ("service", "method"));
    assert_eq!(call.messages, [b"ask"]);
    assert!(call.half_closed && !call.streaming);
    assert_eq!(stream.messages, [b"one", b"two"]);
    assert!(stream.half_closed && stream.streaming);
}

#[test]
fn a_message_ends_a_unary_call() {
    let (vm, before) = started();
    vm.grpc_message(5, "answer").unwrap();
    assert_eq!(messages(&vm)[before..], ["message=6", "answer"]);
    assert!(matches!(vm.grpc_message(5, ""), Err(Error::UnknownCall { token: 5 })));
}

#[test]
fn a_grpc_stream_gets_metadata_messages_and_its_end() {
    let (vm, before) = started();
    vm.grpc_initial_metadata(6, HeaderMap::from([("x", "first")])).unwrap();
    vm.grpc_message(6, "a").unwrap();
    vm.grpc_message(6, "b").unwrap();
    vm.grpc_trailing_metadata(6, HeaderMap::from([("x", "last")])).unwrap();
    vm.grpc_close(6, 14, "gone").unwrap();
    let expected = [
        "initial=1",
        "first",
        "message=1",
        "a",
        "message=1",
        "b",
        "trailing=1",
        "last",
        "closed=14",
        "gone",
    ];
    assert_eq!(messages(&vm)[before..], expected);
    assert!(matches!(vm.grpc_close(6, 0, ""), Err(Error::UnknownCall { token: 6 })));
}
