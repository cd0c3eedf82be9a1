//! A signed-in client that follows links as a person could, and takes the time of each answer.

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE};
use reqwest::{Client, Response, StatusCode, redirect};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::future::Future;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Pages of one kind, which differ in numbers only, that are asked for.
const OF_A_KIND: usize = 2;
/// The most pages that are looked at for links.
const MOST_PAGES: usize = 250;

/// Pages to which a form leads and no link: searches, and lists of what is rare or not there.
const TYPED: [&str; 9] = [
    "/alerts?text=10.0.7.9&sort=address",
    "/hosts?alerts=active&port=3389",
    "/hosts?service=99.1",
    "/hosts?text=host-7-9",
    "/search?q=10.0.1.9",
    "/search?q=nginx",
    "/search?q=no-such-thing",
    "/search?q=port%3A3389",
    "/services?service=mysql",
];

/// What the API says of a run.
#[derive(Deserialize)]
struct Seen {
    id: u64,
    state: String,
}

/// What it says of an import.
#[derive(Deserialize)]
struct Taken {
    run: Seen,
}

/// What one page took.
pub(crate) struct Visited {
    pub(crate) path: String,
    pub(crate) bytes: usize,
    /// Of each answer, in milliseconds.
    pub(crate) times: Vec<f64>,
}

impl Visited {
    pub(crate) fn median(&self) -> f64 {
        middle(self.times.clone(), 50)
    }

    /// Its address without a query and numbers.
    pub(crate) fn place(&self) -> String {
        kind_of(&self.path).split('?').next().unwrap_or_default().to_owned()
    }
}

fn middle(mut times: Vec<f64>, percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(place).copied().unwrap_or_default()
}

/// So many of a hundred answers, over all pages, came within this time, in milliseconds.
pub(crate) fn percentile(pages: &[Visited], percent: usize) -> f64 {
    middle(pages.iter().flat_map(|page| page.times.iter().copied()).collect(), percent)
}

/// A client with a session.
pub(crate) struct Browser {
    client: Client,
    base: String,
    cookie: String,
}

impl Browser {
    pub(crate) async fn sign_in(base: &str, name: &str, password: &str) -> Outcome<Self> {
        // The client wants one for TLS, although it never speaks it. A second attempt finds the first one there.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(redirect::Policy::none()).build()?;
        let mut browser = Self { client, base: base.to_owned(), cookie: String::new() };
        let form = format!("name={name}&password={}", password.replace(' ', "+"));
        let url = format!("{base}/auth/login");
        let request = browser.client.post(url).header(ORIGIN, base);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await?;
        let cookie = answer.headers().get(SET_COOKIE).ok_or("no session was given")?.to_str()?;
        browser.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(browser)
    }

    async fn get(&self, path: &str) -> Outcome<Response> {
        Ok(self.asked(path).await?.0)
    }

    /// The answer, and when it was asked for: who asks too fast waits as long as it is told, and asks again.
    async fn asked(&self, path: &str) -> Outcome<(Response, Instant)> {
        loop {
            let began = Instant::now();
            let answer = self.client.get(format!("{}{path}", self.base)).header(COOKIE, &self.cookie).send().await?;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok((answer, began));
            }
            let wait = answer.headers().get(RETRY_AFTER).ok_or("too fast, for nobody knows how long")?;
            tokio::time::sleep(Duration::from_secs(wait.to_str()?.parse()?)).await;
        }
    }

    /// Follows links from the first page on, and from what was typed. Gives a few pages of each kind; `latest` is the
    /// latest run.
    pub(crate) async fn explore(&self, latest: u32) -> Outcome<Vec<String>> {
        let mut open: VecDeque<String> = TYPED.into_iter().chain(["/"]).map(str::to_owned).collect();
        open.push_front(format!("/compare?network=1&from=1&to={latest}"));
        let typed: BTreeSet<String> = open.iter().cloned().collect();
        let mut seen = BTreeSet::new();
        let (mut kinds, mut pages) = (BTreeMap::<String, usize>::new(), Vec::new());
        while let Some(path) = open.pop_front().filter(|_| seen.len() < MOST_PAGES) {
            let of_kind = kinds.entry(kind_of(&path)).or_default();
            if (*of_kind >= OF_A_KIND && !typed.contains(&path)) || !seen.insert(path.clone()) {
                continue;
            }
            *of_kind += usize::from(!typed.contains(&path));
            let answer = self.get(&path).await?;
            if answer.status().is_redirection() {
                let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
                open.push_back(to.to_owned());
                continue;
            }
            if !answer.status().is_success() {
                return Err(format!("{path}: {}", answer.status()).into());
            }
            let is_page = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/html; charset=utf-8");
            let html = answer.text().await?;
            if is_page {
                open.extend(links(&html));
                pages.push(path);
            }
        }
        pages.sort();
        Ok(pages)
    }

    /// Asks for each page once, the least asked first, noting the time until its last byte.
    async fn round(&self, pages: &mut [Visited]) -> Outcome<()> {
        pages.sort_by_key(|page| page.times.len());
        for page in pages {
            let (answer, began) = self.asked(&page.path).await?;
            if !answer.status().is_success() {
                return Err(format!("{}: {}", page.path, answer.status()).into());
            }
            page.bytes = answer.bytes().await?.len();
            page.times.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        Ok(())
    }

    /// Asks for all pages until an answer fails.
    async fn go_on(&self, pages: &mut [Visited]) -> Outcome<()> {
        loop {
            self.round(pages).await?;
        }
    }

    /// Asks for all pages so many times.
    pub(crate) async fn time(&self, pages: &[String], rounds: usize) -> Outcome<Vec<Visited>> {
        let mut visited = unvisited(pages);
        for _ in 0..rounds {
            self.round(&mut visited).await?;
        }
        Ok(visited)
    }

    /// Asks for all pages again and again until `work` is done and its run has ended.
    pub(crate) async fn time_until(
        &self,
        visited: &mut [Visited],
        work: impl Future<Output = Outcome<u64>>,
        patience: Duration,
    ) -> Outcome<()> {
        let done = async {
            let run = work.await?;
            let began = Instant::now();
            while began.elapsed() < patience {
                let Seen { state, .. } = self.get(&format!("/api/v1/runs/{run}")).await?.json().await?;
                if !["queued", "running", "closing"].contains(&state.as_str()) {
                    return Ok::<(), Box<dyn Error>>(());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err("the run did not end".into())
        };
        tokio::select! {
            done = done => done,
            failed = self.go_on(visited) => failed,
        }
    }

    /// Brings a document as a run of a scan.
    pub(crate) async fn import(&self, scan: u64, document: String) -> Outcome<u64> {
        let url = format!("{}/api/v1/scans/{scan}/import?authoritative=true", self.base);
        let request = self.client.post(url).header(COOKIE, &self.cookie).header(ORIGIN, &self.base);
        let answer = request.body(document).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        let taken = serde_json::from_str::<Taken>(&body).ok();
        taken.map(|taken| taken.run.id).ok_or_else(|| format!("the import was refused: {status} {body}").into())
    }
}

pub(crate) fn unvisited(pages: &[String]) -> Vec<Visited> {
    pages.iter().map(|path| Visited { path: path.clone(), bytes: 0, times: Vec::new() }).collect()
}

/// Where a page leads, within the dashboard.
fn links(html: &str) -> impl Iterator<Item = String> + '_ {
    let targets = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let pages =
        targets.filter(|path| path.starts_with('/') && !path.starts_with("/assets") && !path.starts_with("/api"));
    pages.map(|path| path.split('#').next().unwrap_or_default().replace("&#38;", "&").replace("&amp;", "&"))
}

/// The path without what differs between pages of a kind.
fn kind_of(path: &str) -> String {
    let (place, query) = path.split_once('?').unwrap_or((path, ""));
    let part = |part: &str| match part.bytes().any(|byte| byte.is_ascii_digit()) {
        true => "N".to_owned(),
        false => part.to_owned(),
    };
    let places: Vec<String> = place.split('/').map(part).collect();
    let names: BTreeSet<&str> = query.split('&').filter_map(|field| field.split('=').next()).collect();
    format!("{}?{}", places.join("/"), names.into_iter().collect::<Vec<_>>().join("&"))
}
