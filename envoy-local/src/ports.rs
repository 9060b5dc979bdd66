//! Checks that the chosen ports are free. The check comes before anything starts, so that the user learns of all ports
//! at once. Envoy itself would not notice: its listeners share a port with those of another Envoy (SO_REUSEPORT).

use std::{
    fmt,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
};

/// A port on which something will listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The number; 0 for any free port.
    pub(crate) port: u16,
    /// What it is for, in words.
    pub(crate) purpose: &'static str,
    /// The variable with which the user of `gate-local` can choose it.
    pub(crate) variable: &'static str,
}

/// Ports that are not free, one on each line.
#[derive(Debug, PartialEq, Eq)]
pub struct PortsTaken(Vec<Taken>);

#[derive(Debug, PartialEq, Eq)]
struct Taken {
    wanted: Wanted,
    why: Why,
}

#[derive(Debug, PartialEq, Eq)]
enum Why {
    InUse,
    WantedTwice { also: &'static str },
    Refused(ErrorKind),
}

impl std::error::Error for PortsTaken {}

impl fmt::Display for PortsTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Taken { wanted, why }) in self.0.iter().enumerate() {
            let Wanted { port, purpose, variable } = wanted;
            let end = if index + 1 == self.0.len() { "" } else { "\n" };
            match why {
                Why::InUse => write!(
                    f,
                    "port {port} is in use ({purpose}): stop what listens there, or choose another with {variable}=...{end}"
                ),
                Why::WantedTwice { also } => write!(
                    f,
                    "port {port} is configured twice ({also}, {purpose}): choose another with \
                     {variable}=...{end}"
                ),
                Why::Refused(kind) => write!(
                    f,
                    "cannot bind port {port} ({purpose}): {kind}; choose another with {variable}=...{end}"
                ),
            }?;
        }
        Ok(())
    }
}

/// Checks that every chosen port is free on the loopback addresses.
///
/// # Errors
/// If a port is not free; the error names every such port, what it is for, and how to choose another.
pub(crate) fn check(wanted: &[Wanted]) -> Result<(), PortsTaken> {
    let fixed = wanted.iter().enumerate().filter(|(_, wanted)| wanted.port != 0);
    let taken = fixed.filter_map(|(index, &this)| {
        let twin = wanted.iter().take(index).find(|earlier| earlier.port == this.port);
        let why = match twin {
            Some(earlier) => Why::WantedTwice { also: earlier.purpose },
            None => why_not(this.port)?,
        };
        Some(Taken { wanted: this, why })
    });
    let taken: Vec<_> = taken.collect();
    if taken.is_empty() { Ok(()) } else { Err(PortsTaken(taken)) }
}

/// The loopback addresses of this machine.
pub(crate) fn loopback() -> impl Iterator<Item = IpAddr> {
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    [Ipv4Addr::LOCALHOST.into()].into_iter().chain(v6.then(|| Ipv6Addr::LOCALHOST.into()))
}

fn why_not(port: u16) -> Option<Why> {
    let refused = loopback().find_map(|address| TcpListener::bind((address, port)).err());
    refused.map(|error| match error.kind() {
        ErrorKind::AddrInUse => Why::InUse,
        other => Why::Refused(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(port: u16, purpose: &'static str, variable: &'static str) -> Wanted {
        Wanted { port, purpose, variable }
    }

    #[test]
    fn every_busy_port_is_named_at_once_with_its_purpose_and_its_variable() {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let [a, b] = [&first, &second].map(|listener| listener.local_addr().unwrap().port());
        let error = check(&[
            wanted(a, "OTLP/gRPC", "GRPC_PORT"),
            wanted(0, "Mimir", "MIMIR_PORT"),
            wanted(b, "Loki", "LOKI_PORT"),
        ])
        .unwrap_err();
        let expected = format!(
            "port {a} is in use (OTLP/gRPC): stop what listens there, or choose another with GRPC_PORT=...\n\
             port {b} is in use (Loki): stop what listens there, or choose another with LOKI_PORT=..."
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_port_that_is_busy_only_on_the_ipv6_loopback_is_named_too() {
        let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            assert_eq!(loopback().count(), 1, "without IPv6 there is nothing to be busy");
            return;
        };
        let port = listener.local_addr().unwrap().port();
        let error = check(&[wanted(port, "OTLP/HTTP", "HTTP_PORT")]).unwrap_err();
        assert!(error.to_string().contains("in use (OTLP/HTTP)"), "{error}");
    }

    #[test]
    fn a_port_that_is_asked_for_twice_is_named_with_both_purposes() {
        let free =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let error = check(&[
            wanted(free, "OTLP/gRPC", "GRPC_PORT"),
            wanted(free, "OTLP/HTTP", "HTTP_PORT"),
        ])
        .unwrap_err();
        let expected = format!(
            "port {free} is configured twice (OTLP/gRPC, OTLP/HTTP): choose another with HTTP_PORT=..."
        );
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_free_port_and_any_number_of_zeros_are_accepted() {
        let free =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let zero = wanted(0, "Loki", "LOKI_PORT");
        assert_eq!(check(&[wanted(free, "OTLP/gRPC", "GRPC_PORT"), zero, zero]), Ok(()));
    }
}
