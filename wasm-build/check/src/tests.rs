use super::*;

const LIMIT: usize = 64 * 1024;

fn requirements() -> Requirements {
    Requirements { budget: LIMIT, forbidden: vec!["/home/builder/".into()] }
}

/// A module with the given imports and data that exports everything but `left_out`.
fn module_without(left_out: &[&str], extra: &str) -> Vec<u8> {
    let names = EXPORTS.iter().chain(["_initialize", "malloc"].iter());
    let functions: String = names
        .filter(|name| **name != "memory" && !left_out.contains(name))
        .map(|name| format!("(func (export \"{name}\"))\n"))
        .collect();
    let memory =
        if left_out.contains(&"memory") { "(memory 1)" } else { "(memory (export \"memory\") 1)" };
    wat::parse_str(format!("(module {extra} {memory} {functions})"))
        .expect("the test's module is well formed")
}

#[test]
fn an_import_from_wasi_is_refused_by_name() {
    let module = module_without(
        &[],
        r#"(import "wasi_snapshot_preview1" "clock_time_get" (func)) (import "env" "proxy_log" (func))"#,
    );
    let expected =
        Fault::Import { module: "wasi_snapshot_preview1".into(), name: "clock_time_get".into() };
    assert_eq!(check(&module, &requirements()), [expected]);
}

#[test]
fn every_export_of_the_abi_is_missed_when_it_is_left_out() {
    for name in EXPORTS {
        let faults = check(&module_without(&[name], ""), &requirements());
        assert_eq!(faults, [Fault::Export((*name).into())]);
    }
}

#[test]
fn a_module_without_either_allocator_is_refused() {
    let faults = check(&module_without(&["malloc"], ""), &requirements());
    assert_eq!(faults, [Fault::Export("proxy_on_memory_allocate or malloc".into())]);
}

#[test]
fn a_module_without_a_start_is_refused() {
    let faults = check(&module_without(&["_initialize"], ""), &requirements());
    assert_eq!(faults, [Fault::Export("_initialize or _start".into())]);
}

#[test]
fn a_module_one_byte_over_its_budget_is_refused_and_one_at_its_budget_is_not() {
    let module = module_without(&[], "");
    let size = module.len();
    let over = Requirements { budget: size - 1, ..requirements() };
    assert_eq!(check(&module, &over), [Fault::Size { size, budget: size - 1 }]);
    let at = Requirements { budget: size, ..requirements() };
    assert_eq!(check(&module, &at), []);
}

#[test]
fn a_path_of_the_building_machine_is_refused() {
    let module = module_without(
        &[],
        r#"(data (memory 0) (i32.const 0) "panicked at /home/builder/src/lib.rs")"#,
    );
    assert_eq!(check(&module, &requirements()), [Fault::Text("/home/builder/".into())]);
}

#[test]
fn bytes_that_are_not_a_module_are_refused() {
    let faults = check(b"\x7fELF, not wasm", &requirements());
    assert!(matches!(faults.as_slice(), [Fault::Invalid(_)]), "{faults:?}");
}

#[test]
fn a_truncated_module_is_refused() {
    let module = module_without(&[], "");
    let faults = check(&module[..module.len() - 1], &requirements());
    assert!(matches!(faults.as_slice(), [Fault::Invalid(_)]), "{faults:?}");
}

#[test]
fn several_faults_are_told_at_once() {
    let module =
        module_without(&["proxy_on_delete", "proxy_on_configure"], r#"(import "a" "b" (func))"#);
    assert_eq!(check(&module, &requirements()).len(), 3);
}

#[test]
fn a_module_that_imports_only_host_functions_and_exports_the_abi_passes() {
    let module = module_without(&[], r#"(import "env" "proxy_log" (func))"#);
    assert_eq!(check(&module, &requirements()), []);
}

#[test]
fn exports_are_left_out_and_nothing_else_changes() {
    let text = |exports: &str| {
        format!(
            r#"(module (import "env" "proxy_log" (func (param i32) (result i32)))
                 (memory {{}} 1) (global $g (mut i32) (i32.const 7)) (table 1 funcref)
                 (func $log (export "a")) (func {exports} (call $log)) (data (i32.const 0) "x")
                 (@custom "producers" "y"))"#
        )
        .replace("{}", r#"(export "memory")"#)
    };
    let module = wat::parse_str(text(r#"(export "b") (export "c")"#)).unwrap();
    let expected = wat::parse_str(text(r#"(export "b")"#)).unwrap();
    assert_eq!(without_exports(&module, &["c"]), Ok(expected));
    assert_eq!(without_exports(&module, &[]), Ok(module.clone()));
    let missing = Err(Fault::NotThere("d".into()));
    assert_eq!(without_exports(&module, &["c", "d"]), missing);
    assert!(matches!(without_exports(&module[..40], &[]), Err(Fault::Invalid(_))));
}
