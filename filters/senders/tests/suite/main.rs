//! Tests of the crate's public interface: certificates, connections, configurations, and the rows of the README's
//! tables.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod denied;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod ways;
