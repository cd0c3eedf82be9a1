//! A real browser, told what to do, whose console is read for errors. It reaches loopback and nothing else.

use super::{PATIENCE, Process};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, ChromiumLikeCapabilities};

/// Between two looks at a page that is about to change.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between two requests for a page that has no script to renew it. Longer than an answer to a click takes to come, since
/// what a page says once is lost to one who asks again too soon.
const ASK_AGAIN_EVERY: Duration = Duration::from_secs(3);

const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

/// Whether pages may run their script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    On,
    Off,
}

/// An open browser.
pub(crate) struct Browser {
    driver: WebDriver,
    script: Script,
    _process: Process,
    folder: TempDir,
}

/// True when the browser and its driver are installed.
fn is_installed() -> bool {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    runs("chromium") && runs("chromedriver")
}

impl Browser {
    /// Opens a browser; `None`, and a line that says so, where none is installed and tests may be skipped.
    pub(crate) async fn open(script: Script) -> Option<Self> {
        if !is_installed() {
            assert!(
                std::env::var_os("PORTDRIFT_NO_SKIP").is_none(),
                "chromium and chromedriver are needed; ./check installs them"
            );
            #[expect(clippy::print_stdout, reason = "./check counts this line")]
            {
                println!("skipped: a browser story, since chromium or chromedriver is not installed");
            }
            return None;
        }
        // The driver's client wants one for TLS, although it never speaks it. A second attempt finds the first one there.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        command.env_clear().env("HOME", folder.path()).env("PATH", std::env::var_os("PATH").unwrap());
        let process = Process::start(command.arg("--port=0"));
        let line = process.line("started successfully on port ");
        let port: String = line.split("on port ").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities(script, &folder)).await.unwrap();
        Some(Self { driver, script, _process: process, folder })
    }

    /// Goes to a page.
    pub(crate) async fn goto(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// The element at this XPath, as soon as it is there. Without script the page is asked for again until then.
    pub(crate) async fn find(&self, path: &str) -> WebElement {
        let deadline = Instant::now() + PATIENCE;
        let mut asked = Instant::now();
        loop {
            if let Ok(element) = self.driver.find(By::XPath(path)).await {
                return element;
            }
            assert!(
                Instant::now() < deadline,
                "{path} is not on {}:\n{}",
                self.url().await,
                self.driver.source().await.unwrap()
            );
            tokio::time::sleep(LOOK_EVERY).await;
            if self.script == Script::Off && asked.elapsed() >= ASK_AGAIN_EVERY {
                self.driver.refresh().await.unwrap();
                asked = Instant::now();
            }
        }
    }

    /// Clicks what stands at this XPath.
    pub(crate) async fn click(&self, path: &str) {
        self.find(path).await.click().await.unwrap();
    }

    /// Types into the field with this name, in place of what it held.
    pub(crate) async fn fill(&self, name: &str, text: &str) {
        let field = self.find(&format!("//*[@name='{name}']")).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    /// What a piece of script gives, run in the page; content policies do not hold for it.
    pub(crate) async fn value_of(&self, script: &str) -> serde_json::Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Sets the inner size of the window, in CSS pixels, and whether the system asks for dark colours.
    pub(crate) async fn look_like(&self, width: u32, is_dark: bool) {
        let device = serde_json::json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        let scheme = if is_dark { "dark" } else { "light" };
        // Without motion: half way from one scheme to the other, colours are those of neither.
        let still = serde_json::json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        let scheme = serde_json::json!({ "name": "prefers-color-scheme", "value": scheme });
        let features = serde_json::json!({ "features": [scheme, still] });
        self.driver.cdp().send_raw("Emulation.setDeviceMetricsOverride", device).await.unwrap();
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", features).await.unwrap();
    }

    /// Where the browser is.
    pub(crate) async fn url(&self) -> String {
        self.driver.current_url().await.unwrap().to_string()
    }

    /// Everything that pages have written to the console so far.
    pub(crate) fn console(&self) -> Vec<String> {
        let log: PathBuf = self.folder.path().join("profile/chrome_debug.log");
        let text = std::fs::read(log).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect()
    }

    /// Ends the browser in order.
    pub(crate) async fn close(self) {
        self.driver.quit().await.unwrap();
    }
}

fn capabilities(script: Script, folder: &TempDir) -> ChromeCapabilities {
    let mut wanted = DesiredCapabilities::chrome();
    for argument in ARGUMENTS {
        wanted.add_arg(argument).unwrap();
    }
    wanted.add_arg("--enable-logging").unwrap();
    wanted.add_arg(&format!("--user-data-dir={}", folder.path().join("profile").display())).unwrap();
    if script == Script::Off {
        let preferences = serde_json::json!({ "profile.managed_default_content_settings.javascript": 2 });
        wanted.add_experimental_option("prefs", preferences).unwrap();
    }
    wanted
}
