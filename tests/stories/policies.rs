//! The node's own policy (SPEC M11): its example, its check, and that what it refuses is told on the run's page.

use crate::harness::{Mesh, own_net, portdrift, stdout_of, told};

#[test]
fn the_example_is_a_file_that_can_be_used_and_a_wrong_one_is_named_by_its_place() {
    let home = tempfile::tempdir().unwrap();
    let (example, wrong) = (home.path().join("example.toml"), home.path().join("wrong.toml"));
    std::fs::write(&example, stdout_of(portdrift(home.path()).args(["node", "policy", "example"]))).unwrap();
    let check =
        |file: &std::path::Path| portdrift(home.path()).args(["node", "policy", "check"]).arg(file).output().unwrap();
    let good = told(&check(&example));
    assert!(good.contains("can be used; it allows") && good.contains("tasks at a time: 4"), "{good}");
    std::fs::write(&wrong, "max_tasks = 2\noptions = [\"-sV\"]\n").unwrap();
    let bad = told(&check(&wrong));
    assert!(
        bad.contains("exit status: 1") && bad.contains("wrong.toml: line 2, column 11 of the policy file"),
        "{bad}"
    );
    assert!(bad.contains("\"-sV\" is no option that a policy lets in"), "{bad}");
    let missing = told(&check(&home.path().join("none.toml")));
    assert!(missing.contains("exit status: 1") && missing.contains("none.toml"), "{missing}");
}

#[test]
fn what_the_policy_refuses_is_told_on_the_runs_page() {
    let net = own_net(112);
    let mut mesh = Mesh::start();
    mesh.set_policy("strict", "max_rate = 10\n");
    mesh.add_node("strict", &format!("{net}.0/24"));
    let scan =
        ["scans", "create", "fast", "--targets", &format!("{net}.0/30"), "--ports", "9", "--args=--max-rate 500"];
    mesh.json(&scan);
    assert!(!mesh.output(&["scans", "run", "fast", "--wait"]).status.success());
    let refused = "a rate of 500 packets a second is over the 10 that this node's policy allows";
    mesh.nodes[0].line(&format!("refused: {refused}"));
    let run = mesh.json(&["runs", "show", "1"]);
    assert!(run["reason"].as_str().unwrap().contains(refused), "{run:#}");
    let tasks = run["tasks"].as_array().unwrap();
    assert!(tasks.iter().all(|task| task["reason"].as_str().unwrap().contains(refused)), "{run:#}");
}
