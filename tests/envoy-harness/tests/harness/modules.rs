//! Modules that cannot be loaded, and those that initialize themselves.

use envoy_harness::{Error, Module, PluginConfig, Vm};

use crate::guest::{compile, messages, module};

const ABI: &str = r#"(func (export "proxy_abi_version_0_2_1"))"#;
const MALLOC: &str = r#"(func (export "malloc") (param i32) (result i32) (i32.const 0))"#;
const MEMORY: &str = r#"(memory (export "memory") 1)"#;

fn refusal(text: &str) -> String {
    match compile(text) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("the module was taken"),
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Module::from_file("no/such/module.wasm").err().unwrap();
    assert!(error.to_string().contains("no/such/module.wasm"), "{error}");
}

#[test]
fn bytes_that_are_no_module_are_refused() {
    assert!(matches!(Module::from_bytes(b"(module"), Err(Error::NotAModule { .. })));
}

#[test]
fn what_the_abi_asks_for_is_named_if_it_is_missing() {
    let refused = refusal(&format!("(module {MALLOC} {MEMORY})"));
    assert!(refused.contains("does not export proxy_abi_version_0_2_1"), "{refused}");
    let refused = refusal(&format!("(module {ABI} {MEMORY})"));
    assert!(refused.contains("does not export malloc"), "{refused}");
    let refused = refusal(&format!("(module {ABI} {MALLOC})"));
    assert!(refused.contains("does not export memory"), "{refused}");
    compile(&format!("(module {ABI} {MALLOC} {MEMORY})")).map(drop).unwrap();
}

#[test]
fn imports_that_are_not_of_proxy_wasm_are_named() {
    let refused = refusal(&format!(
        r#"(module
             (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
             (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
             (import "env" "proxy_dream" (func))
             {ABI} {MALLOC} {MEMORY})"#
    ));
    let named = "wasi_snapshot_preview1.fd_write, env.proxy_dream;";
    assert!(refused.contains(named), "{refused}");
    assert!(refused.contains("wasm32-unknown-unknown"), "{refused}");
}

#[test]
fn an_import_with_another_signature_is_refused() {
    let refused = refusal(&format!(
        r#"(module (import "env" "proxy_log" (func (param i64))) {ABI} {MALLOC} {MEMORY})"#
    ));
    assert!(refused.contains("signature") && refused.contains("proxy_log"), "{refused}");
}

#[test]
fn a_module_that_traps_while_it_starts_gives_no_vm() {
    let module = module(r#"(func (export "_initialize") (unreachable))"#);
    let error = Vm::new(&module).err().unwrap();
    assert!(error.to_string().contains("_initialize trapped"), "{error}");
    let module = crate::guest::module("(func $start (unreachable)) (start $start)");
    let error = Vm::new(&module).err().unwrap();
    assert!(error.to_string().contains("instantiation trapped"), "{error}");
}

#[test]
fn a_module_initializes_itself_once_before_anything_else() {
    for (exports, expected) in
        [(r#"(export "_initialize")"#, ["init=1"]), (r#"(export "_start")"#, ["init=1"])]
    {
        let module = module(&format!("(func {exports} (call $say [init] (i32.const 1)))"));
        let vm = Vm::new(&module).unwrap();
        vm.start_plugin(PluginConfig::new("guest")).unwrap();
        assert_eq!(messages(&vm), expected);
        assert_eq!(vm.logs()[0].context, 0);
    }
}

#[test]
fn memory_is_asked_for_under_either_name() {
    let module = compile(&format!(
        r#"(module
             (import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))
             (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
             {ABI} {MEMORY}
             (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 512))
             (func (export "proxy_on_configure") (param i32 i32) (result i32)
               (drop (call $get (i32.const 7) (i32.const 0) (local.get 1) (i32.const 0) (i32.const 4)))
               (drop (call $log (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
               (i32.const 1)))"#
    ))
    .unwrap();
    let vm = Vm::new(&module).unwrap();
    vm.start_plugin(PluginConfig::new("guest").configuration("hello")).unwrap();
    assert_eq!(messages(&vm), ["hello"]);
}
