//! What it costs to look: a frame of an engine with many open holds, and somebody who watches the console.
//!
//! Counted is processor time, as the kernel accounts it to threads, so that other programs of the machine change nothing. One run makes
//! the holds, makes frames beside the quiet engine as the server does, and then starts the server on that data and lets some watch.

use actix_rt::System;
use clap::Parser;
use holdfast_actors::provider::{Answer, PaymentProvider};
use holdfast_actors::{Engine, Options, ReplyQueues, Unanswered};
use holdfast_benches::{place, sku, stock};
use holdfast_engine::command::Command;
use holdfast_engine::effect::ProviderCall;
use holdfast_engine::event::Kind;
use holdfast_engine::ids::Partitions;
use holdfast_engine::order::Outcome;
use holdfast_gateway::live::Framer;
use holdfast_storage::embedded::EmbeddedJournal;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Child, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// Processor time of a frame, and of a viewer of the console.
#[derive(Parser)]
#[command(
    after_help = "Example:\n  cargo build --release -p holdfast -p holdfast-benches && target/release/frame --holds 1000000"
)]
struct Args {
    /// Open holds, of one line each, over a hundredth as many SKUs.
    #[arg(long, default_value_t = 1_000_000)]
    holds: u64,
    /// Seconds that each part is looked at.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Who watch a page of the console at once, at most 32.
    #[arg(long, default_value_t = 20)]
    viewers: usize,
    /// Where the data is made. It goes away.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The server; left out, the `holdfast` beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
}

/// Requests in hand.
const TOGETHER: usize = 8192;
const PARTITIONS: u16 = 64;
/// How often the server probes its shards, and how many probes lie between two frames.
const PROBES: Duration = Duration::from_millis(100);
const FRAME: u32 = 10;
/// After a start the tables fill, and memory is taken ahead.
const SETTLES: Duration = Duration::from_secs(20);
const START: Duration = Duration::from_secs(300);
const PAGES: [&str; 2] = ["overview", "shards"];

/// Nobody pays here.
struct Silent;

impl PaymentProvider for Silent {
    fn call(&self, _: &ProviderCall) -> Pin<Box<dyn Future<Output = Answer>>> {
        Box::pin(async { Answer::Outcome(Outcome::Timeout) })
    }
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let dir = args.dir.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let data = dir.path().join("data");
    System::new().block_on(frames(&args, &data))?;
    PAGES.iter().try_for_each(|page| viewers(&args, &data, page))
}

async fn frames(args: &Args, data: &Path) -> Result<(), Failure> {
    let journal = Arc::new(EmbeddedJournal::open(data, partitions()?)?);
    let provider = Box::new(|| Rc::new(Silent) as Rc<dyn PaymentProvider>);
    let engine = Engine::start(journal, ReplyQueues::default(), provider, Options::default(), &mut |_, _| {})?;
    fill(&engine, args.holds).await?;
    actix_rt::time::sleep(SETTLES).await;
    let holds: usize = engine.handle.reports().await.iter().map(|report| report.holds).sum();
    let quiet = over(args.seconds, || Ok(())).await?;
    let (mut framer, mut probes, mut own) = (Framer::default(), 0_u32, Duration::ZERO);
    let watched = over(args.seconds, || {
        engine.handle.probe();
        probes += 1;
        if probes.is_multiple_of(FRAME) {
            let begun = thread_time()?;
            std::hint::black_box(framer.frame(&engine.handle));
            own += thread_time()?.saturating_sub(begun);
        }
        Ok(())
    });
    let watched = watched.await?;
    let frames = (probes / FRAME).max(1);
    println!("open holds                                {holds}");
    println!("made, each                                {:.3} ms", millis(own / frames));
    println!("with its probes and its shards, each      {:.3} ms", millis(watched.saturating_sub(quiet)) / f64::from(frames));
    assert!(engine.stop().await, "not everything is synced");
    Ok(())
}

fn partitions() -> Result<Partitions, Failure> {
    Partitions::new(PARTITIONS).ok_or_else(|| "1 to 4096 partitions".into())
}

async fn fill(engine: &Engine, holds: u64) -> Result<(), Failure> {
    let (skus, partitions) = ((holds / 100).max(1), partitions()?);
    all(engine, (0..skus).map(|n| stock(sku(n)))).await?;
    let on = |n: u64| [sku(n % skus)];
    all(engine, (0..holds).map(|n| place(Kind::Order, n, &on(n), partitions))).await?;
    Ok(())
}

/// Has all carried out, and waits for the answers.
async fn all(engine: &Engine, commands: impl Iterator<Item = Command>) -> Result<(), Unanswered> {
    let mut commands = commands.peekable();
    while commands.peek().is_some() {
        let sent: Vec<_> = commands.by_ref().take(TOGETHER).map(|command| engine.handle.execute(command)).collect();
        for answer in sent {
            answer.await?;
        }
    }
    Ok(())
}

/// Processor time of this process over so many seconds, in which `tick` is done as often as the server probes.
async fn over(seconds: u64, mut tick: impl FnMut() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let (begun, before) = (Instant::now(), processor_time("self")?);
    while begun.elapsed() < Duration::from_secs(seconds) {
        tick()?;
        actix_rt::time::sleep(PROBES).await;
    }
    Ok(processor_time("self")?.saturating_sub(before))
}

/// What the watching of one page costs the server.
fn viewers(args: &Args, data: &Path, page: &str) -> Result<(), Failure> {
    let server = Server::start(args, data)?;
    std::thread::sleep(SETTLES);
    let (unwatched, second) = (server.over(args.seconds)?, Duration::from_secs(args.seconds));
    let sockets: Result<Vec<_>, Failure> = (0..args.viewers).map(|_| server.watch(page)).collect();
    let watched = server.over(args.seconds)?;
    let frames: usize = sockets?.into_iter().map(|viewer| viewer.frames(&server)).sum();
    let each = watched.saturating_sub(unwatched).as_secs_f64() / args.viewers.max(1) as f64 / second.as_secs_f64();
    println!("server, nobody watches                    {:.3} ms a second", millis(unwatched) / second.as_secs_f64());
    println!("a viewer of {page:<9} (of {:>2})             {:.3} ms a second", args.viewers, each * 1000.0);
    println!(
        "frames that came to a viewer              {:.1} a second",
        frames as f64 / args.viewers.max(1) as f64 / second.as_secs_f64()
    );
    Ok(())
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(args: &Args, data: &Path) -> Result<Self, Failure> {
        let beside = || std::env::current_exe().map(|own| own.with_file_name("holdfast"));
        let binary = args.server.clone().map_or_else(beside, Ok)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = std::process::Command::new(&binary);
        command.args(["serve", "--no-demo", "--listen", &address, "--data-dir"]).arg(data);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut server = Self { child: child.map_err(|error| format!("{}: {error}", binary.display()))?, address };
        let begun = Instant::now();
        while !server.is_ready() {
            if server.child.try_wait()?.is_some() || begun.elapsed() > START {
                return Err("the server does not come up".into());
            }
            std::thread::sleep(PROBES);
        }
        Ok(server)
    }

    fn ask(&self, path: &str) -> std::io::Result<TcpStream> {
        let mut socket = TcpStream::connect(&self.address)?;
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address)?;
        Ok(socket)
    }

    fn is_ready(&self) -> bool {
        let mut head = [0; 12];
        self.ask("/readyz").and_then(|mut socket| socket.read_exact(&mut head)).is_ok() && head.ends_with(b" 200")
    }

    fn watch(&self, page: &str) -> Result<Viewer, Failure> {
        let mut socket = self.ask(&format!("/console/live?page={page}"))?;
        let mut head = [0; 12];
        socket.read_exact(&mut head)?;
        if !head.ends_with(b" 200") {
            return Err(format!("nobody may watch: {}", String::from_utf8_lossy(&head)).into());
        }
        Ok(Viewer::reading(socket))
    }

    fn over(&self, seconds: u64) -> Result<Duration, Failure> {
        let process = self.child.id().to_string();
        let before = processor_time(&process)?;
        std::thread::sleep(Duration::from_secs(seconds));
        Ok(processor_time(&process)?.saturating_sub(before))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone already, or goes now: the data is thrown away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who reads what comes, and counts the frames.
struct Viewer {
    socket: TcpStream,
    reads: std::thread::JoinHandle<usize>,
}

impl Viewer {
    fn reading(socket: TcpStream) -> Self {
        let mut from = socket.try_clone().unwrap_or_else(|error| panic!("a second handle of a socket: {error}"));
        let reads = std::thread::spawn(move || {
            let (mut frames, mut bytes) = (0, vec![0; 1 << 16]);
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                frames += bytes[..count].windows(12).filter(|window| *window == b"event: frame").count();
            }
            frames
        });
        Self { socket, reads }
    }

    fn frames(self, _server: &Server) -> usize {
        // The reader ends with it.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.reads.join().unwrap_or_default()
    }
}

/// Of all threads of a process that are there.
fn processor_time(process: &str) -> Result<Duration, Failure> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task"))?;
    let times = tasks.map(|task| Ok(had(&std::fs::read_to_string(task?.path().join("schedstat"))?)));
    times.sum()
}

fn thread_time() -> Result<Duration, Failure> {
    Ok(had(&std::fs::read_to_string("/proc/thread-self/schedstat")?))
}

fn had(schedstat: &str) -> Duration {
    Duration::from_nanos(schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
