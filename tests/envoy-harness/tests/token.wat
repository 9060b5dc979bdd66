;; A minimal filter: a request needs the token from the plugin's configuration, and the forwarded
;; request says that the token was checked. An SDK would produce the same module.
(module
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer
    (param $buffer i32) (param $start i32) (param $length i32) (param $at i32) (param $size i32)
    (result i32)))
  (import "env" "proxy_get_header_map_value" (func $get_header
    (param $map i32) (param $name i32) (param $length i32) (param $at i32) (param $size i32)
    (result i32)))
  (import "env" "proxy_replace_header_map_value" (func $set_header
    (param $map i32) (param $name i32) (param $length i32) (param $value i32) (param $size i32)
    (result i32)))
  (import "env" "proxy_remove_header_map_value" (func $remove_header
    (param $map i32) (param $name i32) (param $length i32) (result i32)))
  (import "env" "proxy_send_local_response" (func $reply
    (param $status i32) (param $details i32) (param $length i32) (param $body i32) (param $size i32)
    (param $headers i32) (param $bytes i32) (param $grpc_status i32) (result i32)))

  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))

  ;; Texts are at 0; data from the host begins at 4096.
  (data (i32.const 0) "x-token")
  (data (i32.const 16) "x-checked")
  (data (i32.const 32) "yes")
  (data (i32.const 48) "who are you?")

  (global $free (mut i32) (i32.const 4096))
  (func (export "malloc") (param $size i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $size))))

  ;; The address and the length of the token.
  (global $token (mut i32) (i32.const 0))
  (global $token_length (mut i32) (i32.const 0))

  ;; An empty token would allow everybody, so it is rejected.
  (func (export "proxy_on_configure") (param $context i32) (param $length i32) (result i32)
    (if (i32.eqz (local.get $length)) (then (return (i32.const 0))))
    (drop (call $get_buffer
      (i32.const 7) (i32.const 0) (local.get $length) (i32.const 64) (i32.const 68)))
    (global.set $token (i32.load (i32.const 64)))
    (global.set $token_length (i32.load (i32.const 68)))
    (i32.const 1))

  (func (export "proxy_on_request_headers")
    (param $context i32) (param $count i32) (param $end i32) (result i32)
    (if (call $is_known)
      (then
        (drop (call $remove_header (i32.const 0) (i32.const 0) (i32.const 7)))
        (drop (call $set_header
          (i32.const 0) (i32.const 16) (i32.const 9) (i32.const 32) (i32.const 3)))
        (return (i32.const 0))))
    (drop (call $reply (i32.const 401) (i32.const 0) (i32.const 0) (i32.const 48) (i32.const 12)
      (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 1))

  (func $is_known (result i32)
    (local $at i32)
    (if (call $get_header (i32.const 0) (i32.const 0) (i32.const 7) (i32.const 64) (i32.const 68))
      (then (return (i32.const 0))))
    (if (i32.ne (i32.load (i32.const 68)) (global.get $token_length))
      (then (return (i32.const 0))))
    (loop $next
      (if (i32.eq (local.get $at) (global.get $token_length)) (then (return (i32.const 1))))
      (if (i32.ne
            (i32.load8_u (i32.add (i32.load (i32.const 64)) (local.get $at)))
            (i32.load8_u (i32.add (global.get $token) (local.get $at))))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $next))
    (unreachable)))
