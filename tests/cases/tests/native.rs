//! Every case through the gate's own crates, with the head held and with it gone.

use std::{io::Write, path::Path};

use serde_json::Value;
use sluice_cases::{case, check, native, pki::Authority, wire};

#[test]
fn every_case_holds_natively() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let cases = case::load(&folder).unwrap();
    let authority = Authority::new().unwrap();
    let (mut runs, mut failures) = (0, Vec::new());
    for case in &cases {
        let identity = authority.issue(&case.sender).unwrap();
        let certificate = case.sender.certificate.then_some(identity.certificate.as_str());
        for protocol in &case.request.protocols {
            let request = wire::request(case, *protocol).unwrap();
            let reply = wire::reply(case).unwrap();
            for hold in case.hold.iter().copied() {
                let mut configuration = case::configuration(&folder, case).unwrap();
                configuration["holdHeaders"] = Value::Bool(hold);
                runs += 1;
                let place = format!("{} ({protocol:?}, holdHeaders {hold})", case.name);
                match native::run(&configuration, certificate, &request, &reply) {
                    Ok(outcome) => failures.extend(
                        check::differences(case, &request, &outcome)
                            .into_iter()
                            .map(|difference| format!("{place}: {difference}")),
                    ),
                    Err(error) => failures.push(format!("{place}: {error:#}")),
                }
            }
        }
    }
    writeln!(std::io::stdout(), "{} cases, {runs} runs natively", cases.len()).unwrap();
    assert!(runs > 0, "there are no cases in {}", folder.display());
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}
