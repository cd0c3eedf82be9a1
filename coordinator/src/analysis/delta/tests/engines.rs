//! Services compare only where one engine, in one version and as hard, named them on both sides.

use super::*;

#[test]
fn services_compare_only_when_identified_in_the_same_way() {
    let coverage = |version| covered("10.0.0.1", "22", version);
    let compare =
        |was: &str, before, is: &str, after| show(&between(&[was], &coverage(before), &[is], &coverage(after)));
    let (old, new) = ("10.0.0.1 22=open:ssh/8", "10.0.0.1 22=open:ssh/9");
    assert_eq!(
        compare(old, Some("7.93"), new, Some("7.93")),
        "ServiceChange 10.0.0.1 22/tcp: open ssh 8 > open ssh 9\n"
    );
    assert_eq!(
        compare(old, Some("7.80"), new, Some("7.93")),
        "(IdentifiedDifferently) ServiceChange 10.0.0.1 22/tcp: open ssh 8 > open ssh 9\n"
    );
    assert_eq!(compare(old, Some("7.80"), old, Some("7.93")), "");
    assert_eq!(compare(old, Some("7.93"), new, None), "");
    assert_eq!(compare(old, Some("7.93"), "10.0.0.1 22=open", Some("7.93")), "");
    assert_eq!(
        compare("10.0.0.1 guess=A", None, "10.0.0.1 guess=B", None),
        "(IdentifiedDifferently) OsChange 10.0.0.1: A > B\n"
    );
}

#[test]
fn a_port_compares_only_with_what_the_same_engine_named() {
    let builtin = ServiceDetection { engine: "builtin".into(), ..nmap("0.1.0") };
    let coverage = Coverage { services: vec![builtin, nmap("7.93")], ..covered("10.0.0.1", "22", None) };
    let look = run(&coverage);
    let seen = |version: &str, by: &str| {
        let mut seen = hosts(&[&format!("10.0.0.1 22=open:ssh/{version}")]);
        seen[0].ports[0].service.as_mut().unwrap().by = by.into();
        seen
    };
    let nothing = RunCoverage::default();
    for (was, is, wanted) in [
        ("builtin", "builtin", "ServiceChange 10.0.0.1 22/tcp: open ssh 8 > open ssh 9\n"),
        ("nmap", "nmap", "ServiceChange 10.0.0.1 22/tcp: open ssh 8 > open ssh 9\n"),
        ("nmap", "builtin", "(IdentifiedDifferently) ServiceChange 10.0.0.1 22/tcp: open ssh 8 > open ssh 9\n"),
        ("nmap", "", ""),
        ("masscan", "nmap", ""),
    ] {
        let first = compare(std::iter::empty(), seen("8", was).into_iter(), &nothing, &look);
        let known: Vec<KnownHost> = first.filter_map(|host| apply(host, &nothing, &look, RunId(1))).collect();
        let changed = delta(known.into_iter(), seen("9", is).into_iter(), &look, &look).collect::<Vec<_>>();
        assert_eq!(show(&changed), wanted, "{was} {is}");
    }
}
