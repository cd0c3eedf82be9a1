//! Archives opened again: what is in them, what found no room, and that the same reports give the same bytes.

use super::made::{report, with_every_kind};
use super::{csv_text, rows};
use crate::export::archive::{Archive, Unfinished};
use coordinator::ReportInContext;
use protocol::Timestamp;
use protocol::task::{RunId, ScanId};
use std::io::{Read, Seek};
use std::time::Duration;
use zip::{DateTime, ZipArchive};

const ROOMY: u64 = 1 << 30;

fn reports() -> [ReportInContext; 2] {
    let mut older = report(Vec::new(), Vec::new());
    (older.report.run, older.report.baseline) = (RunId(6), None);
    older.report.made = older.report.made.minus(Duration::from_secs(86_400));
    [with_every_kind(), older]
}

fn archive(name: &str, reports: &[ReportInContext], room_bytes: u64) -> Archive {
    let empty = Unfinished::new(&name.into(), ScanId(1), room_bytes).unwrap();
    reports.iter().fold(empty, |archive, report| archive.with(report).unwrap()).finish().unwrap()
}

fn bytes(mut archive: Archive) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert_eq!(archive.file.stream_position().unwrap(), 0);
    archive.file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, archive.size_bytes);
    bytes
}

fn opened(archive: Archive) -> ZipArchive<std::io::Cursor<Vec<u8>>> {
    ZipArchive::new(std::io::Cursor::new(bytes(archive))).unwrap()
}

fn text(zip: &mut ZipArchive<std::io::Cursor<Vec<u8>>>, name: &str) -> String {
    let mut text = String::new();
    zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn every_report_is_there_as_it_is_exported_alone() {
    let reports = reports();
    let mut zip = opened(archive("Office", &reports, ROOMY));
    let names: Vec<String> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    insta::assert_snapshot!(names.join("\n"), @"
    office-scan1/report-7.json
    office-scan1/report-7.csv
    office-scan1/report-6.json
    office-scan1/report-6.csv
    office-scan1/index.csv
    ");
    assert_eq!(text(&mut zip, "office-scan1/report-7.csv"), csv_text(&reports[0]));
    let made = zip.by_name("office-scan1/report-6.json").unwrap().last_modified().unwrap();
    assert_eq!(made, DateTime::from_date_and_time(2023, 11, 13, 22, 13, 20).unwrap());
    insta::assert_snapshot!(text(&mut zip, "office-scan1/index.csv").replace("\r\n", "\n"), @r#"
    "report","made","baseline","status","score","band","change","exposure","coverage_percent","hosts_up","open_ports","new_up_hosts","new_down_hosts","added_ports","removed_ports","changed_ports","other_changes","not_counted","json","csv","accepted","lines_left_out","known_hosts"
    "7","2023-11-14T22:13:20.123Z","6","critical","95","Excellent","5","0","94.05","17","62","1","1","1","1","1","3","1","report-7.json","report-7.csv","1","2","17"
    "6","2023-11-13T22:13:20.123Z","","critical","95","Excellent","5","0","94.05","17","62","0","0","0","0","0","0","0","report-6.json","report-6.csv","0","0","17"
    "#);
}

#[test]
fn the_same_reports_give_the_same_bytes() {
    let make = || bytes(archive("Office", &reports(), ROOMY));
    assert_eq!(make(), make());
}

#[test]
fn what_finds_no_room_is_still_named() {
    let [newer, older] = reports();
    let size = csv_text(&newer).len() as u64;
    let mut zip = opened(archive("Office", &[newer.clone(), older.clone()], size));
    let index = rows(&text(&mut zip, "office-scan1/index.csv"));
    assert_eq!((zip.len(), index.len()), (1, 2));
    assert!(index.iter().all(|row| row["json"].is_empty() && row["csv"].is_empty()));
    // Once one did not fit, no older one is taken: what is there is the newest without a hole.
    let fitting = archive("Office", &[older.clone(), newer, older], size + 2_000);
    let index = rows(&text(&mut opened(fitting), "office-scan1/index.csv"));
    assert_eq!(index.iter().map(|row| row["json"].as_str()).collect::<Vec<_>>(), ["report-6.json", "", ""]);
}

#[test]
fn names_in_an_archive_are_of_our_making_and_times_never_fail() {
    let mut strange = with_every_kind();
    strange.report.made = Timestamp::from_millis(0);
    for name in ["../../etc", "=cmd*x.evil", "日本", "CON"] {
        let zip = opened(archive(name, &[strange.clone()], ROOMY));
        for file in zip.file_names() {
            let file = file.unwrap();
            let (folder, file) = file.split_once('/').unwrap();
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(folder.chars().all(is_plain) && folder.ends_with("scan1"), "{folder}");
            assert!(["index.csv", "report-7.json", "report-7.csv"].contains(&file), "{file}");
        }
    }
}
