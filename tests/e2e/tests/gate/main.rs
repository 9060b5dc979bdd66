//! The gate in real Envoy, seen from outside: what senders are told and what backends get.
//!
//! Each case runs once for each way to run the gate, as `held headers::...` and `sent headers::...`. The cases of one
//! gate run one at a time, because they share the stand-in backends behind it.

mod bodies;
mod broken;
mod fixture;
mod grpc;
mod http;
mod limits;
mod protocol;
mod refusals;
mod replies;
mod sdks;
mod senders;
mod telemetry;

use std::{pin::Pin, sync::Arc};

use fixture::{Gate, Gates, Headers, Limits, Setup};
use libtest_mimic::{Arguments, Trial};

/// A test: its name, its gate, its function.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    limits: Limits,
    run: for<'g> fn(&'g Gate) -> Pin<Box<dyn Future<Output = ()> + 'g>>,
}

macro_rules! cases {
    ($limits:expr => $($module:ident::$name:ident),+ $(,)?) => {
        [$(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            limits: $limits,
            run: |gate| Box::pin($module::$name(gate)),
        }),+]
    };
}

fn main() {
    let gates = Arc::new(Gates::new());
    let mut trials = Vec::new();
    for headers in Headers::ALL {
        for case in all_cases() {
            let gates = Arc::clone(&gates);
            let setup = Setup { headers, limits: case.limits };
            trials.push(Trial::test(format!("{headers}::{}", case.name), move || {
                gates.run(setup, case.run).map_err(Into::into)
            }));
        }
    }
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    gates.stop(conclusion.has_failed());
    conclusion.exit();
}

fn all_cases() -> Vec<Case> {
    let usual = cases![Limits::Usual =>
        sdks::of_ten_python_logs_over_grpc_with_gzip_three_are_dropped_and_seven_stored_under_payments,
        sdks::of_ten_rust_data_points_over_http_with_gzip_three_are_dropped,
        sdks::python_spans_of_team_blue_end_in_tempo_under_team_blue,
        senders::a_stranger_is_denied_over_http_by_name,
        senders::a_stranger_is_denied_over_grpc_by_name,
        senders::an_outsider_gets_no_handshake,
        senders::a_client_without_a_certificate_gets_no_handshake,
        senders::the_tenant_that_a_sender_claims_is_replaced,
        senders::of_two_claimed_tenants_neither_reaches_a_backend,
        senders::headers_that_steer_a_backend_are_taken_off,
        senders::whose_a_request_is_stands_in_the_access_log,
        senders::what_is_counted_is_counted_for_its_sender_too,
        senders::a_backend_that_a_sender_names_is_not_where_its_records_go,
        bodies::what_is_not_touched_arrives_byte_for_byte,
        bodies::what_is_not_touched_stays_as_it_was_compressed_where_headers_are_held,
        bodies::what_is_kept_of_a_compressed_request_is_stored,
        bodies::three_megabytes_pass_untouched,
        bodies::three_megabytes_pass_less_what_is_dropped,
        bodies::three_megabytes_without_a_content_length_pass,
        bodies::fifteen_megabytes_pass,
        bodies::a_large_body_with_one_bad_data_point_is_stored_without_it,
        bodies::the_largest_body_with_one_bad_data_point_is_stored_over_every_protocol,
        bodies::a_large_body_in_an_encoding_that_the_backend_does_not_take_is_stored,
        bodies::a_large_body_waits_for_a_backend_that_hangs_and_the_next_is_to_be_sent_again,
        limits::a_body_over_the_usual_limit_is_413,
        limits::a_message_over_the_usual_limit_is_resource_exhausted,
        limits::ten_megabytes_that_inflate_to_ten_gigabytes_are_refused_at_once_and_in_little_memory,
        broken::bytes_that_are_no_protobuf_are_400_and_the_next_request_is_served,
        broken::a_message_that_ends_early_is_400_and_the_next_request_is_served,
        broken::gzip_that_is_none_is_400_and_the_next_request_is_served,
        broken::a_grpc_frame_of_the_wrong_length_is_invalid_argument_and_the_next_request_is_served,
        broken::a_grpc_message_that_is_no_protobuf_is_invalid_argument,
        broken::a_header_that_is_not_utf_8_does_no_harm,
        broken::a_sender_that_hangs_up_half_way_does_no_harm,
        protocol::json_is_answered_in_json,
        protocol::another_content_type_is_415,
        protocol::another_content_encoding_is_415,
        protocol::another_path_is_404,
        protocol::another_method_is_405,
        protocol::another_grpc_method_is_unimplemented,
        protocol::an_empty_export_is_a_success_and_loki_is_not_asked_over_http,
        protocol::a_metric_without_data_points_is_a_success_over_http,
        protocol::an_empty_export_is_a_success_over_grpc,
        protocol::a_metric_without_data_points_is_a_success_over_grpc,
        protocol::when_every_record_is_dropped_it_is_400_with_the_count,
        protocol::when_every_record_is_dropped_it_is_invalid_argument_with_the_count,
        protocol::a_success_is_an_empty_message_and_200,
        refusals::curl_over_http_1_is_told,
        refusals::curl_over_http_2_is_told,
        refusals::curl_over_http_2_is_told_where_it_announces_no_length,
        refusals::pythons_http_client_is_told,
        refusals::pythons_http_client_is_told_where_it_announces_no_length,
        refusals::a_refusal_waits_for_its_request,
        refusals::a_sender_that_hangs_up_in_a_refused_request_does_no_harm,
        refusals::what_is_thrown_away_is_not_kept,
        refusals::more_than_its_limit_is_not_waited_for,
        replies::what_can_be_sent_again_stays_so_over_http,
        replies::what_can_be_sent_again_stays_so_over_grpc,
        replies::a_failure_over_grpc_stands_in_the_headers,
        replies::what_can_not_be_sent_again_stays_so_over_http,
        replies::what_can_not_be_sent_again_stays_so_over_grpc,
        replies::retry_after_reaches_the_sender,
        replies::a_partial_success_of_the_backend_is_added_to_the_gates_own,
        replies::a_backend_that_hangs_up_can_be_asked_again,
        replies::a_grpc_sender_is_not_waited_for_longer_than_it_waits,
    ];
    let small = cases![Limits::Small =>
        limits::a_body_within_a_small_limit_is_served,
        limits::a_body_over_a_small_limit_is_413,
        limits::a_message_over_a_small_limit_is_resource_exhausted,
        limits::a_body_that_inflates_to_more_than_the_decoded_limit_is_413,
    ];
    usual.into_iter().chain(small).collect()
}
