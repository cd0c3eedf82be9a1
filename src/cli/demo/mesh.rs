//! The demo's mesh: one coordinator and two nodes as processes, told what to do the way a user would.

use super::plan::{Plan, Subnet};
use crate::cli::children::{Part, own_command};
use crate::cli::print::{self, Form};
use crate::cli::{reports, runs};
use crate::client::Client;
use anyhow::{Context, bail};
use protocol::Fingerprint;
use protocol::task::ScanId;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use web::api::invites::{Invite, NewInvite};
use web::api::nodes::{Decide, Node};
use web::api::reports::Report;
use web::api::runs::RunSummary;
use web::api::scans::{NewScan, Scan};

const ADMIN: &str = "admin";
const ONLINE: &str = "online";
/// How long a node may take to come online, and how often that is looked at.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);
const NODES: [&str; 2] = ["node-low", "node-high"];
const PASSWORD_CHARS: usize = 20;

/// The mesh as far as it is up.
pub(crate) struct Mesh {
    folder: PathBuf,
    subnet: Subnet,
    client: Option<Client>,
    coordinator: Option<Part>,
    nodes: Vec<Part>,
    dashboard: String,
    password: String,
    scan: Option<ScanId>,
}

impl Mesh {
    /// A mesh that is not started, with its data below `folder`.
    pub(crate) fn new(folder: &Path, subnet: Subnet) -> Self {
        Self {
            folder: folder.to_owned(),
            subnet,
            client: None,
            coordinator: None,
            nodes: Vec::new(),
            dashboard: String::new(),
            password: String::new(),
            scan: None,
        }
    }

    /// Sets up and starts the coordinator, lets both nodes in, and defines the scan.
    pub(crate) async fn start(&mut self, port: u16) -> anyhow::Result<()> {
        self.password = password()?;
        self.set_up(port).await?;
        self.start_coordinator().await?;
        for (name, ranges) in NODES.into_iter().zip(self.subnet.halves()) {
            self.add_node(name, ranges).await?;
        }
        self.define_scan().await
    }

    fn hub(&self) -> PathBuf {
        self.folder.join("coordinator")
    }

    /// The client of the running coordinator.
    pub(crate) fn client(&self) -> anyhow::Result<&Client> {
        self.client.as_ref().context("the demo's coordinator is not running")
    }

    async fn set_up(&self, port: u16) -> anyhow::Result<()> {
        let mut setup = own_command()?;
        setup.args(["setup", "--admin", ADMIN, "--password-stdin", "--mesh-listen", "127.0.0.1:0"]);
        setup.arg("--http").arg(format!("127.0.0.1:{port}")).arg("--dir").arg(self.hub());
        setup.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut setup = setup.spawn().context("starting the setup")?;
        let mut input = setup.stdin.take().context("reaching the setup")?;
        input.write_all(self.password.as_bytes()).await.context("telling the setup its password")?;
        drop(input);
        let ended = setup.wait_with_output().await.context("waiting for the setup")?;
        if !ended.status.success() {
            bail!("the setup failed: {}", String::from_utf8_lossy(&ended.stderr).trim());
        }
        Ok(())
    }

    async fn start_coordinator(&mut self) -> anyhow::Result<()> {
        let mut command = own_command()?;
        command.args(["coordinator", "run", "--dir"]).arg(self.hub());
        let mut coordinator = Part::start("coordinator", &self.folder, command)?;
        let line = coordinator.line_with("dashboard").await?;
        self.dashboard = line.split_whitespace().find(|word| word.starts_with("http")).unwrap_or_default().to_owned();
        coordinator.line_with("ready").await?;
        self.coordinator = Some(coordinator);
        self.client = Some(Client::of(&self.hub())?);
        print::note(&format!("the coordinator is up, with its dashboard at {}", self.dashboard));
        Ok(())
    }

    /// Starts a node with an invite, waits until it asks, lets it in, and waits until it is connected.
    async fn add_node(&mut self, name: &'static str, ranges: String) -> anyhow::Result<()> {
        let invite: Invite = self.client()?.post("/invites", &NewInvite::default()).await?;
        let mut command = own_command()?;
        command.args(["node", "run", "--label", name, "--listen", "127.0.0.1:0", "--join", &invite.invite]);
        command.arg("--dir").arg(self.folder.join(name));
        let mut node = Part::start(name, &self.folder, command)?;
        let said = node.line_with("this node is ").await?;
        let fingerprint = said.split("this node is ").nth(1).unwrap_or_default().trim().to_owned();
        node.line_with("waiting for approval").await?;
        let approve = Decide { label: name.to_owned(), ranges, ..Decide::default() };
        let approved: Node = self.client()?.post(&format!("/nodes/{fingerprint}/approve"), &approve).await?;
        node.line_with("connected to the coordinator").await?;
        self.nodes.push(node);
        self.until_online(&approved.fingerprint).await?;
        let ranges = approved.approval.map(|approval| approval.ranges.to_string()).unwrap_or_default();
        print::note(&format!("{name} ({}) is approved to scan {ranges}", approved.fingerprint));
        Ok(())
    }

    /// Waits until the coordinator counts the node as there; a run that is planned before does without it.
    async fn until_online(&self, fingerprint: &Fingerprint) -> anyhow::Result<()> {
        let client = self.client()?;
        let wait = async {
            loop {
                let nodes: Vec<Node> = client.get("/nodes").await?;
                if nodes.iter().any(|node| node.fingerprint == *fingerprint && node.status == ONLINE) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| {
            Err(anyhow::anyhow!("node {fingerprint} did not come online in {} s", PATIENCE.as_secs()))
        })
    }

    async fn define_scan(&mut self) -> anyhow::Result<()> {
        let wanted = NewScan {
            name: "demo".to_owned(),
            description: "Small services of the demo, on loopback".to_owned(),
            targets: self.subnet.cidr(),
            ports: Plan::ports(),
            args: "-sV".to_owned(),
            engine: "builtin".to_owned(),
            ..NewScan::default()
        };
        let scan: Scan = self.client()?.post("/scans", &wanted).await?;
        self.scan = Some(scan.id);
        Ok(())
    }

    /// Runs the scan to its end and gives the report.
    pub(crate) async fn scan(&self) -> anyhow::Result<Report> {
        let scan = self.scan.context("the demo's scan is not defined")?;
        let client = self.client()?;
        let run: RunSummary = client.post(&format!("/scans/{scan}/run"), &()).await?;
        let run = runs::watch(client, run.id, Form::Text).await?;
        runs::exit_of(&run.run)?;
        reports::of_run(client, run.run.id).await?.with_context(|| format!("run {} made no report", run.run.id))
    }

    /// How a person gets in.
    pub(crate) fn sign_in_words(&self) -> String {
        format!(
            "\nThe dashboard is at {}\n  user      {ADMIN}\n  password  {}\nCtrl-C ends the demo.",
            self.dashboard, self.password
        )
    }

    /// Ends when a part of the mesh does, which it should not.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        let [low, high] = self.nodes.as_mut_slice() else { return std::future::pending().await };
        let Some(coordinator) = self.coordinator.as_mut() else { return std::future::pending().await };
        tokio::select! {
            error = coordinator.ended() => error,
            error = low.ended() => error,
            error = high.ended() => error,
        }
    }

    /// Stops the nodes, then the coordinator.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for part in self.nodes.iter_mut().chain(self.coordinator.as_mut()) {
            outcome = outcome.and(part.stop().await);
        }
        outcome
    }
}

/// Twenty letters and digits, about 100 bits.
fn password() -> anyhow::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; PASSWORD_CHARS];
    getrandom::fill(&mut random).context("drawing a password")?;
    Ok(random.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32))).map(|letter| char::from(*letter)).collect())
}
