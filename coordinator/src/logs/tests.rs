//! Logs that are rotated while they are written and read.

use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const START: Timestamp = Timestamp::from_millis(1_767_225_000_000); // 2025-12-31T23:50:00Z

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(START) };
}

/// A log of this test's thread, whose clock the test sets.
fn log(folder: &Path, max_bytes: u64, keep_files: usize) -> RotatingLog {
    NOW.set(START);
    RotatingLog::new(folder, LogFile::App, LogLimits { max_bytes, keep_files, keep_days: 30 }).with_clock(|| NOW.get())
}

/// Writes `text` a millisecond later, with time and level in front.
fn write(log: &mut RotatingLog, level: &str, text: &str) {
    NOW.set(NOW.get().plus(Duration::from_millis(1)));
    log.write_all(format!("{} {level:>5} {text}\n", NOW.get()).as_bytes()).unwrap();
}

fn texts(page: &LogPage) -> Vec<&str> {
    page.lines.iter().map(|line| line.text.as_str()).collect()
}

fn query(from: LogFrom, limit: usize) -> LogQuery {
    LogQuery { from, limit, ..LogQuery::default() }
}

fn names(folder: &LogFolder) -> Vec<String> {
    folder.parts(LogFile::App).unwrap().into_iter().map(|part| part.name).collect()
}

#[test]
fn a_part_is_put_away_when_it_is_full_and_when_its_day_is_over() {
    let temporary = tempfile::tempdir().unwrap();
    let (path, folder) = (temporary.path().join("a/logs"), LogFolder::new(&temporary.path().join("a/logs")));
    assert_eq!(folder.read(&query(LogFrom::End, 9)).unwrap(), LogPage::default());
    let mut app = log(&path, 100, 9);
    ["one", "two", "three"].into_iter().for_each(|text| write(&mut app, "INFO", text));
    NOW.set(START.plus(Duration::from_secs(3600)));
    write(&mut app, "INFO", "next year");
    assert_eq!(names(&folder), ["app-2025-12-31-0001.log", "app-2025-12-31-0002.log", "app.log"]);
    assert_eq!(texts(&folder.read(&query(LogFrom::End, 9)).unwrap()), ["one", "two", "three", "next year"]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path.join("app.log")), mode(&path)), (0o640, 0o750));
}

#[test]
fn only_so_many_parts_and_so_many_days_are_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = LogFolder::new(temporary.path());
    let mut app = log(temporary.path(), 1, 3);
    (0..6).for_each(|number| write(&mut app, "INFO", &number.to_string()));
    assert_eq!(texts(&folder.read(&query(LogFrom::End, 9)).unwrap()), ["2", "3", "4", "5"]);
    NOW.set(START.plus(Duration::from_secs(40 * 24 * 3600)));
    write(&mut app, "INFO", "6");
    assert_eq!(texts(&folder.read(&query(LogFrom::End, 9)).unwrap()), ["6"]);
}

#[test]
fn an_event_is_one_clean_line_however_it_was_written() {
    let temporary = tempfile::tempdir().unwrap();
    let mut app = log(temporary.path(), 1 << 20, 3);
    write(&mut app, "WARN", "first\n2025-01-01T00:00:00Z ERROR forged \u{1b}[31m \u{202e}gnp\r\n");
    write(&mut app, "WARN", &"x".repeat(9_000));
    let page = LogFolder::new(temporary.path()).read(&query(LogFrom::End, 9)).unwrap();
    assert_eq!(page.lines.len(), 2);
    let forged = r"first\u{a}2025-01-01T00:00:00Z ERROR forged \u{1b}[31m \u{202e}gnp";
    assert_eq!((page.lines[0].level, page.lines[0].text.as_str()), (Some(LogLevel::Warn), forged));
    assert!(page.lines[1].text.as_str().ends_with('…'));
}

#[test]
fn lines_are_found_by_level_text_and_time() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, mut app) = (LogFolder::new(temporary.path()), log(temporary.path(), 90, 9));
    for (level, text) in [("INFO", "Node A"), ("WARN", "node b"), ("ERROR", "node c"), ("DEBUG", "scan")] {
        write(&mut app, level, text);
    }
    let at = |number: u64| Some(START.plus(Duration::from_millis(number)));
    let all = query(LogFrom::End, 9);
    let table = [
        (LogQuery { level: Some(LogLevel::Warn), ..all.clone() }, vec!["node b", "node c"]),
        (LogQuery { text: "NODE".into(), ..all.clone() }, vec!["Node A", "node b", "node c"]),
        (LogQuery { since: at(2), until: at(3), ..all.clone() }, vec!["node b", "node c"]),
        (LogQuery { text: "none".into(), ..all.clone() }, vec![]),
        (LogQuery { file: LogFile::Error, ..all }, vec![]),
    ];
    for (query, wanted) in table {
        assert_eq!(texts(&folder.read(&query).unwrap()), wanted, "{query:?}");
    }
}

#[test]
fn a_reader_follows_over_rotations_and_is_told_of_a_gap() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, mut app) = (LogFolder::new(temporary.path()), log(temporary.path(), 70, 2));
    write(&mut app, "INFO", "0");
    let mut place = folder.read(&query(LogFrom::End, 9)).unwrap().newer.unwrap();
    let mut seen = Vec::new();
    for number in 1..20 {
        write(&mut app, "INFO", &number.to_string());
        if number % 3 == 0 {
            let page = folder.read(&query(LogFrom::After(place), 9)).unwrap();
            assert!(!page.is_gap);
            seen.extend(texts(&page).iter().map(|text| text.parse::<u32>().unwrap()));
            place = page.newer.unwrap().to_string().parse().unwrap();
        }
    }
    assert_eq!(seen, (1..19).collect::<Vec<_>>());
    (20..40).for_each(|number| write(&mut app, "INFO", &number.to_string()));
    let page = folder.read(&query(LogFrom::After(place.clone()), 99)).unwrap();
    assert!(page.is_gap && texts(&page).last() == Some(&"39"), "{page:?}");
    assert!(folder.read(&query(LogFrom::Before(place), 9)).unwrap().is_gap);
}

#[test]
fn a_line_in_the_making_is_not_shown_before_it_is_whole() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = LogFolder::new(temporary.path());
    let path = temporary.path().join("app.log");
    std::fs::write(&path, "2025-12-31T23:50:00Z INFO a\n2025-12-31T23:50:01Z INFO b").unwrap();
    let page = folder.read(&query(LogFrom::End, 9)).unwrap();
    assert_eq!(texts(&page), ["a"]);
    std::fs::write(&path, "2025-12-31T23:50:00Z INFO a\n2025-12-31T23:50:01Z INFO bc\n").unwrap();
    let page = folder.read(&query(LogFrom::After(page.newer.unwrap()), 9)).unwrap();
    assert_eq!(texts(&page), ["bc"]);
}

#[test]
fn what_is_no_part_of_a_log_is_not_opened() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = LogFolder::new(temporary.path());
    for name in ["app.log", "app-2025-12-31-0001.log", "secret", "app-x.log"] {
        std::fs::write(temporary.path().join(name), "x").unwrap();
    }
    for (name, is_part) in [
        ("app.log", true),
        ("app-2025-12-31-0001.log", true),
        ("error.log", false),
        ("secret", false),
        ("app-x.log", false),
        ("app-2025-12-31-1.log", false),
        ("../logs/app.log", false),
        ("/etc/passwd", false),
        ("", false),
    ] {
        assert_eq!(folder.open(name).unwrap().is_some(), is_part, "{name}");
    }
}

#[test]
fn a_log_larger_than_one_look_is_read_in_several() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = LogFolder::new(temporary.path());
    let line = |number: usize| format!("2025-12-31T23:50:00Z  INFO {number} {}\n", "x".repeat(4_000));
    let lines: String = (0..3_000).map(line).collect();
    std::fs::write(temporary.path().join("app.log"), lines).unwrap();
    let needle = |from| LogQuery { text: "0 x".into(), ..query(from, usize::MAX) };
    let mut page = folder.read(&needle(LogFrom::End)).unwrap();
    let mut found = vec![page.lines.len()];
    while let Some(older) = page.older.clone() {
        page = folder.read(&needle(LogFrom::Before(older))).unwrap();
        found.push(page.lines.len());
    }
    assert_eq!((found.len(), found.iter().sum()), (2, 300));
}

proptest! {
    #[test]
    fn rotation_loses_and_doubles_no_line_and_keeps_its_limits(
        max_bytes in 40u64..400,
        keep_files in 1usize..6,
        steps in proptest::collection::vec((0u64..40_000_000, 0usize..120), 1..60),
        limit in 1usize..9,
    ) {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, mut app) = (LogFolder::new(temporary.path()), log(temporary.path(), max_bytes, keep_files));
        let mut written = Vec::new();
        for (number, (wait, length)) in steps.iter().enumerate() {
            NOW.set(NOW.get().plus(Duration::from_millis(*wait)));
            let text = format!("{number}:{}", "x".repeat(*length));
            write(&mut app, "INFO", &text);
            written.push(text);
        }
        let parts = folder.parts(LogFile::App).unwrap();
        prop_assert!(parts.len() <= keep_files + 1);
        for part in &parts {
            let text = std::fs::read_to_string(temporary.path().join(&part.name)).unwrap();
            let days: std::collections::BTreeSet<&str> = text.lines().map(|line| &line[..10]).collect();
            prop_assert!(part.bytes <= max_bytes || text.lines().count() == 1, "{part:?}");
            prop_assert_eq!(days.len(), 1);
            prop_assert!(part.name == "app.log" || part.name.contains(days.first().unwrap()));
        }
        // Read back from the end in small pages, it is the end of what was written, in order.
        let mut page = folder.read(&query(LogFrom::End, limit)).unwrap();
        let mut read: Vec<String> = texts(&page).into_iter().map(str::to_owned).collect();
        while let Some(older) = page.older.clone() {
            page = folder.read(&query(LogFrom::Before(older), limit)).unwrap();
            read.splice(0..0, texts(&page).into_iter().map(str::to_owned));
        }
        prop_assert!(!read.is_empty() && written.ends_with(&read));
        // And from the first line on, forward.
        if let Some(first) = folder.read(&query(LogFrom::End, usize::MAX)).unwrap().newer {
            let start = format!("{}~0", first.to_string().split('~').next().unwrap()).parse().unwrap();
            let tail = folder.read(&query(LogFrom::After(start), usize::MAX)).unwrap();
            let tail: Vec<String> = texts(&tail).into_iter().map(str::to_owned).collect();
            prop_assert!(read.ends_with(&tail) && !tail.is_empty());
        }
    }
}
