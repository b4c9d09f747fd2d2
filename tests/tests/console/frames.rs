//! Frames: at most so many look, and however long one looks the page does not grow.

use crate::browser::Browser;
use crate::site::Site;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// As the server allows.
const MOST_VIEWERS: usize = 32;
/// Hours of looking.
const FRAMES: u32 = 10_000;

/// A stream whose head was read.
fn look(site: &Site) -> (TcpStream, String) {
    let mut socket = TcpStream::connect(site.server.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(socket, "GET /console/live?page=shards HTTP/1.1\r\nHost: {}\r\n\r\n", site.server.address()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (socket, String::from_utf8(head).unwrap())
}

/// The next frame of a stream, as it is on the wire.
fn frame(socket: &mut TcpStream) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while !(text.contains("event: frame") && text.contains("\n\n")) {
        let read = socket.read(&mut piece).unwrap();
        assert!(read > 0, "the stream ended: {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    text
}

#[test]
fn thirty_two_look_at_once_and_one_more_does_once_another_has_gone() {
    let site = Site::stocked();
    let mut streams: Vec<TcpStream> = (0..MOST_VIEWERS)
        .map(|_| {
            let (socket, head) = look(&site);
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            socket
        })
        .collect();
    let (_, head) = look(&site);
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    let mut frames = streams.iter_mut().take(3).map(frame);
    assert!(frames.all(|frame| frame.contains("data-live") && frame.contains("id=\"shards\"")));
    streams.pop();
    let entered =
        holdfast_tests::server::poll(Duration::from_secs(60), || look(&site).1.starts_with("HTTP/1.1 200").then_some(()));
    assert!(entered.is_some(), "nobody takes the place of who has gone");
    assert_eq!(site.get("/console/live?page=nonsense", &[]).code(), "invalid_request");
}

/// In place of the browser's own source of events, one whose frames the test sends.
const FAKE: &str = "window.EventSource = class { static CLOSED = 2; constructor() { window.fake = this } \
                    addEventListener(name, heard) { this.heard = heard } close() {} };";

fn frames_of(number: u32) -> String {
    format!(
        "const [first, second] = [document.body.innerHTML, document.body.innerHTML.replaceAll(/>\\d+</g, '>123<')]; \
         for (let n = 0; n < {number}; n++) window.fake.heard({{data: n % 2 ? first : second}});"
    )
}

fn size(browser: &Browser) -> (u64, u64) {
    browser.devtools("HeapProfiler.collectGarbage", &json!({}));
    let nodes = browser.devtools("Memory.getDOMCounters", &json!({}));
    let heap = browser.devtools("Runtime.getHeapUsage", &json!({}));
    let number = |value: &Value| value.as_f64().unwrap() as u64;
    (number(&nodes["nodes"]), number(&heap["usedSize"]))
}

#[test]
fn ten_thousand_frames_leave_the_page_as_large_as_it_was() {
    let Some(browser) = Browser::start() else { return };
    let site = Site::stocked();
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &json!({"source": FAKE}));
    for path in ["/console", "/console/shards"] {
        browser.open(&format!("{}{path}", site.server.url()));
        // Code that was not run yet is no growth.
        browser.run(&frames_of(200));
        let (nodes, heap) = size(&browser);
        browser.run(&frames_of(FRAMES));
        let (nodes_after, heap_after) = size(&browser);
        assert!(browser.text("tbody td.n").is_some_and(|text| !text.is_empty()), "the frames were shown");
        assert!(nodes_after <= nodes + 50, "{path}: {nodes} nodes became {nodes_after}");
        assert!(heap_after <= heap + (512 << 10), "{path}: {heap} bytes became {heap_after}");
    }
}
