//! What bad input gets: one clear line that names the thing, the reason and the next step; exit 2 for usage, 1 for failure.

use crate::harness::{Mesh, PASSWORD, portdrift, set_up};
use insta::assert_snapshot;
use protocol::invite::Invite;
use protocol::{Keypair, Timestamp};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Exit code and standard error, with the story's folder and numbers that change taken out.
fn told(home: &Path, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).replace(home.to_str().unwrap(), "[HOME]");
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.contains(" INFO ")).collect();
    format!("{}\n{}", output.status.code().unwrap(), lines.join("\n"))
}

fn run(home: &Path, command: &mut Command) -> String {
    told(home, &command.output().unwrap())
}

/// A set-up coordinator that is not running.
fn stopped_coordinator() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    set_up(home.path(), &home.path().join("hub"), "127.0.0.1:0".parse().unwrap());
    home
}

fn joining(home: &Path, invite: &str) -> String {
    run(home, portdrift(home).args(["node", "run", "--join", invite, "--dir"]).arg(home.join("node")))
}

fn invite(expires: Timestamp) -> Invite {
    let mesh = Keypair::from_seed(&[9; 32]).mesh_id();
    Invite { mesh, addresses: vec!["127.0.0.1:9".parse().unwrap()], expires, secret: None }
}

#[test]
fn a_wrong_a_cut_and_an_expired_invite_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let good = invite(Timestamp::now().plus(Duration::from_secs(3600))).to_string();
    assert_snapshot!(joining(home.path(), "hello"), @"
    2
    error: invalid value 'hello' for '--join <INVITE>': this is not an invite; it starts with pdrift1 and is printed by `portdrift invites create`
    For more information, try '--help'.
    ");
    let cut = joining(home.path(), &good[..good.len() - 5]).replace(&good[..good.len() - 5], "[INVITE]");
    assert_snapshot!(cut, @"
    2
    error: invalid value '[INVITE]' for '--join <INVITE>': the invite is cut or mistyped; copy the whole line that `portdrift invites create` printed
    For more information, try '--help'.
    ");
    assert_snapshot!(joining(home.path(), &invite(Timestamp::from_millis(0)).to_string()), @"
    1
    error: the invite expired at 1970-01-01T00:00:00.000Z; ask for a new one (`portdrift invites create`)
    ");
}

#[test]
fn a_node_without_an_invite_is_told_how_to_get_one() {
    let home = tempfile::tempdir().unwrap();
    let said = run(home.path(), portdrift(home.path()).args(["node", "run", "--dir"]).arg(home.path().join("node")));
    assert_snapshot!(said, @"
    1
    error: this node belongs to no mesh yet; make an invite on the coordinator with `portdrift invites create`, then run `portdrift node join INVITE` here
    ");
}

#[test]
fn a_busy_port_is_named() {
    let home = stopped_coordinator();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = held.local_addr().unwrap().to_string();
    for option in ["--mesh-listen", "--http"] {
        let mut command = portdrift(home.path());
        let said =
            run(home.path(), command.args(["coordinator", "run", option, &busy, "--dir"]).arg(home.path().join("hub")));
        assert!(said.starts_with("1\nerror: "), "{said}");
        assert!(said.contains(&busy) && said.contains("in use"), "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
    }
}

#[test]
fn a_key_file_that_others_can_read_or_that_is_damaged_is_refused() {
    let home = stopped_coordinator();
    let hub = home.path().join("hub");
    let key = hub.join("coordinator.key");
    let start = || run(home.path(), portdrift(home.path()).args(["coordinator", "run", "--dir"]).arg(&hub));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_snapshot!(start(), @"
    1
    error: [HOME]/hub/coordinator.key can be read by others (mode 0644); run `chmod 600 [HOME]/hub/coordinator.key`, and make a new key if someone may have
    ");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let bytes = std::fs::read(&key).unwrap();
    std::fs::write(&key, &bytes[..10]).unwrap();
    assert_snapshot!(start(), @"
    1
    error: [HOME]/hub/coordinator.key is not a whole key file; restore it from a backup, or remove it to make a new identity
    ");
    std::fs::remove_file(&key).unwrap();
    assert_snapshot!(start(), @"
    1
    error: [HOME]/hub/coordinator.key is missing; restore it from a backup, or start anew in another folder
    ");
}

#[test]
fn a_data_folder_in_use_is_refused_by_whoever_comes_second() {
    let mut mesh = Mesh::start();
    let home = mesh.home().to_owned();
    mesh.start_node("one");
    let hub = mesh.hub();
    let again = run(&home, portdrift(&home).args(["coordinator", "run", "--dir"]).arg(&hub));
    assert_snapshot!(again, @"
    1
    error: [HOME]/hub/coordinator.key is in use by another process; stop that one first
    ");
    let check = run(&home, portdrift(&home).args(["db", "check", "--dir"]).arg(&hub));
    assert!(check.starts_with("1\nerror: ") && check.contains("in use"), "{check}");
    let node = run(&home, portdrift(&home).args(["node", "run", "--dir"]).arg(home.join("one")));
    assert_snapshot!(node, @"
    1
    error: the data folder [HOME]/one is in use by another node; stop that one, or choose another folder
    ");
}

#[test]
fn bad_targets_ports_and_options_are_refused_before_anyone_is_asked() {
    let home = tempfile::tempdir().unwrap();
    let create =
        |arguments: &[&str]| run(home.path(), portdrift(home.path()).args(["scans", "create", "x"]).args(arguments));
    assert_snapshot!(create(&["--targets", "192.0.2.0/33"]), @r#"
    2
    error: invalid value '192.0.2.0/33' for '--targets <TARGETS>': target "192.0.2.0/33" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
    For more information, try '--help'.
    "#);
    assert_snapshot!(create(&["--targets", "db.example.org"]), @r#"
    2
    error: invalid value 'db.example.org' for '--targets <TARGETS>': target "db.example.org" is not an address, a CIDR or a range; host names are not taken, write the address
    For more information, try '--help'.
    "#);
    assert_snapshot!(create(&["--targets", "192.0.2.1", "--ports", "70000"]), @r#"
    2
    error: invalid value '70000' for '--ports <PORTS>': port "70000" is out of range; ports run from 1 to 65535
    For more information, try '--help'.
    "#);
    assert_snapshot!(create(&["--targets", "192.0.2.1", "--args=-oN /tmp/x"]), @"
    2
    error: invalid value '-oN /tmp/x' for '--args <OPTIONS>': `-oN` is refused: it writes files; use an export of the run
    For more information, try '--help'.
    ");
    assert_snapshot!(create(&["--targets", "192.0.2.1", "--engine", "zmap"]), @r#"
    2
    error: invalid value 'zmap' for '--engine <ENGINE>': engine "zmap" is unknown; write auto, nmap or builtin
    For more information, try '--help'.
    "#);
    assert_snapshot!(create(&[]), @"
    2
    error: the following required arguments were not provided:
      --targets <TARGETS>
    Usage: portdrift scans create --targets <TARGETS> <NAME>
    For more information, try '--help'.
    ");
}

#[test]
fn a_coordinator_that_is_not_there_or_not_set_up_is_named() {
    let home = tempfile::tempdir().unwrap();
    let hub = home.path().join("hub");
    assert_snapshot!(run(home.path(), portdrift(home.path()).args(["nodes", "list", "--dir"]).arg(&hub)), @"
    5
    error: no coordinator answers at [HOME]/hub/portdrift.sock; start it with `portdrift coordinator run`, or name its folder with --dir
    ");
    assert_snapshot!(run(home.path(), portdrift(home.path()).args(["coordinator", "run", "--dir"]).arg(&hub)), @"
    1
    error: [HOME]/hub is not set up; run `portdrift setup` first
    ");
    assert_snapshot!(run(home.path(), portdrift(home.path()).args(["db", "check", "--dir"]).arg(&hub)), @"
    1
    error: [HOME]/hub/store holds no store; `portdrift db init` makes one
    ");
}

#[test]
fn a_setup_says_what_is_wrong_with_name_password_or_folder() {
    let home = stopped_coordinator();
    let password = |text: &str| {
        let file = home.path().join("typed");
        std::fs::write(&file, text).unwrap();
        file
    };
    let setup = |name: &str, text: &str, dir: &str| {
        let mut command = portdrift(home.path());
        command
            .args(["setup", "--admin", name, "--password-file"])
            .arg(password(text))
            .arg("--dir")
            .arg(home.path().join(dir));
        run(home.path(), &mut command)
    };
    assert_snapshot!(setup("ada", "short", "new"), @"
    1
    error: the password has 5 characters; take at least 15, for instance four words
    ");
    assert_snapshot!(setup("Ada L", PASSWORD, "new"), @r#"
    1
    error: user name "Ada L" is not allowed; take 1 to 64 of a-z, 0-9, '.', '_' and '-'
    "#);
    assert_snapshot!(setup("ada", PASSWORD, "hub"), @"
    1
    error: [HOME]/hub is set up already; start it with `portdrift coordinator run`, or choose another folder
    ");
    let unasked = run(
        home.path(),
        portdrift(home.path()).args(["setup", "--admin", "ada", "--dir"]).arg(home.path().join("new")),
    );
    assert_snapshot!(unasked, @"
    2
    error: there is no terminal to ask for a password; use --password-stdin or --password-file
    ");
}

#[test]
fn what_is_not_there_is_exit_3() {
    let mesh = Mesh::start();
    for arguments in
        [&["scans", "show", "nope"][..], &["scans", "run", "7"], &["runs", "show", "7"], &["reports", "latest"]]
    {
        let said = told(mesh.home(), &mesh.output(arguments));
        assert!(said.starts_with("3\nerror: "), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 2, "{arguments:?}: {said}");
    }
    let key = Keypair::from_seed(&[3; 32]).node_id().fingerprint().to_string();
    let said = told(mesh.home(), &mesh.output(&["keys", "approve", &key, "--ranges", "127.0.0.1"]));
    assert!(said.starts_with("3\nerror: ") && said.contains(&key), "{said}");
}

#[test]
fn a_foreign_invite_lets_nobody_in_and_says_so() {
    let mesh = Mesh::start();
    let join = SocketAddr::new(mesh.mesh_address().ip(), mesh.mesh_address().port() + 1);
    let foreign = Invite { addresses: vec![join], ..invite(Timestamp::now().plus(Duration::from_secs(3600))) };
    let mut command = portdrift(mesh.home());
    command.args(["node", "run", "--join", &foreign.to_string(), "--dir"]).arg(mesh.home().join("node"));
    let node = crate::harness::Process::start(&mut command);
    let said = node.line(&join.to_string());
    assert!(!said.contains("approval"), "{said}");
    assert_eq!(mesh.json(&["keys", "list"]), serde_json::json!([]));
}

#[test]
fn a_missing_nmap_is_named_by_the_run_that_needs_it() {
    let mut mesh = Mesh::start();
    let folder = mesh.home().join("bare");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(folder.join("policy.toml"), "nmap = \"/nonexistent/nmap\"\n").unwrap();
    mesh.add_node("bare", "127.0.0.1");
    mesh.json(&["scans", "create", "x", "--targets", "127.0.0.1", "--ports", "80", "--engine", "nmap"]);
    let said = told(mesh.home(), &mesh.output(&["scans", "run", "x", "--wait"]));
    let last = said.lines().last().unwrap();
    assert!(said.starts_with("1\n"), "{said}");
    assert!(
        last.starts_with("error: run 1 failed: ") && last.contains("nmap is needed for engine nmap; install nmap 7.80"),
        "{said}"
    );
}
