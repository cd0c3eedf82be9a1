//! The lie test: fifty hosts that hardly change, a mesh in which much goes wrong, and not one line that is not true.

mod model;
mod round;
mod world;

use crate::harness::{Chance, FakeNmap, Mesh, is_long, own_net};
use round::{Member, Round, Scan, Trouble};
use world::World;

/// The nodes: name, first and last number of their addresses. Two overlap; nobody has 1 to 6, and only `edge` 51 to 60.
const NODES: [(&str, u8, u8); 3] = [("left", 7, 40), ("right", 26, 50), ("edge", 51, 60)];

fn start_nodes(mesh: &mut Mesh, net: &str, chance: &mut Chance) -> Vec<Member> {
    let folder = mesh.home().to_owned();
    let start = |(name, first, last)| {
        let nmap = FakeNmap(&folder).breaking(&format!("nmap-of-{name}"), chance.below(28));
        mesh.set_policy(name, &format!("nmap = {nmap:?}\n"));
        let fingerprint = mesh.add_node(name, &format!("{net}.{first}-{last}"));
        Member { name, fingerprint, first, last }
    };
    NODES.into_iter().map(start).collect()
}

fn create_scans(mesh: &Mesh, net: &str) -> Vec<Scan> {
    let targets = format!("{net}.1-60");
    let ports = world::PORTS.map(|port| port.to_string()).join(",");
    let create = |(engine, identifies): (&str, bool)| {
        let args = if identifies { "--args=-T4 -sV" } else { "--args=-T4" };
        let what = ["--engine", engine, "--targets", &targets, "--ports", &ports, args];
        let scan = mesh.json(&[&["scans", "create", engine][..], &what].concat());
        Scan { id: scan["id"].as_u64().unwrap(), model: model::Model::new(identifies) }
    };
    // nmap takes twenty times longer when it is to identify services.
    [("builtin", true), ("nmap", is_long())].into_iter().map(create).collect()
}

#[test]
fn no_report_and_no_alert_tells_a_lie_whatever_goes_wrong() {
    let mut chance = Chance::of("lies");
    let net = own_net(71);
    let mut world = World::new(&net);
    let mut mesh = Mesh::start();
    let members = start_nodes(&mut mesh, &net, &mut chance);
    let mut scans = create_scans(&mesh, &net);
    let mut troubles: Vec<Trouble> = Vec::new();
    for number in 1..=if is_long() { 40 } else { 6 } {
        let mut changes: Vec<String> = Vec::new();
        if number > 1 {
            changes.extend((0..chance.below(4)).map(|_| world.change(&mut chance)));
        }
        if troubles.is_empty() {
            troubles = chance.shuffled(Trouble::ALL.to_vec());
        }
        let trouble = troubles.pop().unwrap();
        let round = Round { number, mesh: &mut mesh, members: &members, world: &world, trouble };
        round.play(&mut scans, &mut chance, &changes);
    }
    let broken: usize =
        NODES.iter().map(|(name, ..)| FakeNmap(mesh.home()).calls(&format!("nmap-of-{name}")) / 4).sum();
    assert!(broken > 6, "nmap broke only {broken} times");
}
