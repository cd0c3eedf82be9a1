//! Behind a reverse proxy, in a folder of its site: every link, form, redirect, file and cookie stays in that folder.

use super::https::{address_of, configure};
use crate::harness::{Answer, Mesh, PASSWORD, ask, connect, own_net, request, start_proxy};
use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;

const HOST: &str = "watch.example.org";
const FOLDER: &str = "/portdrift";
const BROWSER: &str = "198.51.100.7";

/// More pages than there are.
const MOST_PAGES: usize = 400;

const CONFIGURATION: &str =
    "[web]\nbase_path = \"/portdrift/\"\nhosts = [\"watch.example.org\"]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";

fn get(proxy: SocketAddr, path: &str, cookie: &str) -> Answer {
    ask(connect(proxy).unwrap(), &request("GET", HOST, path, cookie, ""))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every place that a page leads to, with the attribute that names it.
fn places(html: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for attribute in ["href", "src", "action", "hx-get", "hx-sse:connect"] {
        for rest in html.split(&format!(" {attribute}=\"")).skip(1) {
            let place = rest.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
            found.push((attribute, place));
        }
    }
    found
}

#[test]
fn every_link_form_redirect_and_cookie_stays_in_the_folder_of_the_proxy() {
    let mesh = Mesh::start_on(|hub| configure(hub, CONFIGURATION), &[]);
    mesh.json(&["scans", "create", "all", "--targets", &format!("{}.1", own_net(141)), "--ports", "2222"]);
    let server = address_of(mesh.dashboard());
    assert!(mesh.dashboard().ends_with(FOLDER), "{}", mesh.dashboard());
    let proxy = start_proxy(format!("{}.9:0", own_net(142)).parse().unwrap(), server, BROWSER);

    let outside = get(proxy, "/", "");
    assert_eq!(outside.status, 404, "{}", outside.head);
    let to_form = get(proxy, "/portdrift/", "");
    assert_eq!((to_form.status, to_form.header("location")), (303, "/portdrift/auth/login"));
    let form = format!("name=ada&password={}&next=/scans", PASSWORD.replace(' ', "+"));
    let post = request("POST", HOST, "/portdrift/auth/login", "", &form);
    let signed_in = ask(connect(proxy).unwrap(), &post).unwrap();
    let cookie = signed_in.header("set-cookie");
    assert_eq!((signed_in.status, signed_in.header("location")), (303, "/portdrift/scans"));
    assert!(
        cookie.starts_with("__Secure-session=") && cookie.contains("Path=/portdrift") && cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(!signed_in.header("strict-transport-security").is_empty());
    walk(proxy, cookie.split(';').next().unwrap());

    // Without the proxy's word it is plain HTTP, and a name that is not ours gets nothing.
    let direct = ask(connect(server).unwrap(), &post).unwrap();
    assert!(direct.header("set-cookie").starts_with("session="), "{}", direct.head);
    let foreign = request("GET", "evil.example", "/portdrift/auth/login", "", "");
    assert_eq!(ask(connect(proxy).unwrap(), &foreign).unwrap().status, 421);
}

fn walk(proxy: SocketAddr, cookie: &str) {
    let mut waiting = VecDeque::from([format!("{FOLDER}/")]);
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut streams = BTreeSet::new();
    let mut pages = 0;
    while let Some(path) = waiting.pop_front() {
        let answer = get(proxy, &path, cookie);
        pages += 1;
        assert!(pages < MOST_PAGES, "there is no end of pages: {path}");
        if (300..400).contains(&answer.status) {
            assert!(answer.header("location").starts_with("/portdrift/"), "{path}: {}", answer.head);
            continue;
        }
        assert!(matches!(answer.status, 200 | 204), "{path}\n{}", answer.head);
        if !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        for (attribute, place) in places(&answer.body) {
            if place.is_empty() || place.starts_with('#') || place.starts_with('?') || place.starts_with("data:") {
                continue;
            }
            assert!(place.starts_with("/portdrift/"), "{path}: {attribute}={place}");
            match attribute {
                // One stream of each place: a user may have only so many.
                "hx-sse:connect" => {
                    if streams.insert(place.split('?').next().unwrap().to_owned()) {
                        assert_eq!(stream_head(proxy, &place, cookie), "HTTP/1.0 200 OK", "{place}");
                    }
                }
                // Forms are sent by people; those that look for something lead to pages that links lead to as well.
                "action" => {}
                _ => {
                    let page = place.split('#').next().unwrap().to_owned();
                    if seen.insert(page.clone()) {
                        waiting.push_back(page);
                    }
                }
            }
        }
    }
    for wanted in ["/portdrift/nodes", "/portdrift/scans/new", "/portdrift/settings/logs", "/portdrift/mesh"] {
        assert!(seen.contains(wanted), "no link led to {wanted}");
    }
}

/// The first line of an answer that does not end.
fn stream_head(proxy: SocketAddr, path: &str, cookie: &str) -> String {
    let mut stream = connect(proxy).unwrap();
    stream.write_all(request("GET", HOST, path, cookie, "").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
