//! Who sends a request, as far as its share of the server goes.
//!
//! A client is a scope of API keys; where there are none, or a route asks for none, it is an address: the peer's, or the one that a
//! trusted proxy tells of. Invariants: what anybody else says of addresses is ignored; all addresses of one IPv6 network of 64 bits,
//! which one machine may have, are one client.

use crate::settings::{CommaList, Settings, network};
use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use holdfast_actors::ClientId;
use ipnet::IpNet;
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use xxhash_rust::xxh3::xxh3_128_with_seed;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Bits of an IPv6 address that name a network; the others its owner chooses.
const NETWORK_BITS: u32 = 64;
const SCOPES: u64 = 1;
const ADDRESSES: u64 = 2;

thread_local! {
    /// Of the request that is being polled.
    static CURRENT: Cell<Option<ClientId>> = const { Cell::new(None) };
}

/// Who sent the request that is being served on this thread. None: nobody did.
pub fn current() -> Option<ClientId> {
    CURRENT.get()
}

/// The request that is being served comes with a key of this scope.
pub fn has_scope(scope: &str) {
    if CURRENT.get().is_some() {
        CURRENT.set(Some(ClientId(xxh3_128_with_seed(scope.as_bytes(), SCOPES))));
    }
}

/// Serves a request as the client's, wherever it is awaited.
pub async fn serving<F: Future>(client: ClientId, serving: F) -> F::Output {
    struct Polled<'a>(&'a mut Option<ClientId>);
    impl Drop for Polled<'_> {
        fn drop(&mut self) {
            // What was found out about it is known at the next poll.
            *self.0 = CURRENT.take();
        }
    }
    let (mut client, mut serving) = (Some(client), pin!(serving));
    poll_fn(|context| {
        CURRENT.set(client);
        let _polled = Polled(&mut client);
        serving.as_mut().poll(context)
    })
    .await
}

/// The proxies whose word is taken.
#[derive(Clone)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    pub fn of(settings: &Settings) -> Self {
        let CommaList(trusted) = &settings.server.trusted_proxies;
        Self(trusted.iter().filter_map(|text| network::parse(text)).collect())
    }

    /// Who sends a request, as long as it has shown no key.
    pub fn client(&self, request: &ServiceRequest) -> ClientId {
        ClientId(match self.sender(request.request()).map(|address| address.to_canonical()) {
            None => 0,
            Some(IpAddr::V4(address)) => number(&address.octets()),
            Some(IpAddr::V6(address)) => number(&(address.to_bits() >> NETWORK_BITS).to_be_bytes()),
        })
    }

    /// The address that a request comes from. None where there are none, as in a test.
    pub fn sender(&self, request: &HttpRequest) -> Option<IpAddr> {
        request.peer_addr().map(|peer| self.address(peer.ip(), request.headers()))
    }

    fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.0.is_empty() || !self.trusts(peer) { peer } else { self.forwarded(headers).unwrap_or(peer) }
    }

    /// The last hop that is no proxy of ours: each proxy puts the address it was called from behind those it was told of. None if the
    /// list ends before that, or with what is no address.
    fn forwarded(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let lines: Vec<&str> = headers.get_all(&X_FORWARDED_FOR).map(|line| line.to_str().ok()).collect::<Option<_>>()?;
        let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
        for hop in hops {
            let hop = address(hop.trim())?;
            if !self.trusts(hop) {
                return Some(hop);
            }
        }
        None
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn number(address: &[u8]) -> u128 {
    xxh3_128_with_seed(address, ADDRESSES)
}

/// An address as proxies write it: some with the port, those of IPv6 then in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn proxies(trusted: &str) -> Proxies {
        let mut settings = Settings::default();
        settings.server.trusted_proxies = trusted.to_owned().into();
        Proxies::of(&settings)
    }

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> ClientId {
        let request = TestRequest::get().peer_addr(std::net::SocketAddr::new(peer.parse().unwrap(), 1));
        let request = forwarded.iter().fold(request, |request, line| request.append_header((X_FORWARDED_FOR, *line)));
        proxies(trusted).client(&request.to_srv_request())
    }

    fn peer(address: &str) -> ClientId {
        client("", address, &[])
    }

    #[test]
    fn what_is_forwarded_counts_only_from_a_trusted_proxy() {
        assert_eq!(client("", "10.0.0.1", &["1.1.1.1"]), peer("10.0.0.1"));
        assert_eq!(client("10.0.0.2", "10.0.0.1", &["1.1.1.1"]), peer("10.0.0.1"));
        assert_eq!(client("10.0.0.1", "10.0.0.1", &["1.1.1.1"]), peer("1.1.1.1"));
        assert_eq!(client("::1, 10.0.0.0/8", "::ffff:10.9.9.9", &["1.1.1.1"]), peer("1.1.1.1"));
        assert_ne!(peer("1.1.1.1"), peer("10.0.0.1"));
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_proxy_of_ours_over_all_lines() {
        let behind = |lines: &[&str]| client("10.0.0.0/8", "10.0.0.1", lines);
        for lines in [
            &["6.6.6.6, 1.1.1.1"][..],
            &["1.1.1.1,10.0.0.3 , 10.0.0.2"],
            &["6.6.6.6", "1.1.1.1", "10.0.0.2"],
            &["no address, 1.1.1.1"],
            &["1.1.1.1:4711"],
            &["[::ffff:1.1.1.1]:4711"],
        ] {
            assert_eq!(behind(lines), peer("1.1.1.1"), "{lines:?}");
        }
    }

    #[test]
    fn a_malformed_list_or_one_of_proxies_alone_tells_of_nobody() {
        for lines in [&[][..], &[""], &["1.1.1.1,"], &["1.1.1.1, unknown"], &["1.1.1.1", "\u{e9}"], &["10.0.0.2"], &["1.1.1.1.1"]]
        {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", lines), peer("10.0.0.1"), "{lines:?}");
        }
    }

    #[test]
    fn one_network_of_ipv6_is_one_client_however_many_addresses_it_has() {
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
        assert_eq!(peer("::ffff:1.2.3.4"), peer("1.2.3.4"));
    }

    #[actix_web::test]
    async fn a_request_is_its_clients_at_every_poll_and_nobodys_between() {
        let (address, mut seen) = (ClientId(7), Vec::new());
        serving(address, async {
            seen.push(current());
            tokio::task::yield_now().await;
            has_scope("shop");
            let known = current();
            tokio::task::yield_now().await;
            seen.extend([known, current()]);
        })
        .await;
        assert!(seen[0] == Some(address) && seen[1] == seen[2] && seen[1] != seen[0], "{seen:?}");
        has_scope("shop");
        assert_eq!(current(), None);
    }
}
