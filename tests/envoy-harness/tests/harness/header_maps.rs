//! Header maps: the host functions, and which map is accessible when.

use envoy_harness::{HeaderMap, Progress};

use crate::guest::{get, messages, ok, open, post, said_on_headers, start, start_holding};

/// A guest that does `deed` when a request's headers arrive.
fn on_request_headers(deed: &str) -> String {
    format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            {deed} (i32.const 0))"#
    )
}

/// What the upstream gets when a guest does `deed` to `headers`.
fn forwarded(deed: &str, headers: HeaderMap) -> HeaderMap {
    let (vm, plugin) = start(&on_request_headers(deed));
    let mut stream = open(&vm, plugin);
    stream.request_headers(headers, true).unwrap();
    stream.forwarded().headers.unwrap()
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.all(name).collect()
}

#[test]
fn a_map_that_does_not_exist_is_a_bad_argument() {
    let guest = on_request_headers(
        r#"(call $say [get] (call $get_value (i32.const 8) [x] @out))
           (call $say [pairs] (call $get_pairs (i32.const 8) @out))
           (call $say [set] (call $set_pairs (i32.const 8) (i32.const 0) (i32.const 0)))
           (call $say [add] (call $add_value (i32.const 8) [x] [y]))
           (call $say [replace] (call $replace_value (i32.const 8) [x] [y]))
           (call $say [remove] (call $remove_value (i32.const 8) [x]))
           (call $say [size] (call $map_size (i32.const 8) (i32.const 128)))"#,
    );
    let expected = ["get=2", "pairs=2", "set=2", "add=2", "replace=2", "remove=2", "size=2"];
    assert_eq!(said_on_headers(&guest, get()), expected);
}

#[test]
fn a_pointer_out_of_memory_is_refused_and_nothing_changes() {
    let deed = r#"
        (call $say [get] (call $get_value (i32.const 0) (i32.const -1) (i32.const 1) @out))
        (call $say [out] (call $get_value (i32.const 0) [:path] (i32.const -4) (i32.const 132)))
        (call $say [add] (call $add_value (i32.const 0) [x] (i32.const 131071) (i32.const 2)))
        (call $say [set] (call $set_pairs (i32.const 0) (i32.const 8) (i32.const -8)))"#;
    let said = said_on_headers(&on_request_headers(deed), get());
    assert_eq!(said, ["get=6", "out=6", "add=6", "set=6"]);
    assert_eq!(forwarded(deed, get()), get());
}

#[test]
fn a_value_is_the_first_of_its_name_in_any_case() {
    let guest = on_request_headers(
        r#"(call $say [get] (call $get_value (i32.const 0) [X-Tenant] @out)) (call $say_result)
           (call $say [none] (call $get_value (i32.const 0) [x-none] @out))"#,
    );
    let headers = get().with("x-tenant", "a").with("x-tenant", "b");
    assert_eq!(said_on_headers(&guest, headers), ["get=0", "a", "none=1"]);
}

#[test]
fn an_empty_value_is_found_and_a_null_pointer() {
    let guest = on_request_headers(
        r#"(call $forget_result)
           (call $say [get] (call $get_value (i32.const 0) [x] @out))
           (call $say [at] (i32.load (i32.const 128)))
           (call $say [length] (i32.load (i32.const 132)))"#,
    );
    assert_eq!(said_on_headers(&guest, get().with("x", "")), ["get=0", "at=0", "length=0"]);
}

#[test]
fn a_value_is_added_beside_the_others() {
    let headers =
        forwarded("(drop (call $add_value (i32.const 0) [X-A] [new]))", get().with("x-a", "old"));
    assert_eq!(all(&headers, "x-a"), [b"old", b"new"]);
}

#[test]
fn a_value_added_to_a_header_that_is_kept_once_is_joined() {
    let deed = "(drop (call $add_value (i32.const 0) [accept] [new]))";
    let headers = forwarded(deed, get().with("accept", "old"));
    assert_eq!(all(&headers, "accept"), [b"old,new"]);
}

#[test]
fn a_value_replaces_every_one_of_its_name() {
    let headers = forwarded(
        "(drop (call $replace_value (i32.const 0) [X-A] [new]))",
        get().with("x-a", "1").with("b", "2").with("x-a", "3"),
    );
    assert_eq!(all(&headers, "x-a"), [b"new"]);
    assert_eq!(all(&headers, "b"), [b"2"]);
}

#[test]
fn every_value_of_a_name_is_removed() {
    let headers = forwarded(
        "(drop (call $remove_value (i32.const 0) [X-A]))",
        get().with("x-a", "1").with("x-a", "2"),
    );
    assert_eq!(headers, get());
}

#[test]
fn pairs_are_given_with_all_bytes_and_duplicates() {
    // The guest writes them back unchanged, so only the order of arrival can change.
    let deed = r#"
        (drop (call $get_pairs (i32.const 0) @out))
        (drop (call $remove_value (i32.const 0) [x-a]))
        (drop (call $set_pairs (i32.const 0) (i32.load (i32.const 128)) (i32.load (i32.const 132))))"#;
    let headers = get().with("x-a", [0xff, 0x00]).with("x-a", "b").with("x-empty", "");
    assert_eq!(forwarded(deed, headers.clone()), headers);
}

#[test]
fn pairs_that_cannot_be_read_are_none() {
    let deed = "(drop (call $set_pairs (i32.const 0) [these are no pairs]))";
    assert_eq!(forwarded(deed, get()), HeaderMap::new());
}

#[test]
fn a_size_is_that_of_names_and_values() {
    let guest = on_request_headers(
        r#"(drop (call $map_size (i32.const 0) (i32.const 128)))
           (call $say [size] (i32.load (i32.const 128)))"#,
    );
    let headers = HeaderMap::from([("a", "12"), ("b", "3")]);
    assert_eq!(said_on_headers(&guest, headers), ["size=5"]);
}

const PROBE: &str = r#"
    (func $probe (param $map i32)
      (call $forget_result)
      (call $say [get] (call $get_value (local.get $map) [x] @out))
      (call $say [pairs] (call $get_pairs (local.get $map) @out))
      (call $say [pairs at] (i32.load (i32.const 128)))
      (call $say [add] (call $add_value (local.get $map) [y] [z])))"#;

/// What the probe logs for a map that is not accessible: reading one value is a bad argument, reading all gives none.
const NOT_THERE: [&str; 4] = ["get=2", "pairs=0", "pairs at=0", "add=2"];

#[test]
fn the_headers_are_gone_when_they_have_gone_on() {
    let guest = format!(
        r#"{PROBE}
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (call $probe (i32.const 0)) (i32.const 0))"#
    );
    let (vm, plugin) = start(&guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post().with("x", "1"), false).unwrap();
    stream.request_body("body", true).unwrap();
    assert_eq!(messages(&vm), NOT_THERE);
}

#[test]
fn the_headers_can_be_changed_while_they_are_held() {
    let guest = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (drop (call $add_value (i32.const 0) [y] [z]))
          (i32.eqz (local.get 2)))"#;
    let (vm, plugin) = start_holding(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    assert_eq!(stream.request_body("bo", false).unwrap(), Progress::Paused);
    assert_eq!(stream.forwarded().headers, None);
    stream.request_body("dy", true).unwrap();
    assert_eq!(stream.forwarded().headers, Some(post().with("y", "z").with("y", "z")));
    assert_eq!(stream.forwarded().body, b"body");
}

#[test]
fn the_other_sides_maps_are_not_there() {
    let guest = format!("{PROBE} {}", on_request_headers("(call $probe (i32.const 2))"));
    assert_eq!(said_on_headers(&guest, get().with("x", "1")), NOT_THERE);
}

#[test]
fn a_plugin_has_no_headers() {
    let guest = format!(
        r#"{PROBE} (func (export "proxy_on_tick") (param i32) (call $probe (i32.const 0)))"#
    );
    let (vm, plugin) = start(&guest);
    vm.tick(plugin).unwrap();
    assert_eq!(messages(&vm), NOT_THERE);
}

#[test]
fn in_the_log_the_headers_can_be_read_and_not_changed() {
    let guest = format!(
        r#"{PROBE} (func (export "proxy_on_log") (param i32)
             (call $say [get] (call $get_value (i32.const 0) [x] @out)) (call $say_result)
             (call $say [add] (call $add_value (i32.const 0) [x] [z]))
             (call $say [reply] (call $get_value (i32.const 2) [:status] @out)) (call $say_result)
             ;; The request's trailers are not there, which is no bad argument in the log.
             (call $say [trailer] (call $get_value (i32.const 1) [x] @out))
             (call $say [late] (call $add_value (i32.const 3) [x] [z])))"#
    );
    let (vm, plugin) = start(&guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post().with("x", "1"), false).unwrap();
    stream.request_trailers([("x", "2")]).unwrap();
    stream.response_headers(ok(), false).unwrap();
    stream.response_body("body", true).unwrap();
    stream.finish().unwrap();
    assert_eq!(messages(&vm), ["get=0", "1", "add=2", "reply=0", "200", "trailer=1", "late=2"]);
}

/// A guest that adds a trailer to the reply in each of its body callbacks.
const ADDS_TRAILERS: &str = r#"
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (call $say [headers] (call $add_value (i32.const 3) [x-trailer] [h])) (i32.const 0))
    (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
      (call $say [body] (call $add_value (i32.const 3) [x-trailer] [b])) (i32.const 0))
    (func (export "proxy_on_response_trailers") (param i32 i32) (result i32)
      (call $say [trailers] (call $add_value (i32.const 3) [x-trailer] [t])) (i32.const 0))"#;

#[test]
fn trailers_are_added_only_at_the_end_of_a_body() {
    let (vm, plugin) = start(ADDS_TRAILERS);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), false).unwrap();
    stream.response_body("bo", false).unwrap();
    stream.response_body("dy", true).unwrap();
    assert_eq!(messages(&vm), ["headers=2", "body=2", "body=0"]);
    let received = stream.received();
    assert_eq!((received.body.as_slice(), received.complete), (b"body".as_slice(), true));
    assert_eq!(received.trailer("x-trailer").as_deref(), Some("b"));
}

#[test]
fn a_reply_of_headers_alone_cannot_get_trailers() {
    let (vm, plugin) = start(ADDS_TRAILERS);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), true).unwrap();
    assert_eq!(messages(&vm), ["headers=2"]);
    assert_eq!(stream.received().trailers, None);
}

#[test]
fn trailers_that_come_are_changed_in_their_own_callback() {
    let (vm, plugin) = start(ADDS_TRAILERS);
    let mut stream = open(&vm, plugin);
    stream.request_headers(get(), true).unwrap();
    stream.response_headers(ok(), false).unwrap();
    stream.response_body("body", false).unwrap();
    stream.response_trailers([("x-own", "1")]).unwrap();
    assert_eq!(messages(&vm), ["headers=2", "body=2", "trailers=0"]);
    let expected = HeaderMap::from([("x-own", "1"), ("x-trailer", "t")]);
    assert_eq!(stream.received().trailers, Some(expected));
}

#[test]
fn to_ask_for_the_size_of_trailers_at_the_end_adds_them() {
    let guest = r#"
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
          (drop (call $map_size (i32.const 1) (i32.const 128))) (i32.const 0))"#;
    let (vm, plugin) = start(guest);
    let mut stream = open(&vm, plugin);
    stream.request_headers(post(), false).unwrap();
    stream.request_body("body", true).unwrap();
    assert_eq!(stream.forwarded().trailers, Some(HeaderMap::new()));
}
