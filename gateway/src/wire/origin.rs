//! The origin of a web page, as browsers write it (RFC 6454): scheme, host and port.
//!
//! Invariant: two origins are equal if browsers hold them for one; whatever is not written as an origin is none, `null` too.

use std::net::Ipv6Addr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    /// In small letters, without brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// `https://shop.example`, with or without a port.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let (host, port) = host_and_port(authority).filter(|(host, _)| is_host(host) && !authority.ends_with(':'))?;
        Some(Self { https, host: host.to_ascii_lowercase(), port: port.unwrap_or(default_port(https)) })
    }

    /// The origin of a URL.
    pub fn of_url(url: &str) -> Option<Self> {
        let after_scheme = url.find("://")? + 3;
        let path = url[after_scheme..].find(['/', '?', '#']).map_or(url.len(), |path| after_scheme + path);
        Self::parse(&url[..path])
    }

    /// Whether a request that names this `Host` was sent to this origin. Which scheme it had, a server behind a proxy cannot know.
    pub fn is_named_by(&self, host: &str) -> bool {
        host_and_port(host).is_some_and(|(host, port)| {
            host.eq_ignore_ascii_case(&self.host) && port.unwrap_or(default_port(self.https)) == self.port
        })
    }

    pub fn host(&self) -> &str {
        &self.host
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// The host of `host[:port]` without brackets, and its port. `None` for what is neither.
pub fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let digits = if rest.is_empty() { "" } else { rest.strip_prefix(':')? };
    let number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = if digits.is_empty() { None } else { Some(digits.parse().ok()?) };
    (number && !host.is_empty()).then_some((host, port))
}

/// The host of `host[:port]`, without brackets. None for what is neither.
pub fn host_of(authority: &str) -> Option<&str> {
    host_and_port(authority).map(|(host, _)| host)
}

/// Whether this can be the name or the address of a host.
pub fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !text.is_empty() && (text.parse::<Ipv6Addr>().is_ok() || text.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_equal_if_scheme_host_and_port_are() {
        let equal = [
            ("https://shop.example", "https://SHOP.example:443"),
            ("http://shop.example:80", "HTTP://shop.example"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ];
        for (one, other) in equal {
            assert_eq!(Origin::parse(one).unwrap(), Origin::parse(other).unwrap());
        }
        let unequal = [
            ("https://shop.example", "http://shop.example"),
            ("https://shop.example", "https://shop.example:8443"),
            ("https://shop.example", "https://www.shop.example"),
            ("https://shop.example", "https://shop.example."),
        ];
        for (one, other) in unequal {
            assert_ne!(Origin::parse(one).unwrap(), Origin::parse(other).unwrap());
        }
    }

    #[test]
    fn what_is_not_written_as_an_origin_is_none() {
        for text in [
            "",
            "null",
            "*",
            "shop.example",
            "//shop.example",
            "ftp://shop.example",
            "file://",
            "javascript://x",
            "https://",
            "https://shop.example/",
            "https://shop.example/path",
            "https://shop.example?x",
            "https://a@shop.example",
            "https://shop.example:",
            "https://shop.example:+80",
            "https://shop.example:65536",
            "https://shop.example, https://other.example",
            "https://shop example",
            "https://[::1",
            "https://*.example",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_names_an_origin_with_its_port_or_that_of_the_scheme() {
        let of = |origin: &str, host: &str| Origin::parse(origin).unwrap().is_named_by(host);
        assert!(of("http://localhost:8080", "LOCALHOST:8080") && of("http://[::1]:8080", "[::1]:8080"));
        assert!(of("https://shop.example", "shop.example") && of("https://shop.example", "shop.example:443"));
        for host in ["localhost", "localhost:3000", "127.0.0.1:8080", "localhost:8080:8080", ""] {
            assert!(!of("http://localhost:8080", host), "{host}");
        }
        assert!(!of("http://shop.example", "shop.example:443"));
    }

    #[test]
    fn the_origin_of_a_url_is_what_is_before_its_path() {
        let of = |url: &str| Origin::of_url(url);
        assert_eq!(of("https://Pay.example:8443/x?y"), Origin::parse("https://pay.example:8443"));
        assert_eq!(of("https://pay.example?y"), Origin::parse("https://pay.example"));
        assert_eq!(of(""), None);
    }
}
