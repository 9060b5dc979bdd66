//! The configuration, and a gate with that configuration.

use sluice_gate::Gate;

use crate::exchange::{self, Exchange};

/// The highest value of a limit, in bytes.
const MAX_LIMIT: usize = 256 << 20;

/// A configuration is accepted, or rejected with reasons, whatever its white space. A gate that accepted one gives
/// every request an outcome.
pub fn run(data: &[u8]) {
    match Gate::from_json(data) {
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.message.is_empty(), "{problem:?}");
            }
        }
        Ok(gate) => {
            let limits = gate.limits();
            for limit in [limits.body_bytes, limits.decoded_bytes] {
                assert!((1..=MAX_LIMIT).contains(&limit), "{limits:?}");
            }
            let value: serde_json::Value = serde_json::from_slice(data).expect("it was JSON");
            let pretty = serde_json::to_vec_pretty(&value).expect("it is still JSON");
            Gate::from_json(&pretty).expect("only its white space has changed");
            for request in REQUESTS {
                let _ = exchange::run(&gate, &Exchange::read(request));
            }
        }
    }
}

/// Reads the configuration.
pub fn read(data: &[u8]) {
    let _: Result<_, _> = Gate::from_json(data);
}

/// An export of logs over HTTP, and an empty export over gRPC.
const REQUESTS: [&[u8]; 2] = [
    b"\n:method: POST\n:path: /v1/logs\ncontent-type: application/x-protobuf\nx-scope-orgid: a\
      \n%%\n\x0a\x04\x12\x02\x12\x00\n%%\n:status: 204",
    b"e\n:method: POST\n:path: /opentelemetry.proto.collector.trace.v1.TraceService/Export\
      \ncontent-type: application/grpc\n%%\n\n%%\n:status: 200",
];
