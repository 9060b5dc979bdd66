//! Runs every case through the gate's own crates.

use sluice_cases::{
    native,
    pki::Authority,
    plan::{self, Report},
};

#[test]
fn every_case_holds_natively() {
    let authority = Authority::new().unwrap();
    let mut report = Report::default();
    for plan in plan::all().unwrap() {
        let certificate = authority.certificate(&plan.case.sender).unwrap();
        report.add(&plan, "", native::run(&plan, certificate.as_deref()));
    }
    report.finish("natively");
}
