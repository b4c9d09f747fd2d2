//! Chromium, driven over the W3C WebDriver protocol by chromedriver. What the protocol has no word for goes through its way to the
//! DevTools protocol: colour scheme, width, what was loaded.
//!
//! The clients of this protocol that are kept either bring a library under the MPL, which `deny.toml` does not allow, or a second HTTP
//! client. The few calls that the suite needs are here.
//!
//! Invariants: one browser runs at a time, as each takes a processor; it is gone with its driver and its profile when the value is dropped.

use holdfast_tests::brokers::skip;
use holdfast_tests::server::poll;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use ureq::Agent;

/// How long something may take that must happen. Long: only a failure takes it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The name of an element in answers of the protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub(crate) struct Browser {
    agent: Agent,
    /// Address of the session.
    session: String,
    driver: Child,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// A browser, or a loud word that there is none.
    pub(crate) fn start() -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let found = Command::new("chromedriver").arg("--version").output().is_ok_and(|output| output.status.success());
        let Some(chromium) = chromium().filter(|_| found) else {
            skip("the console in a browser", "chromium and chromedriver are not installed (Debian: chromium, chromium-driver)");
            return None;
        };
        let mut driver =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port =
            lines.find_map(|line| line.split("successfully on port ").nth(1).map(|port| port.trim_end_matches('.').to_owned()));
        // It must be able to write on.
        std::thread::spawn(move || lines.for_each(drop));
        let base = format!("http://127.0.0.1:{}", port.expect("chromedriver says its port"));
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(3 * PATIENCE));
        let (agent, profile) = (config.build().new_agent(), tempfile::tempdir().unwrap());
        let mut browser = Self { agent, session: base.clone(), driver, _profile: profile, _turn: turn };
        let capabilities = capabilities(&chromium, browser._profile.path());
        let session = browser.call("POST", "/session", Some(&capabilities));
        browser.session = format!("{base}/session/{}", session["sessionId"].as_str().unwrap());
        browser.call("POST", "/timeouts", Some(&json!({"script": 120_000})));
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.try_call(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Value> {
        let address = format!("{}{path}", self.session);
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = ureq::http::Request::builder().method(method).uri(address).header("content-type", "application/json");
        let mut answer = self.agent.run(request.body(body).unwrap()).unwrap();
        let text = answer.body_mut().with_config().limit(256 << 20).read_to_string().unwrap();
        let mut read: Value = serde_json::from_str(&text).unwrap();
        if answer.status().is_success() { Ok(read["value"].take()) } else { Err(read["value"].take()) }
    }

    pub(crate) fn open(&self, url: &str) {
        self.call("POST", "/url", Some(&json!({"url": url})));
    }

    pub(crate) fn url(&self) -> String {
        self.call("GET", "/url", None).as_str().unwrap().to_owned()
    }

    /// Runs a script in the page, and returns what it does.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", Some(&json!({"script": script, "args": []})))
    }

    /// Runs a script that hands its result to the function `done`.
    pub(crate) fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1]; {script}");
        self.call("POST", "/execute/async", Some(&json!({"script": script, "args": []})))
    }

    /// The text of what is found first.
    pub(crate) fn text(&self, selector: &str) -> Option<String> {
        let found = self.run(&format!("const e = document.querySelector({}); return e && e.textContent", json!(selector)));
        found.as_str().map(|text| text.trim().to_owned())
    }

    pub(crate) fn has(&self, selector: &str) -> bool {
        self.run(&format!("return document.querySelector({}) !== null", json!(selector))) == true
    }

    /// Waits until a script returns true.
    #[track_caller]
    pub(crate) fn until(&self, script: &str) {
        let script = format!("return {script}");
        let came = poll(PATIENCE, || {
            let answer = self.try_call("POST", "/execute/sync", Some(&json!({"script": script, "args": []})));
            (answer == Ok(Value::Bool(true))).then_some(())
        });
        assert!(came.is_some(), "never: {script}\nat {}:\n{}", self.url(), self.run("return document.body.innerText"));
    }

    /// Types into whatever has the focus.
    pub(crate) fn keys(&self, text: &str) {
        let strokes = text.chars().flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        let strokes: Vec<Value> = strokes.collect();
        self.call("POST", "/actions", Some(&json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})));
    }

    /// A word of the DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, params: &Value) -> Value {
        self.call("POST", "/goog/cdp/execute", Some(&json!({"cmd": command, "params": params})))
    }

    pub(crate) fn scheme(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    pub(crate) fn width(&self, width: u32) {
        let metrics = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// The whole page as a picture.
    pub(crate) fn picture(&self, path: &Path) {
        let size = self.devtools("Page.getLayoutMetrics", &json!({}))["cssContentSize"].clone();
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let taken = self.devtools("Page.captureScreenshot", &json!({"captureBeyondViewport": true, "clip": clip}));
        let bytes = data_encoding::BASE64.decode(taken["data"].as_str().unwrap().as_bytes()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// What the browser said of the pages since it was asked last: failures, reports of the policy, words of scripts.
    pub(crate) fn complaints(&self) -> Vec<Value> {
        self.log("browser")
    }

    /// The addresses it asked for since it was asked last.
    pub(crate) fn requests(&self) -> Vec<String> {
        let sent = |entry: &Value| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let sent = message["message"]["method"] == "Network.requestWillBeSent";
            sent.then(|| message["message"]["params"]["request"]["url"].as_str().map(str::to_owned))?
        };
        self.log("performance").iter().filter_map(sent).collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.call("POST", "/se/log", Some(&json!({"type": kind})));
        log.as_array().cloned().unwrap_or_default()
    }

    /// Clicks what is found first.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let found = self.call("POST", "/element", Some(&json!({"using": "css selector", "value": selector})));
        let element = found[ELEMENT].as_str().unwrap();
        self.call("POST", &format!("/element/{element}/click"), Some(&json!({})));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.try_call("DELETE", "", None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn chromium() -> Option<PathBuf> {
    let paths = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    paths.into_iter().map(PathBuf::from).find(|path| path.exists())
}

fn capabilities(chromium: &Path, profile: &Path) -> Value {
    let mut args = vec![
        "--headless=new".to_owned(),
        "--disable-gpu".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--no-first-run".to_owned(),
        "--hide-scrollbars".to_owned(),
        "--window-size=1280,900".to_owned(),
        format!("--user-data-dir={}", profile.display()),
    ];
    // Its sandbox needs a user of its own.
    if rustix::process::geteuid().is_root() {
        args.push("--no-sandbox".to_owned());
    }
    let chrome = json!({"binary": chromium, "args": args, "perfLoggingPrefs": {"enableNetwork": true}});
    let logs = json!({"browser": "ALL", "performance": "ALL"});
    json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome, "goog:loggingPrefs": logs}}})
}
