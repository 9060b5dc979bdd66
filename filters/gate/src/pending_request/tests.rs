use sluice_senders::Connection;

use super::*;
use crate::{BodyStep, Delivery, Gate, HeadStep, RequestHead, Worker};

const LOGS: [(&str, &str); 3] =
    [(":path", "/v1/logs"), (":method", "POST"), ("content-type", "application/x-protobuf")];

fn gate(hold_headers: bool) -> Gate {
    let json = format!(
        r#"{{
            "tenant": {{"fixed": "t"}},
            "backends": {{"logs": {{"kind": "loki", "cluster": "l"}}}},
            "limits": {{"bodyBytes": 2000000, "discardedBytes": 3000000}},
            "holdHeaders": {hold_headers}
        }}"#
    );
    Gate::from_json(json.as_bytes()).unwrap()
}

/// A request with the headers of [`LOGS`] and one more, whose head has passed.
fn pending(gate: &Gate, worker: &Worker, more: (&str, &str)) -> PendingRequest {
    let headers: Vec<_> = LOGS
        .into_iter()
        .chain([more])
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .collect();
    let head = RequestHead {
        headers: Headers(&headers),
        connection: &Connection::default(),
        metadata: None,
        end_of_stream: false,
        now: 0,
    };
    match gate.on_head(&head, worker).0 {
        HeadStep::Body { pending, .. } => *pending,
        step => panic!("{step:?}"),
    }
}

/// The label of the refusal, and whether the rest of the body is discarded first.
fn refused(receive: Receive) -> (String, bool) {
    let Receive::Refuse(reply) = receive else { panic!("{receive:?}") };
    let label = reply.counts[0].stat_name();
    (label, matches!(reply.delivery, Delivery::AfterBody(_)))
}

#[test]
fn a_body_whose_head_is_held_waits_in_envoy_however_long_it_is() {
    let (gate, worker) = (gate(true), Worker::default());
    let mut pending = pending(&gate, &worker, ("content-encoding", "gzip"));
    assert!(matches!(pending.receive(1_000, false), Receive::Wait));
    assert!(matches!(pending.receive(2_000_000, false), Receive::Wait));
    assert!(matches!(pending.receive_trailers(), Receive::Decide));
    assert_eq!(pending.place(), Place::Envoy(2_000_000));
}

#[test]
fn a_body_whose_head_has_gone_waits_in_envoy_only_if_it_fits_and_does_not_grow() {
    let (gate, worker) = (gate(false), Worker::default());
    for (more, waits) in [
        (("content-length", "500"), true),
        (("content-length", "524288"), true),
        (("content-length", "524289"), false),
        (("content-encoding", "gzip"), false),
        (("x-length", "not announced"), false),
    ] {
        let receive = pending(&gate, &worker, more).receive(500, false);
        assert_eq!(matches!(receive, Receive::Wait), waits, "{more:?}: {receive:?}");
        assert_eq!(matches!(receive, Receive::Drain), !waits, "{more:?}: {receive:?}");
    }
}

#[test]
fn what_was_drained_goes_on_in_front_of_the_rest() {
    let (gate, worker) = (gate(false), Worker::default());
    let mut pending = pending(&gate, &worker, ("x-length", "not announced"));
    // Two resources without records; only the first has arrived so far.
    let (first, rest) = (&[0x0a, 0x00][..], &[0x0a, 0x00][..]);
    assert!(matches!(pending.receive(first.len(), false), Receive::Drain));
    pending.drain(first).unwrap();
    assert!(matches!(pending.receive(rest.len(), true), Receive::Decide));
    assert_eq!(pending.place(), Place::Drained(2));
    let BodyStep::Forward(forward) = gate.decide(pending, rest) else {
        panic!("nothing is checked")
    };
    assert_eq!(forward.buffer_edit(), Some((2, &[0x0a, 0x00, 0x0a, 0x00][..])));
}

#[test]
fn a_body_in_envoy_is_not_copied_back() {
    let (gate, worker) = (gate(true), Worker::default());
    let mut pending = pending(&gate, &worker, ("x-length", "not announced"));
    assert!(matches!(pending.receive(2, true), Receive::Decide));
    let BodyStep::Forward(forward) = gate.decide(pending, &[0x0a, 0x00][..]) else {
        panic!("nothing is checked")
    };
    assert_eq!((forward.body(), forward.buffer_edit()), (&[0x0a, 0x00][..], None));
}

#[test]
fn a_body_that_grows_over_its_limit_is_refused_and_the_rest_thrown_away() {
    let (gate, worker) = (gate(true), Worker::default());
    let more = ("x-length", "not announced");
    let too_large = "signal=.=logs;.;outcome=.=body_too_large;.;sluice_requests_total".to_owned();
    let mut whole = pending(&gate, &worker, more);
    assert_eq!(refused(whole.receive(2_000_001, true)), (too_large.clone(), false));
    let Receive::Refuse(reply) = pending(&gate, &worker, more).receive(2_000_001, false) else {
        panic!("it is too large")
    };
    let Delivery::AfterBody(mut discard) = reply.delivery else { panic!("{reply:?}") };
    assert!(!discard.is_over(999_999, false));
    assert!(discard.is_over(1, false), "more than discardedBytes has come");

    let gate = self::gate(false);
    let mut drained = pending(&gate, &worker, more);
    let half = vec![0; 1_500_000];
    assert!(matches!(drained.receive(half.len(), false), Receive::Drain));
    drained.drain(&half[..]).unwrap();
    assert_eq!(refused(drained.receive(500_001, false)), (too_large, true));
}

#[test]
fn trailers_behind_a_drained_body_are_refused() {
    let (gate, worker) = (gate(false), Worker::default());
    let mut drained = pending(&gate, &worker, ("x-length", "not announced"));
    assert!(matches!(drained.receive(2, false), Receive::Drain));
    drained.drain(&[0x0a, 0x00][..]).unwrap();
    let (label, discards) = refused(drained.receive_trailers());
    assert!(label.contains("outcome=.=trailers;"), "{label}");
    assert!(!discards, "nothing more comes");

    let mut waiting = pending(&gate, &worker, ("content-length", "2"));
    assert!(matches!(waiting.receive(2, false), Receive::Wait));
    assert!(matches!(waiting.receive_trailers(), Receive::Decide));
    assert_eq!(waiting.place(), Place::Envoy(2));
    let mut empty = pending(&gate, &worker, ("content-length", "0"));
    assert!(matches!(empty.receive_trailers(), Receive::Decide));
    assert_eq!(empty.place(), Place::Nowhere, "Envoy has no buffer for it");
}

#[test]
fn what_waits_is_counted_until_the_body_is_decided_on() {
    let (gate, worker) = (gate(true), Worker::default());
    let waiting: Vec<_> = (0..200)
        .map_while(|_| {
            let mut pending = pending(&gate, &worker, ("x-length", "not announced"));
            matches!(pending.receive(2_000_000, false), Receive::Wait).then_some(pending)
        })
        .collect();
    // Half of workerBytes, which is 512 MiB.
    assert_eq!(waiting.len(), 133);
    let mut one_more = pending(&gate, &worker, ("x-length", "not announced"));
    let (label, discards) = refused(one_more.receive(2_000_000, false));
    assert!(label.contains("outcome=.=no_memory;") && discards, "{label}");
    drop(waiting);
    assert!(matches!(one_more.receive(2_000_000, false), Receive::Wait));
}
