//! Which web pages may talk to a server that asks for no key.
//!
//! Without API keys the server listens on loopback, where every browser of the machine reaches it: a page of a stranger may name
//! it by a name of its own (DNS rebinding), or send it a form. Invariant: without keys nothing is answered that names a host we
//! do not know, and nothing is changed for a page of such a host. With keys, or if told to be insecure, anybody is answered.

use crate::problem::{Code, Problem};
use crate::request::request_id;
use crate::settings::Settings;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use actix_web::http::{Method, Uri};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The hosts a request may name.
pub struct Access {
    /// Names beside those of loopback, in small letters. `None`: any.
    hosts: Option<Vec<String>>,
}

impl Access {
    /// The hosts of `server.hosts`, and those that other settings give this server already.
    pub fn of(settings: &Settings, has_keys: bool) -> Self {
        if has_keys || settings.server.insecure {
            return Self { hosts: None };
        }
        let public = settings.sandbox.public_url.parse::<Uri>().ok();
        let public = public.as_ref().and_then(Uri::host).map(|host| host.trim_matches(['[', ']']).to_owned());
        let own = [host_of(&settings.server.listen).map(str::to_owned), public].into_iter().flatten();
        let hosts = settings.server.hosts.0.iter().cloned().chain(own);
        Self { hosts: Some(hosts.map(|host| host.to_ascii_lowercase()).collect()) }
    }

    /// # Errors
    /// `misdirected_request` or `forbidden_origin`.
    #[inline]
    pub fn check(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let refused = match self::check(hosts, request.uri(), request.method(), request.headers()) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        Err(refused.by(request_id(request.request()).as_str()))
    }
}

fn check(hosts: &[String], uri: &Uri, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    // No browser leaves the host out; who speaks HTTP/1.0 may.
    let named = headers.get_all(HOST).all(|host| text(host).and_then(host_of).is_some_and(|host| is_known(hosts, host)));
    let target = uri.authority().is_none_or(|target| host_of(target.as_str()).is_some_and(|host| is_known(hosts, host)));
    if !(named && target) {
        return Err(misdirected());
    }
    let reads = method == Method::GET || method == Method::HEAD;
    let foreign = |origin: &HeaderValue| !text(origin).and_then(host_of_origin).is_some_and(|host| is_known(hosts, host));
    if !reads && headers.get_all(ORIGIN).any(foreign) {
        return Err(foreign_origin());
    }
    Ok(())
}

pub(crate) fn misdirected() -> Problem {
    let detail = "without API keys this server answers only requests to localhost, a loopback address or a host of server.hosts";
    Problem::new(Code::MisdirectedRequest, detail)
}

pub(crate) fn foreign_origin() -> Problem {
    let detail =
        "without API keys this server changes nothing for web pages of other hosts; add theirs to server.hosts if they may";
    Problem::new(Code::ForbiddenOrigin, detail)
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// The host of `host[:port]`, without brackets. None for what is neither.
pub fn host_of(authority: &str) -> Option<&str> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    (port && !host.is_empty()).then_some(host)
}

/// `null`, which is what a page says that hides where it is from, has none.
fn host_of_origin(origin: &str) -> Option<&str> {
    host_of(origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?)
}

fn is_known(hosts: &[String], host: &str) -> bool {
    is_loopback(host) || hosts.iter().any(|known| known.eq_ignore_ascii_case(host.strip_suffix('.').unwrap_or(host)))
}

fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address.is_loopback();
    }
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return IpAddr::V6(address).to_canonical().is_loopback();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn access(hosts: &str) -> Access {
        let mut settings = Settings::default();
        settings.server.hosts = hosts.to_owned().into();
        settings.sandbox.public_url = "https://Pay.example:8443/x".to_owned();
        Access::of(&settings, false)
    }

    fn code(access: &Access, request: TestRequest) -> Option<Code> {
        access.check(&request.to_srv_request()).err().map(|problem| problem.code)
    }

    fn to(host: &str) -> TestRequest {
        TestRequest::get().insert_header((HOST, host))
    }

    #[test]
    fn only_loopback_and_known_hosts_are_answered() {
        let access = access("shop.internal, Other.internal");
        for host in [
            "localhost",
            "LOCALHOST:80",
            "a.localhost:1",
            "localhost.",
            "127.0.0.1:8080",
            "127.9.8.7",
            "[::1]",
            "[::1]:8080",
            "[::ffff:127.0.0.1]:1",
            "shop.internal:9",
            "SHOP.internal.",
            "other.internal",
            "pay.example",
            "127.0.0.1:",
        ] {
            assert_eq!(code(&access, to(host)), None, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "127.1",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "10.0.0.1",
            "localhost:80:80",
            "localhost@evil.example",
            "evil.example#localhost",
            "localhost, evil.example",
            "xn--localhost",
            "shop.internal.evil",
            "::1",
        ] {
            assert_eq!(code(&access, to(host)), Some(Code::MisdirectedRequest), "{host}");
        }
    }

    #[test]
    fn a_second_host_and_the_host_of_an_absolute_target_count_too() {
        let access = access("");
        assert_eq!(code(&access, to("localhost").append_header((HOST, "evil.example"))), Some(Code::MisdirectedRequest));
        assert_eq!(code(&access, to("localhost").uri("http://evil.example/livez")), Some(Code::MisdirectedRequest));
        assert_eq!(code(&access, to("localhost").uri("http://127.0.0.1:8080/livez")), None);
        assert_eq!(code(&access, TestRequest::get()), None, "HTTP/1.0 may leave the host out");
        assert_eq!(code(&access, TestRequest::get().uri("http://evil.example/")), Some(Code::MisdirectedRequest));
    }

    #[test]
    fn nothing_is_changed_for_a_page_of_another_host() {
        let access = access("shop.internal");
        let from = |method: Method, origin: &str| code(&access, to("localhost").method(method).insert_header((ORIGIN, origin)));
        for origin in ["http://localhost:3000", "https://shop.internal", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert_eq!(from(Method::POST, origin), None, "{origin}");
        }
        for origin in
            ["null", "", "http://evil.example", "https://localhost.evil.example", "file://", "localhost", "chrome-extension://x"]
        {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
                assert_eq!(from(method.clone(), origin), Some(Code::ForbiddenOrigin), "{method} {origin}");
            }
            assert_eq!(from(Method::GET, origin), None, "{origin}");
        }
        let twice =
            to("localhost").method(Method::POST).append_header((ORIGIN, "http://localhost")).append_header((ORIGIN, "null"));
        assert_eq!(code(&access, twice), Some(Code::ForbiddenOrigin));
    }

    #[test]
    fn with_keys_or_told_to_be_insecure_any_host_is_answered() {
        let mut settings = Settings::default();
        assert_eq!(code(&Access::of(&settings, true), to("evil.example")), None);
        settings.server.insecure = true;
        assert_eq!(
            code(&Access::of(&settings, false), to("evil.example").method(Method::POST).insert_header((ORIGIN, "null"))),
            None
        );
    }
}
