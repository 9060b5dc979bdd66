//! The frame around a gRPC message.

use sluice_encodings::grpc;

/// Reads the frame.
pub fn read(data: &[u8]) {
    let _: Result<_, _> = grpc::read(data);
}

/// If a message is read, then a frame with that message has these bytes. All other inputs are rejected.
pub fn run(data: &[u8]) {
    let length = data.len().saturating_sub(grpc::HEADER);
    let announced = u32::try_from(length).expect("inputs are small").to_be_bytes();
    let is_one_frame = matches!(data, [0 | 1, rest @ ..] if rest.starts_with(&announced));
    match grpc::read(data) {
        Ok(frame) => {
            assert!(is_one_frame);
            let mut again = grpc::write(frame.message).expect("inputs are small");
            again[0] = u8::from(frame.compressed);
            assert_eq!(again, data);
        }
        Err(error) => assert!(!is_one_frame, "{error}"),
    }
    let framed = grpc::write(data).expect("inputs are small");
    assert_eq!(grpc::read(&framed), Ok(grpc::Frame { compressed: false, message: data }));
}
