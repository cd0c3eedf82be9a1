//! All reports of a network as one ZIP archive, newest first, spooled to a nameless temporary file.
//!
//! `NAME-scanID/index.csv` has a row per report; `NAME-scanID/report-RUN.json` and `report-RUN.csv` are the reports as they
//! are exported one by one. The same reports give the same bytes: times in the archive are those of the reports.
//! When the texts would grow over [`MAX_TEXT_BYTES`], the index still names every report, and those that found no room
//! have empty `json` and `csv` columns.
//!
//! | column of the index | what it holds |
//! |---|---|
//! | `report`, `made`, `baseline`, `status` | as in the table of one report |
//! | `score`, `band`, `change`, `exposure` | the score, its word, and what it lost for changes and for open ports |
//! | `coverage_percent` | share of the wanted addresses that were looked at |
//! | `hosts_up`, `open_ports` | what was found |
//! | `new_up_hosts`, `new_down_hosts`, `added_ports`, `removed_ports`, `changed_ports`, `other_changes` | how many changes of each kind |
//! | `not_counted` | how many lines that look like changes and count as none |
//! | `json`, `csv` | its files in the archive |
//! | `accepted` | how many of the changes were accepted as expected; status and score leave them out |
//! | `lines_left_out` | how many lines were more than a report holds |
//! | `known_hosts` | hosts known up when it was made |

use super::{blocking, csv, json, slug, written};
use crate::error::WebError;
use ::csv::Writer;
use coordinator::analysis::delta::ChangeKind;
use coordinator::analysis::score::Score;
use coordinator::report::Report;
use coordinator::{Actor, Coordinator, ReportInContext};
use protocol::Timestamp;
use protocol::task::ScanId;
use protocol::text::Text;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The most bytes of reports in one archive, before they are compressed.
const MAX_TEXT_BYTES: u64 = 2 << 30;

/// The headings of the index, in order. New ones come last.
pub(super) const COLUMNS: [&str; 23] = [
    "report",
    "made",
    "baseline",
    "status",
    "score",
    "band",
    "change",
    "exposure",
    "coverage_percent",
    "hosts_up",
    "open_ports",
    "new_up_hosts",
    "new_down_hosts",
    "added_ports",
    "removed_ports",
    "changed_ports",
    "other_changes",
    "not_counted",
    "json",
    "csv",
    "accepted",
    "lines_left_out",
    "known_hosts",
];

/// A finished archive, to be read from its start.
pub(super) struct Archive {
    /// `office-scan1`
    pub(super) name: String,
    pub(super) size_bytes: u64,
    pub(super) file: File,
}

/// Makes the archive of a network; one report at a time is in memory.
pub(super) async fn make(coordinator: &Coordinator, actor: &Actor, scan: ScanId) -> Result<Archive, WebError> {
    let network = coordinator.reports_of_network(actor, scan).await?;
    let mut archive = blocking(move || Unfinished::new(&network.name, scan, MAX_TEXT_BYTES)).await?;
    for run in network.reports {
        let report = coordinator.report_in_context(actor, run).await?;
        archive = blocking(move || archive.with(&report)).await?;
    }
    blocking(move || archive.finish()).await
}

/// An archive that takes reports.
pub(super) struct Unfinished {
    name: String,
    zip: ZipWriter<BufWriter<File>>,
    index: Writer<Vec<u8>>,
    /// Of the newest report.
    made: Option<Timestamp>,
    /// What is left for reports; `None` once one found too little.
    room_bytes: Option<u64>,
}

impl Unfinished {
    /// An empty archive with room for so many bytes of reports.
    pub(super) fn new(network: &Text, scan: ScanId, room_bytes: u64) -> io::Result<Self> {
        let name = format!("{}-scan{scan}", slug(network.as_str())).trim_start_matches('-').to_owned();
        let zip = ZipWriter::new(BufWriter::new(tempfile::tempfile()?));
        Ok(Self { name, zip, index: csv::table(Vec::new(), &COLUMNS)?, made: None, room_bytes: Some(room_bytes) })
    }

    /// Adds a report. The first one that finds no room, and all after it, are only named.
    pub(super) fn with(mut self, report: &ReportInContext) -> io::Result<Self> {
        self.made = self.made.max(Some(report.report.made));
        let files = match self.room_bytes {
            Some(room) => self.add_report(report, room)?,
            None => Default::default(),
        };
        csv::row(&mut self.index, summary(&report.report).into_iter().chain(files).chain(later(&report.report)))?;
        Ok(self)
    }

    /// Adds the files of a report if there is room for them, and gives their names.
    fn add_report(&mut self, report: &ReportInContext, room_bytes: u64) -> io::Result<[String; 2]> {
        let texts = [written(|out| json::write(report, out))?, written(|out| csv::write(report, out))?];
        let size_bytes = texts.iter().map(|text| text.len() as u64).sum();
        self.room_bytes = room_bytes.checked_sub(size_bytes);
        if self.room_bytes.is_none() {
            return Ok(Default::default());
        }
        let files = ["json", "csv"].map(|ending| format!("report-{}.{ending}", report.report.run));
        for (file, text) in files.iter().zip(&texts) {
            self.add(file, report.report.made, text)?;
        }
        Ok(files)
    }

    /// Writes the index and ends the archive.
    pub(super) fn finish(mut self) -> io::Result<Archive> {
        let index = std::mem::replace(&mut self.index, Writer::from_writer(Vec::new()));
        let index = index.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        self.add("index.csv", self.made.unwrap_or_default(), &index)?;
        let mut file = self.zip.finish()?.into_inner()?;
        let size_bytes = file.stream_position()?;
        file.rewind()?;
        Ok(Archive { name: self.name, size_bytes, file })
    }

    fn add(&mut self, file: &str, made: Timestamp, bytes: &[u8]) -> io::Result<()> {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        self.zip.start_file(format!("{}/{file}", self.name), options.last_modified_time(zip_time(made)))?;
        self.zip.write_all(bytes)
    }
}

fn summary(report: &Report) -> [String; 18] {
    let count = |kinds: &[ChangeKind]| kinds.iter().map(|kind| report.count(*kind)).sum::<usize>().to_string();
    let Score { value, change, exposure, parts: _ } = &report.score;
    [
        report.run.to_string(),
        report.made.to_string(),
        csv::word(report.baseline),
        csv::word(report.status),
        value.to_string(),
        report.score.band().name().to_owned(),
        change.to_string(),
        exposure.to_string(),
        csv::percent(report.coverage_hundredths),
        report.hosts_up.to_string(),
        report.open_ports.to_string(),
        count(&[ChangeKind::NewHost]),
        count(&[ChangeKind::RemovedHost]),
        count(&[ChangeKind::NewPort]),
        count(&[ChangeKind::ClosedPort]),
        count(&[ChangeKind::ServiceChange]),
        count(&[ChangeKind::OsChange, ChangeKind::NameChange, ChangeKind::MacChange]),
        report.notes.len().to_string(),
    ]
}

/// The columns of a report that came later than those for its files.
fn later(report: &Report) -> [String; 3] {
    let accepted: usize = report.accepted.iter().map(|accepted| accepted.lines.len()).sum();
    [accepted.to_string(), report.left_out.to_string(), report.known_hosts.to_string()]
}

/// In UTC, to two seconds; times that ZIP cannot hold become its first one.
fn zip_time(time: Timestamp) -> DateTime {
    let text = time.to_string();
    let mut numbers = text.split(['-', 'T', ':', '.']).map(|part| part.parse::<u16>().unwrap_or_default());
    let mut next = || numbers.next().unwrap_or_default();
    let year = next();
    let mut small = || u8::try_from(next()).unwrap_or_default();
    DateTime::from_date_and_time(year, small(), small(), small(), small(), small()).unwrap_or_default()
}
