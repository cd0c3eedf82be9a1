//! A person defines, changes and switches scans by hand, and what the scheduler holds outlives a crash.

use crate::harness::Mesh;
use serde_json::{Value, json};

/// Scan, when it is due, and whether the scheduler will wake for it then.
fn held(mesh: &Mesh) -> Vec<(Value, Value, Value)> {
    let jobs = mesh.json(&["jobs", "list"]);
    let row = |job: &Value| (job["scan"].clone(), job["due"].clone(), job["agrees"].clone());
    jobs.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn an_edit_changes_what_is_said_and_the_schedule_survives_a_crash() {
    let mut mesh = Mesh::start();
    let made = mesh.json(&["scans", "create", "office", "--targets", "127.0.10.0/28", "--every", "60"]);
    let times = ["--cron", "30 2 * * 6", "--zone", "Europe/Berlin"];
    let plant = [&["scans", "create", "plant", "--targets", "10.0.0.0/8", "--budget", "16777216"], &times[..]].concat();
    let checked = mesh.json(&[&plant[..], &["--dry-run"]].concat());
    assert_eq!((&checked["addresses"], checked["next_runs"].as_array().map(Vec::len)), (&json!(1 << 24), Some(3)));
    let plant = mesh.json(&plant);
    assert_eq!(plant["next_due"], checked["next_runs"][0]);

    let edited = mesh.json(&["scans", "edit", "office", "--ports", "22,80", "--exclude", "127.0.10.3"]);
    assert_eq!((&edited["ports"], &edited["exclusions"]), (&json!("22,80"), &json!("127.0.10.3")));
    assert_eq!((&edited["targets"], &edited["next_due"]), (&made["targets"], &made["next_due"]));
    let back = mesh.json(&["scans", "edit", "office", "--exclude", "none"]);
    assert_eq!((&back["ports"], &back["exclusions"]), (&json!("22,80"), &json!(null)));
    let copy = mesh.json(&["scans", "duplicate", "plant"]);
    assert_eq!((&copy["name"], &copy["next_due"]), (&json!("plant copy"), &json!(null)));

    let wanted = [&made, &plant].map(|scan| (scan["id"].clone(), scan["next_due"].clone(), json!(true)));
    assert_eq!(held(&mesh), wanted);
    mesh.crash_coordinator();
    assert_eq!(held(&mesh), wanted, "a crash moves nothing");
    assert_eq!(mesh.json(&["jobs", "reload"])["differed"], json!([]));

    assert_eq!(mesh.json(&["scans", "deactivate", "office"])["active"], json!(false));
    assert_eq!(held(&mesh), wanted[1..]);
    let listed = |arguments: &[&str]| mesh.json(arguments).as_array().unwrap().len();
    assert_eq!((listed(&["scans", "list"]), listed(&["scans", "list", "--all"])), (2, 3));
    assert_eq!(mesh.json(&["scans", "activate", "office"])["active"], json!(true));
}
