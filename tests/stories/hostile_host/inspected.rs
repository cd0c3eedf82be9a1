//! Looking at every page that links lead to, and at every file, for anything that a stranger's words brought about.

use crate::harness::{Browser, Mesh};
use crate::stories::accessibility::shape;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

/// More pages than there are.
const MOST_PAGES: usize = 250;

/// Says what is on the page that no page of ours has.
const INSPECT: &str = r#"
const faults = [];
const told = (element) => element.outerHTML.slice(0, 160);
const ours = (address) => address.startsWith(`${location.origin}/`) || location.protocol === 'data:' && address.startsWith('data:');
if (window.hacked !== undefined) faults.push('script ran');
for (const script of document.scripts) if (!ours(script.src)) faults.push(`script: ${told(script)}`);
for (const image of document.images) if (!ours(image.src)) faults.push(`img: ${told(image)}`);
const foreign = 'iframe, object, embed, base, style, video, audio, marquee, meta[http-equiv], svg[onload], [style]';
for (const element of document.querySelectorAll(foreign)) faults.push(`foreign: ${told(element)}`);
for (const link of document.links) if (link.origin !== location.origin) faults.push(`leads elsewhere: ${told(link)}`);
for (const element of document.querySelectorAll('*'))
  for (const { name } of element.attributes) if (name.startsWith('on')) faults.push(`handler: ${told(element)}`);
for (const row of document.querySelectorAll('table.rows tr'))
  if (row.cells.length !== row.closest('table').rows[0].cells.length) faults.push(`cells: ${told(row)}`);
for (const entry of performance.getEntriesByType('resource')) if (!ours(entry.name)) faults.push(`asked for ${entry.name}`);
if (/[\u0000-\u0008\u000b-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/.test(document.documentElement.outerHTML))
  faults.push('a hidden character');
// Letters from right to left have a box of their own: nothing beside them can change its place.
const isBox = (element) => {
  const { display, unicodeBidi } = getComputedStyle(element);
  return element instanceof SVGElement || display !== 'inline' || /isolate|plaintext/.test(unicodeBidi);
};
const boxes = new Map();
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const text = texts.currentNode.textContent.trim();
  let box = texts.currentNode.parentElement;
  while (!isBox(box)) box = box.parentElement;
  if (text) boxes.set(box, [...(boxes.get(box) ?? []), text]);
}
for (const parts of boxes.values())
  if (parts.length > 1 && parts.some((part) => /[\u0590-\u08ff]/.test(part))) faults.push(`beside: ${parts.join(' | ')}`);
return faults;
"#;
const LINKS: &str =
    "return [...document.querySelectorAll('a[href]:not([download], [href$=\".json\"])')].map((link) => link.href)";
const FILES: &str = "return [...document.querySelectorAll('a[download]')].map((link) => link.href)";

/// What the host said, asked for in every field that looks for something.
const REFLECTED: [&str; 8] = [
    "/alerts?text=",
    "/hosts?text=",
    "/hosts?service=",
    "/reports?name=",
    "/scans?text=",
    "/search?q=",
    "/services?service=",
    "/settings/audit?text=",
];
const ASKED: &str = "%22%3E%3Cscript%3Ehacked%3D1%3C%2Fscript%3E";

/// What is wrong with the page that is open.
pub(super) async fn inspect(browser: &Browser) -> Vec<String> {
    browser.find("//body").await;
    strings(browser, INSPECT).await
}

async fn strings(browser: &Browser, script: &str) -> Vec<String> {
    let found = browser.value_of(script).await;
    found.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// What came of looking at all pages.
pub(super) struct Walk {
    /// By page.
    pub(super) faults: BTreeMap<String, Vec<String>>,
    /// The kinds of pages that show words of the host.
    pub(super) quoting: BTreeSet<String>,
}

impl Walk {
    /// Opens every page that links lead to; of those that differ only in what is asked for, one.
    pub(super) async fn through(browser: &Browser, mesh: &Mesh) -> Self {
        let root = mesh.dashboard();
        let mut waiting: Vec<String> = REFLECTED.iter().map(|start| format!("{start}{ASKED}")).collect();
        waiting.extend(["/", "/services?port=8080", "/hosts?port=8080", "/alerts?state=all"].map(str::to_owned));
        let (mut seen, mut faults, mut quoting) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        while let Some(path) = waiting.pop() {
            if !seen.insert(kind(&path)) {
                continue;
            }
            assert!(seen.len() < MOST_PAGES, "{seen:#?}");
            browser.goto(&format!("{root}{path}")).await;
            browser.find("//h1").await;
            let found = inspect(browser).await;
            if !found.is_empty() {
                faults.insert(path.clone(), found);
            }
            if browser.value_of("return document.body.textContent.includes('hacked=1')").await == true {
                quoting.insert(shape(&path));
            }
            let links = strings(browser, LINKS).await;
            waiting.extend(links.iter().filter_map(|link| link.strip_prefix(root)).map(str::to_owned));
        }
        Self { faults, quoting }
    }
}

/// The page, and which of its fields are asked for.
fn kind(path: &str) -> String {
    let whole = path.split('#').next().unwrap();
    let (page, fields) = whole.split_once('?').unwrap_or((whole, ""));
    let names: BTreeSet<&str> = fields.split('&').map(|field| field.split('=').next().unwrap()).collect();
    format!("{page}?{}", names.into_iter().collect::<Vec<_>>().join("&"))
}

/// Takes every file along that pages of findings and records offer. Tables calculate nothing; documents that a browser
/// shows are opened in it.
pub(super) async fn open_exports(browser: &Browser, mesh: &Mesh) {
    let root = mesh.dashboard();
    let reports = mesh.json(&["reports", "list"]).as_array().unwrap().len();
    let mut pages: Vec<String> = (1..=reports).map(|report| format!("/reports/{report}")).collect();
    pages.extend(["/networks/1/history", "/settings/audit", "/settings/logs"].map(str::to_owned));
    let mut endings = BTreeSet::new();
    for page in pages {
        browser.goto(&format!("{root}{page}")).await;
        for address in strings(browser, FILES).await {
            let path = address.strip_prefix(root).unwrap();
            browser.goto(&format!("{root}{page}")).await;
            let file = browser.download(&format!("//a[@download and @href='{path}']")).await;
            for (name, text) in unpacked(file) {
                let ending = name.rsplit('.').next().unwrap().to_owned();
                assert!(!text.contains(is_hidden), "{name} of {page}: {text}");
                match ending.as_str() {
                    "csv" => calculates_nothing(&text),
                    "json" | "xml" => runs_nothing(browser, mesh, &ending, &text).await,
                    other => assert_eq!(other, "log"),
                }
                endings.insert(ending);
            }
        }
    }
    assert_eq!(endings, ["csv", "json", "log", "xml"].map(str::to_owned).into());
}

/// The files of an archive, or the file itself.
fn unpacked((name, content): (String, Vec<u8>)) -> Vec<(String, String)> {
    if !name.ends_with(".zip") {
        return vec![(name, String::from_utf8(content).unwrap())];
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(content)).unwrap();
    let each = (0..archive.len()).map(|place| {
        let file = archive.by_index(place).unwrap();
        (file.name().unwrap().into_owned(), std::io::read_to_string(file).unwrap())
    });
    each.collect()
}

fn is_hidden(character: char) -> bool {
    character.is_control() && !"\r\n\t".contains(character) || "\u{202a}\u{202e}\u{2066}".contains(character)
}

async fn runs_nothing(browser: &Browser, mesh: &Mesh, ending: &str, text: &str) {
    let file = mesh.home().join(format!("export.{ending}"));
    std::fs::write(&file, text).unwrap();
    browser.goto(&format!("file://{}", file.display())).await;
    assert_eq!(browser.value_of("return window.hacked === undefined").await, true, "{text}");
}

fn calculates_nothing(table: &str) {
    for row in csv::Reader::from_reader(table.as_bytes()).records() {
        for cell in &row.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
        }
    }
}
