//! Requests nobody should send, each from a seed.

/// SplitMix64: small, seeded, good enough to be nasty.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next() as u8).collect()
    }
}

type Call = (&'static str, &'static str, &'static str);

const ORDER: &str = r#"{"customer_id":"ada","currency":"EUR","lines":[{"sku":"NONE","quantity":1,"unit_price":1}],"total":9}"#;
const ID: &str = "00000000000000000000000000";

/// Method, path and a body that is nearly right. None of them takes effect: nothing is stocked and nothing exists.
const CALLS: [Call; 14] = [
    ("POST", "/v1/orders", ORDER),
    ("POST", "/v1/orders", ORDER),
    ("POST", "/v1/reservations", r#"{"owner":"x","lines":[{"sku":"NONE","quantity":1}],"ttl_seconds":0}"#),
    ("POST", "/v1/reservations:batch", r#"{"items":[{"key":"","lines":[{"sku":"NONE","quantity":1}]}]}"#),
    ("PUT", "/v1/inventory/NONE/locations/berlin", r#"{"on_hand":-1,"safety_stock":1}"#),
    ("POST", "/v1/inventory/NONE/adjustments", r#"{"location":"berlin","bucket":"on_hand","delta":0,"reason":"x"}"#),
    ("PATCH", "/v1/inventory/NONE", r#"{"low_stock_threshold":1}"#),
    ("POST", "/v1/inventory/imports", r#"{"sku":"NO NE","location":"berlin","on_hand":1}"#),
    ("POST", "/v1/availability:query", r#"{"skus":["a b"]}"#),
    ("POST", "/v1/orders/ord_00000000000000000000000000/payments", r#"{"provider":"sandbox"}"#),
    ("POST", "/v1/orders/ord_00000000000000000000000000:cancel", r#"{"reason":"x"}"#),
    ("POST", "/v1/reservations/res_00000000000000000000000000:extend", r#"{"ttl_seconds":0}"#),
    ("POST", "/v1/webhooks/payments/sandbox", r#"{"id":"x","type":"payment.captured","attempt_id":"x"}"#),
    ("POST", "/sandbox/payments/pay_00000000000000000000000000-1/approve", ""),
];

const READS: [&str; 10] = [
    "/v1/orders/",
    "/v1/reservations/",
    "/v1/inventory/",
    "/v1/events?after=",
    "/v1/events?limit=",
    "/v1/inventory/NONE/movements?after=",
    "/problems/",
    "/sandbox/payments/",
    "/docs/",
    "/",
];

type Kind = fn(&mut Random) -> Vec<u8>;

const KINDS: [Kind; 18] = [
    broken_json,
    wrong_types,
    huge_numbers,
    deep_nesting,
    bad_utf8,
    wrong_content_type,
    bad_headers,
    bad_path,
    long_url,
    bad_query,
    strange_method,
    garbage,
    truncated,
    bad_chunks,
    lying_length,
    too_many_headers,
    bad_start_line,
    unknown_fields,
];

pub(crate) fn make(seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let kind = random.pick(&KINDS);
    kind(&mut random)
}

fn http(method: &str, path: &[u8], headers: &[u8], body: &[u8]) -> Vec<u8> {
    let mut request = [method.as_bytes(), b" ", path, b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", headers].concat();
    request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

fn headers_for(path: &str) -> &'static [u8] {
    match path {
        "/v1/inventory/imports" => b"Content-Type: application/x-ndjson\r\n",
        _ => b"Content-Type: application/json\r\nIdempotency-Key: same\r\nIf-Match: *\r\n",
    }
}

fn call(random: &mut Random, change: impl FnOnce(&mut Random, &str) -> Vec<u8>) -> Vec<u8> {
    let (method, path, body) = random.pick(&CALLS);
    let body = change(random, body);
    http(method, path.as_bytes(), headers_for(path), &body)
}

fn broken_json(random: &mut Random) -> Vec<u8> {
    call(random, |random, body| {
        let mut bytes = body.as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len() + 1);
            match random.below(3) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random.pick(b"{}[]\",:\\0-e\0\n")),
                _ => drop(bytes.drain(at..(at + 1).min(bytes.len()))),
            }
        }
        bytes
    })
}

fn wrong_types(random: &mut Random) -> Vec<u8> {
    const VALUES: [&str; 12] =
        ["null", "true", "[]", "{}", "\"\"", "1.5", "-1", "\"1\"", "[[]]", "{\"a\":1}", "\"\\u0000\"", "\"\\ud800\""];
    call(random, |random, body| {
        let starts: Vec<usize> = body.match_indices(':').map(|(at, _)| at + 1).collect();
        let start = if starts.is_empty() { 0 } else { random.pick(&starts) };
        let end = body[start..].find([',', '}', ']']).map_or(body.len(), |end| start + end);
        [&body[..start], random.pick(&VALUES), &body[end..]].concat().into_bytes()
    })
}

fn huge_numbers(random: &mut Random) -> Vec<u8> {
    const NUMBERS: [&str; 9] = [
        "18446744073709551616",
        "-9223372036854775809",
        "1e999",
        "-1e999",
        "9223372036854775807",
        "1e-400",
        "0.1",
        "4294967296",
        "-0",
    ];
    call(random, |random, body| {
        let number = match random.below(10) {
            0 => "9".repeat(random.below(5000) + 1),
            _ => random.pick(&NUMBERS).to_owned(),
        };
        body.replace(":1", &format!(":{number}")).replace(":0", &format!(":{number}")).into_bytes()
    })
}

fn deep_nesting(random: &mut Random) -> Vec<u8> {
    let depth = 1 << random.below(17);
    let (open, close) = random.pick(&[("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")]);
    let closed = if random.below(2) == 0 { depth } else { 0 };
    let nest = [open.repeat(depth), "1".to_owned(), close.repeat(closed)].concat();
    call(random, |random, body| match random.below(2) {
        0 => nest.into_bytes(),
        _ => body.replacen('{', &format!("{{\"metadata\":{nest},"), 1).into_bytes(),
    })
}

fn bad_utf8(random: &mut Random) -> Vec<u8> {
    const BAD: [&[u8]; 5] = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"];
    call(random, |random, body| {
        let at = random.below(body.len() + 1);
        [&body.as_bytes()[..at], random.pick(&BAD), &body.as_bytes()[at..]].concat()
    })
}

fn wrong_content_type(random: &mut Random) -> Vec<u8> {
    const TYPES: [&str; 7] =
        ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", "application/json;;;=", "*/*", "json"];
    let (method, path, body) = random.pick(&CALLS);
    let headers = format!("Content-Type: {}\r\nIdempotency-Key: same\r\nIf-Match: *\r\n", random.pick(&TYPES));
    http(method, path.as_bytes(), headers.as_bytes(), body.as_bytes())
}

fn bad_headers(random: &mut Random) -> Vec<u8> {
    const NAMES: [&str; 8] = [
        "Idempotency-Key",
        "If-Match",
        "X-Request-Id",
        "Authorization",
        "Last-Event-ID",
        "Accept",
        "Holdfast-Signature",
        "Expect",
    ];
    let (method, path, body) = random.pick(&CALLS);
    let mut headers = b"Content-Type: application/json\r\n".to_vec();
    for _ in 0..=random.below(4) {
        headers.extend_from_slice(random.pick(&NAMES).as_bytes());
        headers.extend_from_slice(b": ");
        let value = random.bytes(300);
        headers.extend(value.into_iter().map(|byte| if byte == b'\r' || byte == b'\n' { b'"' } else { byte }));
        headers.extend_from_slice(b"\r\n");
    }
    http(method, path.as_bytes(), &headers, body.as_bytes())
}

fn bad_path(random: &mut Random) -> Vec<u8> {
    const PARTS: [&str; 14] =
        ["%00", "%ff", "%", "%zz", "..", "//", "%2f", "%2e%2e", ":", "::cancel", "ord_", "res_", "{id}", "%f0%9f%92%a9"];
    let mut path = random.pick(&READS).as_bytes().to_vec();
    for _ in 0..=random.below(6) {
        match random.below(4) {
            0 => path.extend(random.bytes(12).into_iter().filter(|byte| !b" \r\n".contains(byte))),
            1 => path.extend_from_slice(ID.as_bytes()),
            _ => path.extend_from_slice(random.pick(&PARTS).as_bytes()),
        }
    }
    let method = random.pick(&["GET", "POST", "DELETE", "PUT", "PATCH"]);
    http(method, &path, headers_for(""), b"{}")
}

fn long_url(random: &mut Random) -> Vec<u8> {
    let path = [random.pick(&READS), &"x".repeat(1 << random.below(18))].concat();
    http("GET", path.as_bytes(), b"", b"")
}

fn bad_query(random: &mut Random) -> Vec<u8> {
    const QUERIES: [&str; 10] =
        ["limit=-1", "limit=1e9", "after=%ff", "after=1-", "&&&=", "limit=1&limit=2", "after[]=1", "x=1", "limit=", "%"];
    let path = random.pick(&["/v1/events", "/v1/events/stream", "/v1/inventory/NONE/movements"]);
    // One that the stream would take as good must not keep us waiting for events.
    let query = if path.ends_with("stream") { "after=x" } else { random.pick(&QUERIES) };
    http("GET", format!("{path}?{query}&{}", random.pick(&QUERIES)).as_bytes(), b"Last-Event-ID: x\r\n", b"")
}

fn strange_method(random: &mut Random) -> Vec<u8> {
    let method = random.pick(&["BREW", "TRACE", "CONNECT", "OPTIONS", "HEAD", "get", "P\u{d6}ST", "DELETE", "PROPFIND", "G E T"]);
    let (_, path, body) = random.pick(&CALLS);
    http(method, path.as_bytes(), headers_for(path), body.as_bytes())
}

fn garbage(random: &mut Random) -> Vec<u8> {
    let mut bytes = random.bytes(4000);
    match random.below(3) {
        0 => [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &bytes].concat(),
        1 => [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &bytes].concat(),
        _ => {
            bytes.extend_from_slice(b"\r\n\r\n");
            bytes
        }
    }
}

fn truncated(random: &mut Random) -> Vec<u8> {
    let mut whole = call(random, |_, body| body.as_bytes().to_vec());
    whole.truncate(random.below(whole.len()));
    whole
}

fn bad_chunks(random: &mut Random) -> Vec<u8> {
    const CHUNKS: [&str; 9] = [
        "zz\r\n{}\r\n",
        "FFFFFFFFFFFFFFFFF\r\n",
        "-1\r\n",
        "5\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}",
        "2;ext=\r\n{}\r\n0\r\n",
        "\r\n\r\n",
        "0\r\nTrailer: x\r\n",
        "7fffffffffffffff\r\n{",
    ];
    let (method, path, _) = random.pick(&CALLS);
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n");
    [head.as_bytes(), headers_for(path), b"\r\n", random.pick(&CHUNKS).as_bytes()].concat()
}

fn lying_length(random: &mut Random) -> Vec<u8> {
    const LENGTHS: [&str; 9] = [
        "Content-Length: -1",
        "Content-Length: 99999999999999999999",
        "Content-Length: x",
        "Content-Length: 5, 5",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Content-Length: 100000",
        "Content-Length:",
        "Transfer-Encoding: gzip, identity",
    ];
    let (method, path, body) = random.pick(&CALLS);
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", random.pick(&LENGTHS));
    [head.as_bytes(), headers_for(path), b"\r\n", body.as_bytes()].concat()
}

fn too_many_headers(random: &mut Random) -> Vec<u8> {
    let (count, size) = (random.below(300), 1 << random.below(11));
    let headers: String = (0..count).map(|index| format!("X-{index}: {}\r\n", "y".repeat(size))).collect();
    http("GET", b"/v1/limits", headers.as_bytes(), b"")
}

fn bad_start_line(random: &mut Random) -> Vec<u8> {
    const LINES: [&str; 12] = [
        "GET /livez HTTP/9.9",
        "GET /livez",
        "GET  /livez HTTP/1.1",
        "/livez",
        "GET livez HTTP/1.1",
        "GET /livez HTTP/1.1 x",
        "GET http:// HTTP/1.1",
        "GET * HTTP/1.1",
        "PRI * HTTP/2.0",
        "\0\0\0 / HTTP/1.1",
        "GET /livez http/1.1",
        "GET \t HTTP/1.1",
    ];
    let end = random.pick(&[
        "\r\nHost: localhost\r\n\r\n",
        "\n\n",
        "\r\n\r\n",
        "\r\nHost: localhost\r\nHost: y\r\n\r\n",
        "\r\n folded: x\r\n\r\n",
        "\r\n: x\r\n\r\n",
    ]);
    [random.pick(&LINES), end].concat().into_bytes()
}

fn unknown_fields(random: &mut Random) -> Vec<u8> {
    call(random, |random, body| body.replacen('{', &format!("{{\"x{}\":1,\"x1\":1,", random.below(9)), 1).into_bytes())
}
