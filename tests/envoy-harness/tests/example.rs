//! How to test your own module. This one is `token.wat`, next to this file: it lets a request with the right token
//! pass, and answers any other request itself. A module built from Rust, Go or C++ is tested in the same way, with
//! `Module::from_file("my_filter.wasm")`.

use std::error::Error;

use envoy_harness::{Answer, Exchange, HeaderMap, Module, PluginConfig, PluginId, Progress, Vm};

fn module() -> Result<Module, Box<dyn Error>> {
    let wasm = wat::parse_str(include_str!("token.wat"))?;
    Ok(Module::from_bytes(&wasm)?)
}

/// A VM with the filter in it, configured with a token.
fn filter() -> Result<(Vm, PluginId), Box<dyn Error>> {
    let vm = Vm::new(&module()?)?;
    let plugin = vm.start_plugin(PluginConfig::new("token").configuration("s3cret"))?;
    Ok((vm, plugin))
}

fn request() -> HeaderMap {
    HeaderMap::from([(":method", "POST"), (":path", "/"), (":authority", "example.org")])
}

#[test]
fn an_empty_token_is_refused() -> Result<(), Box<dyn Error>> {
    let vm = Vm::new(&module()?)?;
    let refused = vm.start_plugin(PluginConfig::new("token")).unwrap_err();
    assert!(refused.to_string().contains("proxy_on_configure answered false"));
    Ok(())
}

#[test]
fn a_request_without_the_token_is_answered_by_the_filter() -> Result<(), Box<dyn Error>> {
    let (vm, plugin) = filter()?;
    for headers in [
        request(),
        request().with("x-token", "wrong!"),
        request().with("x-token", "s3cret and more"),
        // With two headers the first counts, so a second one with the right token does not help.
        request().with("x-token", "wrong!").with("x-token", "s3cret"),
    ] {
        let mut stream = vm.stream(plugin, Default::default())?;
        assert_eq!(stream.request_headers(headers, false)?, Progress::Replied);
        let reply = stream.local_reply().ok_or("no local reply")?;
        assert_eq!(reply.status(), Some(401));
        assert_eq!(reply.body, b"who are you?");
        assert_eq!(stream.forwarded().headers, None, "the upstream gets nothing");
    }
    Ok(())
}

#[test]
fn a_request_with_the_token_goes_on_without_it() -> Result<(), Box<dyn Error>> {
    let (vm, plugin) = filter()?;
    let mut stream = Exchange::new(request().with("x-token", "s3cret"))
        .body("hello")
        .in_pieces_of(2)
        .upstream(|request| Answer::new(200).body(request.body.clone()))
        .run(&vm, plugin)?;
    let expected = request().with("x-checked", "yes");
    assert_eq!(stream.forwarded().headers, Some(expected));
    assert_eq!(stream.received().status(), Some(200));
    assert_eq!(stream.received().body, b"hello");
    stream.finish()?;
    Ok(())
}
