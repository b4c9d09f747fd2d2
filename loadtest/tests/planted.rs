//! A slowness that was planted is seen by percentiles and comparison, and one that was not is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use holdfast_loadtest::buyer::Shop;
use holdfast_loadtest::diff::{Diff, Verdict, of_seconds};
use holdfast_loadtest::drive;
use holdfast_loadtest::http::Target;
use holdfast_loadtest::ledger::Ledger;
use holdfast_loadtest::pool::Pool;
use holdfast_loadtest::random::Random;
use holdfast_loadtest::record::Class;
use holdfast_loadtest::scenario::Scenario;
use holdfast_loadtest::summary::{BySecond, by_second};
use holdfast_loadtest::workload::Workload;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const P99: usize = 1;

fn verdicts(diff: &Diff) -> Vec<Verdict> {
    diff.ratios.iter().map(|ratio| ratio.verdict).collect()
}

/// A minute of a server whose commits take 1 to 2 ms, one of `slow` of them 2 ms more: drawn, not measured.
fn drawn(seed: u64, slow: u64) -> Vec<BySecond> {
    let mut random = Random::new(seed, 0);
    let second = |_| {
        let mut latency = BTreeMap::new();
        let machine = 0.9 + 0.2 * random.unit();
        for _ in 0..1000 {
            let own = (1000.0 + 400.0 * random.exponential()) * machine;
            let planted = if slow > 0 && random.below(slow) == 0 { 2000 } else { 0 };
            *latency.entry((own as u64 + planted) / 16 * 16).or_insert(0) += 1;
        }
        BySecond { due: 1000, done: [1000, 0, 0, 0], late: 0, latency: latency.into_iter().collect() }
    };
    (0..60).map(second).collect()
}

#[test]
fn two_runs_of_the_same_are_no_difference() {
    for seed in 0..5 {
        let diff = of_seconds(&[drawn(seed, 0)], &[drawn(seed + 100, 0)]).unwrap();
        assert_eq!(verdicts(&diff), [Verdict::NoDifference; 3], "seed {seed}: {}", diff.text());
    }
}

#[test]
fn two_milliseconds_in_one_commit_of_fifty_are_a_worse_p99_and_the_same_median() {
    let diff = of_seconds(&[drawn(1, 0)], &[drawn(2, 50)]).unwrap();
    assert_eq!(verdicts(&diff), [Verdict::NoDifference, Verdict::Worse, Verdict::NoDifference], "{}", diff.text());
    let back = of_seconds(&[drawn(2, 50)], &[drawn(1, 0)]).unwrap();
    assert_eq!(verdicts(&back)[P99], Verdict::Better);
}

#[test]
fn several_runs_that_differ_among_themselves_widen_the_interval() {
    let slower = |seconds: Vec<BySecond>| -> Vec<BySecond> {
        let slow = |second: BySecond| BySecond {
            latency: second.latency.iter().map(|(micros, count)| (micros * 5 / 4, *count)).collect(),
            ..second
        };
        seconds.into_iter().map(slow).collect()
    };
    let (alike, uneven) = ([drawn(1, 0), drawn(2, 0)], [drawn(3, 0), slower(drawn(4, 0))]);
    let one = of_seconds(&[drawn(1, 0)], &[slower(drawn(4, 0))]).unwrap();
    assert_eq!(verdicts(&one)[0], Verdict::Worse, "a pair of single runs does not know better");
    let both = of_seconds(&alike, &uneven).unwrap();
    assert_eq!(verdicts(&both)[0], Verdict::NoDifference, "{}", both.text());
}

/// Answers every order with 201 after a sleep; one of `slow` requests takes 2 ms more.
async fn server(slow: Option<u64>) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap()), None).unwrap();
    let count = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, count.clone(), slow));
        }
    });
    target
}

async fn answer(mut stream: TcpStream, count: Arc<AtomicU64>, slow: Option<u64>) {
    stream.set_nodelay(true).unwrap();
    let mut request = vec![0; 4096];
    // A request comes in one piece here: it is small.
    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let more = u64::from(slow.is_some_and(|slow| number.is_multiple_of(slow))) * 2;
        tokio::time::sleep(Duration::from_millis(5 + more)).await;
        let body = format!("{{\"id\":\"ord_{number}\",\"status\":\"awaiting_payment\"}}");
        let head = format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    }
}

async fn measured(target: Target, scenario: &Scenario) -> (Vec<BySecond>, f64) {
    let workload = Workload::new(scenario, "planted");
    let ledger = Ledger::new(workload.skus.len(), 1);
    let shop = Arc::new(Shop::new(Pool::new(target, 256), workload, ledger));
    drive::run(shop.clone(), scenario, Arc::default()).await.unwrap();
    let record = shop.record();
    let p99 = record.percentile(Class::Accepted, 99.0).unwrap();
    (by_second(&record), p99)
}

/// On a clock that goes on only when everybody waits: what the machine does meanwhile takes no time.
#[tokio::test(start_paused = true)]
async fn a_server_that_sleeps_in_one_commit_of_fifty_is_told_from_one_that_does_not() {
    let text = "name = \"planted\"\nabout = \"\"\nseconds = 30\n[load]\nshape = \"closed\"\nconnections = 2\n";
    let scenario = Scenario::parse(text).unwrap();
    let mut runs = Vec::new();
    for slow in [None, None, Some(50)] {
        runs.push(measured(server(slow).await, &scenario).await);
    }
    let [(one, one_p99), (same, _), (slow, slow_p99)] = <[_; 3]>::try_from(runs).unwrap();
    assert!((one_p99 - 5.0).abs() < 0.2 && (slow_p99 - 7.0).abs() < 0.2, "p99 {one_p99} ms, and {slow_p99} ms with the slowness");
    let one = [one];
    let (alike, planted) = (of_seconds(&one, &[same]).unwrap(), of_seconds(&one, &[slow]).unwrap());
    assert_eq!(verdicts(&alike), [Verdict::NoDifference; 3], "{}", alike.text());
    assert_eq!(verdicts(&planted)[..2], [Verdict::NoDifference, Verdict::Worse], "{}", planted.text());
}
