//! Which web pages may talk to this server, and by which names it may be called.
//!
//! A browser sends what any page asks it to send, from wherever its user is: a form or a text without asking first. Invariants: nothing
//! is changed for a page of an origin that is not ours, whether there are keys or not; ours are those of `server.origins` and
//! `sandbox.public_url`, and the host by which the request names this server. Without API keys the server listens on loopback, where
//! a page of a stranger may name it by a name of its own (DNS rebinding): nothing is answered then that names a host we do not know,
//! unless the operator was told to be insecure, and even then no page of such a host changes anything.

mod cors;

pub use cors::Sharing;

use crate::http::problem::{Code, Problem};
use crate::settings::Settings;
use crate::wire::origin::{Origin, host_of};
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::http::{Method, Uri};
use actix_web::{HttpRequest, HttpResponse};
use cors::Cors;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a browser says that a request comes from, as seen from where it goes to.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who may call, by host and by page. One for each worker.
#[derive(Clone)]
pub struct Access {
    policy: HostPolicy,
    /// The last `Host` that was looked at and is known: requests of a connection all name the same.
    last: RefCell<Option<Box<[u8]>>>,
    /// Names beside those of loopback, in small letters.
    hosts: Vec<String>,
    /// Origins that are ours whatever the request names.
    own: Vec<Origin>,
    cors: Cors,
}

/// Which names requests may call the server by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HostPolicy {
    /// Any: who may call is said by keys.
    Any,
    /// Any, but pages are ours only under a name that nobody can bind to this address.
    AnyButPages,
    Known,
}

impl Access {
    /// The hosts of `server.hosts`, and those that other settings give this server already.
    pub fn of(settings: &Settings, has_keys: bool) -> Self {
        let policy = match (has_keys, settings.server.insecure) {
            (true, _) => HostPolicy::Any,
            (false, true) => HostPolicy::AnyButPages,
            (false, false) => HostPolicy::Known,
        };
        let public = Origin::of_url(&settings.sandbox.public_url);
        let listed: Vec<Origin> = settings.server.origins.0.iter().filter_map(|origin| Origin::parse(origin)).collect();
        let named = [host_of(&settings.server.listen), host_of(&settings.admin.listen), public.as_ref().map(Origin::host)]
            .into_iter()
            .flatten();
        let hosts = settings.server.hosts.0.iter().map(String::as_str).chain(named).map(str::to_ascii_lowercase).collect();
        Self { policy, last: RefCell::default(), hosts, own: listed.iter().cloned().chain(public).collect(), cors: Cors(listed) }
    }

    /// # Errors
    /// `misdirected_request` or `forbidden_origin`.
    #[inline]
    pub fn check(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let named = self.policy != HostPolicy::Known || self.is_named(request.uri(), request.headers());
        let refused = match (named, self.may_change(request.method(), request.headers())) {
            (true, true) => return Ok(()),
            (false, _) => misdirected(),
            (true, false) => foreign_origin(),
        };
        Err(refused)
    }

    /// What the answer says to a browser that sent the request for a page.
    #[inline]
    pub fn sharing(&self, request: &ServiceRequest) -> Sharing {
        self.cors.sharing(request.method(), request.headers())
    }

    /// The whole answer, if a browser only asks what a page may send.
    #[inline]
    pub fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        self.cors.preflight(request)
    }

    /// Whether a request names this server by a name that nobody can bind to its address.
    pub fn knows_host(&self, request: &HttpRequest) -> bool {
        self.is_named(request.uri(), request.headers())
    }

    /// Whether a request names this server by a name of loopback.
    pub fn names_loopback(request: &HttpRequest) -> bool {
        let mut hosts = request.headers().get_all(HOST);
        hosts.next().and_then(text).and_then(host_of).is_some_and(is_loopback) && hosts.next().is_none()
    }

    fn is_named(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        // No browser leaves the host out; who speaks HTTP/1.0 may.
        let named = headers.get_all(HOST).all(|host| self.is_known(host));
        named && uri.authority().is_none_or(|target| host_of(target.as_str()).is_some_and(|host| self.knows(host)))
    }

    fn is_known(&self, host: &HeaderValue) -> bool {
        if self.last.borrow().as_deref() == Some(host.as_bytes()) {
            return true;
        }
        let known = text(host).and_then(host_of).is_some_and(|host| self.knows(host));
        if known {
            self.last.replace(Some(host.as_bytes().into()));
        }
        known
    }

    /// Browsers name the origin of whatever may change something; a client that names none is no browser, or an old one that tells
    /// where a request comes from by the other header.
    fn may_change(&self, method: &Method, headers: &HeaderMap) -> bool {
        if *method == Method::GET || *method == Method::HEAD {
            return true;
        }
        let mut origins = headers.get_all(ORIGIN);
        let from_here = match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => match text(origin).and_then(Origin::parse) {
                Some(origin) if self.own.contains(&origin) => return true,
                Some(origin) => self.is_host_of(&origin, headers),
                None => false,
            },
            (Some(_), Some(_)) => false,
        };
        from_here && headers.get_all(SEC_FETCH_SITE).all(|site| site == "same-origin" || site == "none")
    }

    /// Whether the request names this server by the host of the origin.
    fn is_host_of(&self, origin: &Origin, headers: &HeaderMap) -> bool {
        let trusted = self.policy == HostPolicy::Any || self.knows(origin.host()) || origin.host().parse::<IpAddr>().is_ok();
        let mut hosts = headers.get_all(HOST);
        let named = hosts.next().and_then(text).is_some_and(|host| origin.is_named_by(host));
        trusted && named && hosts.next().is_none()
    }

    fn knows(&self, host: &str) -> bool {
        let name = host.strip_suffix('.').unwrap_or(host);
        is_loopback(host) || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

pub(crate) fn misdirected() -> Problem {
    let detail = "without API keys this server answers only requests to localhost, a loopback address or a host of server.hosts";
    Problem::new(Code::MisdirectedRequest, detail)
}

pub(crate) fn foreign_origin() -> Problem {
    let detail = "this server changes nothing for web pages of other origins; add theirs to server.origins if they may";
    Problem::new(Code::ForbiddenOrigin, detail)
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
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

    /// What becomes of a request with these headers, in this order.
    fn sent(access: &Access, method: &Method, headers: &[(&'static str, &str)]) -> Option<Code> {
        let request = TestRequest::default().method(method.clone());
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        code(access, request)
    }

    const CHANGES: [Method; 5] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

    /// With keys, insecure, and neither.
    fn each() -> [Access; 3] {
        let mut settings = Settings::default();
        settings.server.hosts = "shop.internal".to_owned().into();
        settings.server.origins = "https://shop.example,http://localhost:3000".to_owned().into();
        settings.sandbox.public_url = "https://Pay.example:8443/x".to_owned();
        let guarded = Access::of(&settings, true);
        let known = Access::of(&settings, false);
        settings.server.insecure = true;
        [guarded, Access::of(&settings, false), known]
    }

    #[test]
    fn nothing_is_changed_for_a_page_of_another_origin_with_keys_or_without() {
        let foreign = [
            "null",
            "",
            "http://evil.example",
            "https://localhost.evil.example",
            "file://",
            "localhost:8080",
            "chrome-extension://x",
            "http://localhost",
            "http://localhost:8081",
            "http://127.0.0.1:8080",
            "http://shop.internal",
            "http://shop.example",
            "https://pay.example",
            "https://shop.example, http://localhost:8080",
            "https://shop.example/",
        ];
        for (access, method) in each().iter().flat_map(|access| CHANGES.iter().map(move |method| (access, method))) {
            for origin in foreign {
                let headers = [("host", "localhost:8080"), ("origin", origin)];
                assert_eq!(sent(access, method, &headers), Some(Code::ForbiddenOrigin), "{method} {origin}");
                assert_eq!(sent(access, &Method::GET, &headers), None, "reading is up to the browser: {origin}");
            }
            for origin in ["http://localhost:8080", "https://shop.example", "http://localhost:3000", "https://pay.example:8443"] {
                assert_eq!(sent(access, method, &[("host", "localhost:8080"), ("origin", origin)]), None, "{method} {origin}");
            }
            let twice = [("host", "localhost:8080"), ("origin", "https://shop.example"), ("origin", "https://shop.example")];
            assert_eq!(sent(access, method, &twice), Some(Code::ForbiddenOrigin));
        }
    }

    #[test]
    fn where_the_browser_says_that_a_request_comes_from_counts_too() {
        for access in &each() {
            let from = |headers: &[(&'static str, &str)]| {
                sent(access, &Method::POST, &[&[("host", "localhost:8080")], headers].concat())
            };
            for site in ["cross-site", "same-site", "CROSS-SITE", "", "nonsense"] {
                assert_eq!(from(&[("sec-fetch-site", site)]), Some(Code::ForbiddenOrigin), "{site}");
                assert_eq!(from(&[("sec-fetch-site", "none"), ("sec-fetch-site", site)]), Some(Code::ForbiddenOrigin), "{site}");
                let own = [("origin", "http://localhost:8080"), ("sec-fetch-site", site)];
                assert_eq!(from(&own), Some(Code::ForbiddenOrigin), "an https page of this host, or another scheme: {site}");
                assert_eq!(from(&[("origin", "https://shop.example"), ("sec-fetch-site", site)]), None, "{site}");
            }
            for site in ["same-origin", "none"] {
                assert_eq!(from(&[("sec-fetch-site", site)]), None, "{site}");
                assert_eq!(from(&[("origin", "http://evil.example"), ("sec-fetch-site", site)]), Some(Code::ForbiddenOrigin));
            }
            assert_eq!(from(&[]), None, "no browser");
        }
    }

    /// A stranger binds a name of his own to this address: origin and host agree.
    #[test]
    fn a_page_of_a_host_that_anybody_can_bind_changes_nothing_without_keys() {
        let [guarded, insecure, known] = each();
        let rebound = [("host", "evil.example:8080"), ("origin", "http://evil.example:8080")];
        assert_eq!(sent(&insecure, &Method::POST, &rebound), Some(Code::ForbiddenOrigin));
        assert_eq!(sent(&known, &Method::POST, &rebound), Some(Code::MisdirectedRequest));
        assert_eq!(sent(&guarded, &Method::POST, &rebound), None, "it has no key");
        for host in ["10.0.0.7:8080", "shop.internal:8080", "[::1]:8080"] {
            let own = [("host", host), ("origin", &format!("http://{host}"))];
            assert_eq!(sent(&insecure, &Method::POST, &own), None, "{host}");
        }
    }

    #[test]
    fn with_keys_or_told_to_be_insecure_any_host_is_answered() {
        let [guarded, insecure, _] = each();
        for access in [guarded, insecure] {
            assert_eq!(sent(&access, &Method::GET, &[("host", "evil.example")]), None);
            assert_eq!(sent(&access, &Method::POST, &[("host", "evil.example")]), None);
        }
    }
}
