//! Guests for tests, in WebAssembly's text format with two shorthands:
//!
//! * `[text]` is the address and the length of that text in the guest's memory: two arguments;
//! * `@out` is where a host function writes its result: a pointer at 128, a length at 132.
//!
//! Every guest begins with the prelude: the host functions under short names, a memory, a `malloc` that never frees,
//! `$say` that logs a label and a number, and `$say_result` that logs the result at `@out`.

use envoy_harness::{Error, HeaderMap, Module, PluginConfig, PluginId, Stream, Vm, VmConfig};

const PRELUDE: &str = include_str!("prelude.wat");
/// The address of the first text; below it is room for results.
const TEXTS: usize = 1024;

/// Compiles a guest: `body` is what follows the prelude.
pub(crate) fn module(body: &str) -> Module {
    let (body, texts) = place_texts(body);
    let text = format!("(module {PRELUDE} {texts} {body})");
    compile(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// Compiles a module from `text` alone.
pub(crate) fn compile(text: &str) -> Result<Module, Error> {
    let wasm = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    Module::from_bytes(&wasm)
}

fn place_texts(body: &str) -> (String, String) {
    let (mut code, mut data, mut at) = (String::new(), String::new(), TEXTS);
    let mut parts = body.split('[');
    code.push_str(parts.next().unwrap());
    for part in parts {
        let (text, rest) = part.split_once(']').expect("a text ends with a bracket");
        // An escaped byte is written as three characters.
        let length = text.len() - 2 * text.matches('\\').count();
        data += &format!("(data (i32.const {at}) \"{text}\")");
        code += &format!("(i32.const {at}) (i32.const {length}){rest}");
        at += length;
    }
    assert!(at < 16384, "the texts do not fit");
    (code.replace("@out", "(i32.const 128) (i32.const 132)"), data)
}

/// A VM with one plugin that runs the guest.
pub(crate) fn start(body: &str) -> (Vm, PluginId) {
    start_with(body, VmConfig::new(), PluginConfig::new("guest"))
}

/// The same, with the body arriving after Pause on headers.
pub(crate) fn start_holding(body: &str) -> (Vm, PluginId) {
    let plugin = PluginConfig::new("guest").allow_on_headers_stop_iteration(true);
    start_with(body, VmConfig::new(), plugin)
}

pub(crate) fn start_with(body: &str, vm: VmConfig, plugin: PluginConfig) -> (Vm, PluginId) {
    let vm = Vm::with_config(&module(body), vm).unwrap_or_else(|error| panic!("{error}"));
    let plugin = vm.start_plugin(plugin).unwrap_or_else(|error| panic!("{error}"));
    (vm, plugin)
}

pub(crate) fn open(vm: &Vm, plugin: PluginId) -> Stream {
    vm.stream(plugin, envoy_harness::Attributes::new()).unwrap()
}

/// What a guest logs when it gets only `headers`.
pub(crate) fn said_on_headers(guest: &str, headers: HeaderMap) -> Vec<String> {
    let (vm, plugin) = start(guest);
    open(&vm, plugin).request_headers(headers, true).unwrap();
    messages(&vm)
}

/// The headers of a plain request.
pub(crate) fn get() -> HeaderMap {
    HeaderMap::from([(":method", "GET"), (":path", "/"), (":authority", "example.org")])
}

/// The headers of a request with a body.
pub(crate) fn post() -> HeaderMap {
    HeaderMap::from([(":method", "POST"), (":path", "/in"), (":authority", "example.org")])
}

pub(crate) fn ok() -> HeaderMap {
    HeaderMap::from([(":status", "200")])
}

pub(crate) fn messages(vm: &Vm) -> Vec<String> {
    vm.logs().into_iter().map(|line| line.message).collect()
}
