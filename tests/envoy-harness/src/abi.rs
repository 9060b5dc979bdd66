//! The host functions of proxy-wasm 0.2.1, as in proxy-wasm-cpp-host's `src/exports.cc`.
//!
//! This module has their signatures. The modules below implement them, one module for each subject.

mod buffers;
mod calls;
mod control;
mod header_maps;
mod metrics;
mod properties;
mod shared;

use wasmtime::Linker;

use crate::{
    host::Host,
    memory::{Fault, Guest, Out, Span},
    status::Status,
};

/// Adds every host function to `linker`.
pub(crate) fn define(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    define_control(linker)?;
    define_header_maps(linker)?;
    define_buffers_and_properties(linker)?;
    define_shared(linker)?;
    define_metrics(linker)?;
    define_calls(linker)
}

/// The result of a host function, as the guest sees it.
fn answer(outcome: Result<(), Fault>) -> wasmtime::Result<u32> {
    match outcome {
        Ok(()) => Ok(Status::Ok.code()),
        Err(Fault::Status(status)) => Ok(status.code()),
        Err(Fault::Trap(trap)) => Err(trap),
    }
}

/// Adds host functions of the module `env` to a linker: their names, their parameters after the guest, and their code.
/// Every parameter has 32 bits unless it says otherwise.
macro_rules! host_functions {
    ($linker:ident: $($name:literal, |$guest:ident $(, $param:ident $(: $type:ty)?)*| $does:expr;)+) => {
        $($linker.func_wrap(
            "env",
            $name,
            |mut caller: Guest<'_> $(, $param: host_functions!(@type $($type)?))*| {
                let $guest = &mut caller;
                $guest.data_mut().count_host_call($name);
                answer($does)
            },
        )?;)+
    };
    (@type) => { u32 };
    (@type $type:ty) => { $type };
}

fn define_control(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    host_functions! { linker:
        "proxy_log", |guest, level, at, length| control::log(guest, level, Span(at, length));
        "proxy_get_log_level", |guest, out| control::get_log_level(guest, out);
        "proxy_get_current_time_nanoseconds", |guest, out| control::get_time(guest, out);
        "proxy_set_tick_period_milliseconds", |guest, period| control::set_tick_period(guest, period);
        "proxy_get_status", |guest, code, at, length| {
            control::get_status(guest, code, Out(at, length))
        };
        "proxy_set_effective_context", |guest, context| {
            control::set_effective_context(guest, context)
        };
        "proxy_done", |guest| control::done(guest);
        "proxy_continue_stream", |guest, kind| control::continue_stream(guest, kind);
        "proxy_close_stream", |guest, kind| control::close_stream(guest, kind);
        "proxy_send_local_response",
            |guest, status, d_at, d_length, b_at, b_length, h_at, h_length, grpc_status| {
                let (details, body) = (Span(d_at, d_length), Span(b_at, b_length));
                let headers = Span(h_at, h_length);
                control::send_local_response(guest, status, details, body, headers, grpc_status)
            };
        "proxy_call_foreign_function", |guest, n_at, n_length, a_at, a_length, out, out_length| {
            let (name, arguments) = (Span(n_at, n_length), Span(a_at, a_length));
            control::call_foreign_function(guest, name, arguments, Out(out, out_length))
        };
    }
    Ok(())
}

fn define_header_maps(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    host_functions! { linker:
        "proxy_get_header_map_size", |guest, map, out| header_maps::size(guest, map, out);
        "proxy_get_header_map_pairs", |guest, map, at, length| {
            header_maps::pairs(guest, map, Out(at, length))
        };
        "proxy_set_header_map_pairs", |guest, map, at, length| {
            header_maps::set_pairs(guest, map, Span(at, length))
        };
        "proxy_get_header_map_value", |guest, map, at, length, out, out_length| {
            header_maps::value(guest, map, Span(at, length), Out(out, out_length))
        };
        "proxy_add_header_map_value", |guest, map, n_at, n_length, v_at, v_length| {
            header_maps::add(guest, map, Span(n_at, n_length), Span(v_at, v_length))
        };
        "proxy_replace_header_map_value", |guest, map, n_at, n_length, v_at, v_length| {
            header_maps::replace(guest, map, Span(n_at, n_length), Span(v_at, v_length))
        };
        "proxy_remove_header_map_value", |guest, map, at, length| {
            header_maps::remove(guest, map, Span(at, length))
        };
    }
    Ok(())
}

fn define_buffers_and_properties(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    host_functions! { linker:
        "proxy_get_buffer_bytes", |guest, buffer, start, length, out, out_length| {
            buffers::get(guest, buffer, start, length, Out(out, out_length))
        };
        "proxy_get_buffer_status", |guest, buffer, length, flags| {
            buffers::status(guest, buffer, length, flags)
        };
        "proxy_set_buffer_bytes", |guest, buffer, start, length, at, size| {
            buffers::set(guest, buffer, start, length, Span(at, size))
        };
        "proxy_get_property", |guest, at, length, out, out_length| {
            properties::get(guest, Span(at, length), Out(out, out_length))
        };
        "proxy_set_property", |guest, p_at, p_length, v_at, v_length| {
            properties::set(guest, Span(p_at, p_length), Span(v_at, v_length))
        };
    }
    Ok(())
}

fn define_shared(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    host_functions! { linker:
        "proxy_get_shared_data", |guest, at, length, out, out_length, cas| {
            shared::get_data(guest, Span(at, length), Out(out, out_length), cas)
        };
        "proxy_set_shared_data", |guest, k_at, k_length, v_at, v_length, cas| {
            shared::set_data(guest, Span(k_at, k_length), Span(v_at, v_length), cas)
        };
        "proxy_register_shared_queue", |guest, at, length, out| {
            shared::register_queue(guest, Span(at, length), out)
        };
        "proxy_resolve_shared_queue", |guest, v_at, v_length, n_at, n_length, out| {
            shared::resolve_queue(guest, Span(v_at, v_length), Span(n_at, n_length), out)
        };
        "proxy_enqueue_shared_queue", |guest, token, at, length| {
            shared::enqueue(guest, token, Span(at, length))
        };
        "proxy_dequeue_shared_queue", |guest, token, out, out_length| {
            shared::dequeue(guest, token, Out(out, out_length))
        };
    }
    Ok(())
}

fn define_metrics(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    host_functions! { linker:
        "proxy_define_metric", |guest, kind, at, length, out| {
            metrics::define(guest, kind, Span(at, length), out)
        };
        "proxy_increment_metric", |guest, id, offset: i64| metrics::increment(guest, id, offset);
        "proxy_record_metric", |guest, id, value: u64| metrics::record(guest, id, value);
        "proxy_get_metric", |guest, id, out| metrics::get(guest, id, out);
    }
    Ok(())
}

fn define_calls(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    host_functions! { linker:
        "proxy_http_call",
            |guest, c_at, c_length, h_at, h_length, b_at, b_length, t_at, t_length, timeout, out| {
                let request = calls::HttpRequest {
                    cluster: Span(c_at, c_length),
                    headers: Span(h_at, h_length),
                    body: Span(b_at, b_length),
                    trailers: Span(t_at, t_length),
                };
                calls::http_call(guest, &request, timeout, out)
            };
        "proxy_grpc_call",
            |guest, u_at, u_length, s_at, s_length, m_at, m_length, i_at, i_length, b_at, b_length,
             timeout, out| {
                let request = calls::GrpcRequest {
                    upstream: Span(u_at, u_length),
                    service: Span(s_at, s_length),
                    method: Span(m_at, m_length),
                    metadata: Span(i_at, i_length),
                };
                calls::grpc_call(guest, &request, Span(b_at, b_length), timeout, out)
            };
        "proxy_grpc_stream",
            |guest, u_at, u_length, s_at, s_length, m_at, m_length, i_at, i_length, out| {
                let request = calls::GrpcRequest {
                    upstream: Span(u_at, u_length),
                    service: Span(s_at, s_length),
                    method: Span(m_at, m_length),
                    metadata: Span(i_at, i_length),
                };
                calls::grpc_stream(guest, &request, out)
            };
        "proxy_grpc_send", |guest, token, at, length, end| {
            calls::grpc_send(guest, token, Span(at, length), end)
        };
        "proxy_grpc_close", |guest, token| calls::grpc_close(guest, token);
        "proxy_grpc_cancel", |guest, token| calls::grpc_cancel(guest, token);
    }
    Ok(())
}
