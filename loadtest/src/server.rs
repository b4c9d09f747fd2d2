//! A server that is started for the run: the real binary, on a port and a directory of its own.
//!
//! Invariant: its process is gone when the value is dropped, and so is its data.

use crate::scenario::ServerSettings;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start with its recovery, and a stop, may take.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(120);

pub struct Server {
    binary: PathBuf,
    port: u16,
    variables: Vec<(String, String)>,
    sync_delay: Duration,
    dir: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts `binary`, that beside this program if left out, with data below `dir`.
    ///
    /// # Errors
    /// If there is no binary, or it does not come up; with what it printed.
    pub fn start(binary: Option<&Path>, dir: Option<&Path>, settings: &ServerSettings) -> Result<Self, String> {
        let binary = binary.map_or_else(beside, |path| Ok(path.to_owned()))?;
        let dir = dir.map_or_else(tempfile::tempdir, tempfile::tempdir_in).map_err(|error| format!("a directory: {error}"))?;
        let variables = settings.settings.iter().map(|(name, value)| (variable(name), plain(value))).collect();
        let sync_delay = Duration::from_millis(settings.sync_delay_ms);
        let mut server = Self { binary, port: free_port()?, variables, sync_delay, dir, child: None };
        server.restart()?;
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The last lines it printed.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Starts it on its data. Returns how long it took to take orders.
    ///
    /// # Errors
    /// If it does not.
    pub fn restart(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        let open = || OpenOptions::new().create(true).append(true).open(self.dir.path().join("log"));
        let (out, error) = (open().map_err(|error| error.to_string())?, open().map_err(|error| error.to_string())?);
        let mut command = self.command();
        command.args(["serve", "--no-demo", "--listen", &self.address(), "--data-dir"]).arg(self.data_dir());
        command.envs(self.variables.iter().cloned()).stdin(Stdio::null()).stdout(out).stderr(error);
        let spawned = command.spawn();
        self.child = Some(spawned.map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?);
        while !ready(&self.address()) {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || begun.elapsed() > START {
                return Err(format!("the server does not come up\n{}", self.said()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(begun.elapsed())
    }

    /// The server itself, or below a tracer that delays it and is not its parent: then the child is the server as well.
    fn command(&self) -> Command {
        if self.sync_delay.is_zero() {
            return Command::new(&self.binary);
        }
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]);
        command.arg(format!("inject=fdatasync:delay_enter={}", self.sync_delay.as_micros())).arg(&self.binary);
        command
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// If it does not end, or not well.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(child) = self.child.as_mut() else { return Ok(()) };
        let pid = Pid::from_child(child);
        kill_process(pid, Signal::TERM).map_err(|error| error.to_string())?;
        let begun = Instant::now();
        while begun.elapsed() < STOP {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                self.child = None;
                return if status.success() { Ok(()) } else { Err(format!("the server ended with {status}\n{}", self.said())) };
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("the server does not stop\n{}", self.said()))
    }

    /// `holdfast verify` on the data of a server that has stopped: whether all is well, and what it said.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn verify(&self) -> Result<(bool, String), String> {
        let output = Command::new(&self.binary).args(["verify", "--json", "--data-dir"]).arg(self.data_dir()).output();
        let output = output.map_err(|error| format!("holdfast verify: {error}"))?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }

    /// Its version, as it says it.
    pub fn version(&self) -> String {
        let output = Command::new(&self.binary).arg("--version").output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn variable(setting: &str) -> String {
    format!("HOLDFAST__{}", setting.replace('.', "__").to_uppercase())
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn beside() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let binary = own.with_file_name("holdfast");
    if binary.exists() {
        return Ok(binary);
    }
    Err(format!(
        "there is no {}: build it (cargo build --release), name it with --server, or name a running server with --url",
        binary.display()
    ))
}

pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

fn ready(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
