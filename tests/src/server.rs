//! The real binary as a child process: started on a port of its own, killed, told to stop, started again.
//!
//! It runs on whatever journal the environment names (`HOLDFAST__JOURNAL__BACKEND`, `HOLDFAST__SCYLLA__NODES`), with a keyspace
//! and a topic of its own. It knows processes and `/readyz`, nothing of orders. Invariants: a server keeps its port and its data directory over
//! restarts; its process is gone when the value is dropped, and so is a data directory that it made itself.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start, with its recovery, may take. Far more than it takes on a quiet machine, like all of these.
const START: Duration = Duration::from_secs(180);
/// How long a server that was told to stop may take: longer than any test lets it drain and publish.
pub const STOP: Duration = Duration::from_secs(300);

/// Names the journal.
const BACKEND: &str = "HOLDFAST__JOURNAL__BACKEND";

/// What to start, and how. Defaults: the binary of this build, new data that goes away, no demo SKUs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    binary: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    wrapper: Vec<OsString>,
    log: Option<PathBuf>,
    demo: bool,
}

impl Options {
    pub fn new() -> Self {
        Self::default()
    }

    /// Another binary than the one of this build.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// A directory that stays when the server is gone.
    #[must_use]
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// New data gets the demo SKUs.
    #[must_use]
    pub fn demo(mut self) -> Self {
        self.demo = true;
        self
    }

    /// One more argument of `holdfast serve`.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// A variable, for example `HOLDFAST__PAYMENTS__PIN_SECONDS`.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Its journal on the cluster at `nodes`, in a keyspace that another server may have too.
    #[must_use]
    pub fn on_cluster(self, nodes: &str, replication: usize, keyspace: &str) -> Self {
        self.env(BACKEND, "scylla")
            .env("HOLDFAST__SCYLLA__NODES", nodes)
            .env("HOLDFAST__SCYLLA__REPLICATION", replication.to_string())
            .env("HOLDFAST__SCYLLA__KEYSPACE", keyspace)
    }

    /// Where it prints: a file on another disk, or a pipe that somebody has open.
    #[must_use]
    pub fn log(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// A command that runs the server's command line as its own child.
    #[must_use]
    pub fn wrapper<T: Into<OsString>>(mut self, command: impl IntoIterator<Item = T>) -> Self {
        self.wrapper = command.into_iter().map(Into::into).collect();
        self
    }
}

/// A server of the test's own.
pub struct Server {
    options: Options,
    binary: PathBuf,
    port: u16,
    data_dir: PathBuf,
    /// Holds what server and logs are in, if it is ours.
    scratch: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts a server and waits until it takes orders.
    ///
    /// # Panics
    /// If it does not; with what it printed.
    pub fn start(options: Options) -> Self {
        let mut server = Self::prepare(options);
        server.restart();
        server
    }

    /// A server that is not started yet.
    ///
    /// # Panics
    /// If there is no binary, or no room for its files.
    pub fn prepare(options: Options) -> Self {
        let scratch = or_panic(tempfile::tempdir(), "a temporary directory");
        let data_dir = options.data_dir.clone().unwrap_or_else(|| scratch.path().join("data"));
        let binary = options.binary.clone().unwrap_or_else(binary);
        Self { options, binary, port: free_port(), data_dir, scratch, child: None }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Everything it printed, in all its lives.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.options.log.clone().unwrap_or_else(|| self.scratch.path().join("log"))
    }

    /// SIGKILL: what a power switch is to the process.
    ///
    /// # Panics
    /// If the process cannot be waited for.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may be gone already; waiting says what became of it.
            let _ = child.kill();
            or_panic(child.wait(), "waiting for a killed server");
        }
    }

    /// Kills it, to go on with another value of a variable when it is started again.
    ///
    /// # Panics
    /// If the process cannot be waited for.
    pub fn stop_with(&mut self, name: &str, value: &str) {
        self.kill();
        self.options.env.push((name.into(), value.into()));
    }

    /// SIGTERM without waiting.
    pub fn signal_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGINT without waiting.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// SIGSTOP: it keeps its connections and its memory, and does nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on after a pause, and may not know that there was one.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?)) {
            let _ = kill_process(pid, signal);
        }
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Panics
    /// If it does not end within [`STOP`].
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal_stop();
        let ended = self.wait_for_exit(STOP);
        ended.unwrap_or_else(|| panic!("the server did not stop on SIGTERM\n{}", self.log()))
    }

    /// Bytes of memory the process has touched.
    ///
    /// # Panics
    /// If it does not run.
    pub fn resident(&self) -> u64 {
        let Some(child) = &self.child else { panic!("the server does not run") };
        let status = or_panic(std::fs::read_to_string(format!("/proc/{}/status", child.id())), "the status of the server");
        let kib =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or_default() << 10
    }

    /// How many files the process has open, connections among them.
    ///
    /// # Panics
    /// If it does not run.
    pub fn open_files(&self) -> usize {
        self.descriptors().count()
    }

    /// Those of them that lie in a directory.
    ///
    /// # Panics
    /// If it does not run.
    pub fn open_files_in(&self, dir: &Path) -> usize {
        let dir = or_panic(dir.canonicalize(), "the directory");
        let open = self.descriptors().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        open.filter(|path| path.starts_with(&dir)).count()
    }

    fn descriptors(&self) -> std::fs::ReadDir {
        let Some(child) = &self.child else { panic!("the server does not run") };
        or_panic(std::fs::read_dir(format!("/proc/{}/fd", child.id())), "the files of the server")
    }

    /// How the process ended, or `None` if it runs on after `patience`. A server that ended can be started again.
    ///
    /// # Panics
    /// If the process cannot be waited for.
    pub fn wait_for_exit(&mut self, patience: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        let ended = poll(patience, || or_panic(child.try_wait(), "waiting for the server"));
        if ended.is_some() {
            self.child = None;
        }
        ended
    }

    /// Starts it again on the same port and data, whether it was killed, stopped or still runs. Returns how long it took
    /// to take orders.
    ///
    /// # Panics
    /// If it does not come up; with what it printed.
    pub fn restart(&mut self) -> Duration {
        let started = Instant::now();
        self.launch();
        if let Err(reason) = self.wait_until_ready(START) {
            panic!("{reason}\n{}", self.log());
        }
        started.elapsed()
    }

    /// Starts it again without waiting for it.
    ///
    /// # Panics
    /// If there is no such binary.
    pub fn launch(&mut self) {
        self.kill();
        let log = or_panic(OpenOptions::new().create(true).append(true).open(self.log_path()), "the log file");
        self.child = Some(or_panic(self.command(log).spawn(), "starting the server"));
    }

    fn command(&self, log: File) -> Command {
        let mut line = self.options.wrapper.clone();
        line.extend([self.binary.clone().into(), "serve".into(), if self.options.demo { "--demo" } else { "--no-demo" }.into()]);
        line.extend(["--listen".into(), self.address().into(), "--data-dir".into(), self.data_dir.clone().into()]);
        line.extend(self.options.args.iter().cloned());
        let mut command = Command::new(&line[0]);
        // Many run beside each other: none takes memory that it may never need, unless it is told to.
        command.env("HOLDFAST__ENGINE__MEMORY_AHEAD_MB", "0");
        command.args(&line[1..]).envs(self.own_names()).envs(self.options.env.iter().cloned()).stdin(Stdio::null());
        let errors = or_panic(log.try_clone(), "the log file");
        command.stdout(log).stderr(errors);
        command
    }

    /// Arguments that name its data to other commands: none on a cluster, where the environment does.
    pub fn data_args(&self) -> Vec<OsString> {
        if on_cluster() || self.options.env.iter().any(|(name, value)| name == BACKEND && value == "scylla") {
            Vec::new()
        } else {
            vec!["--data-dir".into(), self.data_dir.clone().into()]
        }
    }

    /// What is this server's alone where servers share a cluster, or brokers. Follows from the data directory: a server that is started
    /// again finds its data again.
    pub fn own_names(&self) -> Vec<(String, String)> {
        let name = xxhash_rust::xxh3::xxh3_64(self.data_dir.as_os_str().as_encoded_bytes());
        let names = ["HOLDFAST__SCYLLA__KEYSPACE", "HOLDFAST__KAFKA__TOPIC_PREFIX"];
        names.map(|variable| (variable.to_owned(), format!("hf_{name:016x}"))).into()
    }

    /// Waits until `/readyz` says 200.
    ///
    /// # Errors
    /// Says whether it ended before, or still is not ready.
    pub fn wait_until_ready(&mut self, patience: Duration) -> Result<(), String> {
        let address = self.address();
        let Some(child) = self.child.as_mut() else { return Err("the server is not started".to_owned()) };
        let looked = poll(patience, || match child.try_wait() {
            Ok(Some(status)) => Some(Err(format!("the server ended before it was ready: {status}"))),
            Ok(None) if ready(&address) => Some(Ok(())),
            Ok(None) => None,
            Err(error) => Some(Err(error.to_string())),
        });
        looked.unwrap_or_else(|| Err(format!("the server is not ready after {patience:?}")))
    }

    /// Runs another command of the binary, with the variables of this server, and returns its exit status and standard output.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn run(&self, args: &[&str]) -> (ExitStatus, String) {
        let output = or_panic(self.other(args).output(), "running the binary");
        (output.status, String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Another command, in the environment of the server.
    fn other(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(args).envs(self.own_names()).envs(self.options.env.iter().cloned());
        command
    }

    /// `holdfast verify --json` on the data of a server that does not run: whether every invariant holds, and what it said.
    ///
    /// # Panics
    /// If it cannot be run.
    pub fn verify(&self) -> (bool, String) {
        let output = or_panic(self.other(&["verify", "--json"]).args(self.data_args()).output(), "running the binary");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A copy of the data of a server that does not run.
///
/// # Panics
/// If it cannot be made.
pub fn copy_data(from: &Path, to: &Path) {
    or_panic(std::fs::create_dir_all(to), "a directory for a copy");
    for entry in or_panic(std::fs::read_dir(from), "the data of a server") {
        let entry = or_panic(entry, "the data of a server");
        let copy = to.join(entry.file_name());
        if or_panic(entry.file_type(), "the data of a server").is_dir() {
            copy_data(&entry.path(), &copy)
        } else {
            or_panic(std::fs::copy(entry.path(), copy), "the data of a server");
        }
    }
}

/// Partitions of the servers, if the environment says nothing else.
///
/// # Panics
/// If it says what is no number.
pub fn partitions() -> usize {
    let told = std::env::var("HOLDFAST__DATA__PARTITIONS").ok();
    told.map_or(64, |text| text.parse().unwrap_or_else(|error| panic!("HOLDFAST__DATA__PARTITIONS: {error}")))
}

/// Whether the servers keep their journal on a cluster.
pub fn on_cluster() -> bool {
    std::env::var(BACKEND).is_ok_and(|backend| backend == "scylla")
}

/// Asks until there is an answer or `patience` is over: the one place where tests wait.
pub fn poll<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `GET /readyz` by hand, so that this module needs no HTTP client.
fn ready(address: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

/// A port below those the system gives to clients, so that none of them takes it while the server is down.
fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    let free = (0..COUNT).find_map(|_| {
        let offset = NEXT.fetch_add(7, Ordering::Relaxed).wrapping_add(start);
        let port = FIRST + offset % COUNT;
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(port)
    });
    free.unwrap_or_else(|| panic!("no port is free"))
}

/// The server of this build: beside the running test executable, built if it is not there.
///
/// # Panics
/// If it cannot be built.
pub fn binary() -> PathBuf {
    static BUILT: OnceLock<Mutex<()>> = OnceLock::new();
    let _one = BUILT.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let own = or_panic(std::env::current_exe(), "the path of this executable");
    // target/debug/deps/suite-… or target/debug/torture.
    let named = |dir: &Path| dir.file_name().is_some_and(|name| name == "debug" || name == "release");
    let Some(profile) = own.ancestors().find(|dir| named(dir)) else { panic!("{} is in no target directory", own.display()) };
    let binary = profile.join("holdfast");
    if !binary.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let release = profile.ends_with("release").then_some("--release");
        let built = Command::new(cargo).args(["build", "-p", "holdfast"]).args(release).status();
        assert!(or_panic(built, "cargo").success(), "holdfast does not build");
    }
    binary
}

fn or_panic<T>(result: io::Result<T>, what: &str) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}
