//! Networks of addresses, as settings write them.

use ipnet::IpNet;
use std::net::IpAddr;

/// An address, or a network of them.
pub fn parse(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
