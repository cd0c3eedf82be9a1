//! What a configuration says of good and of bad sources.

use super::*;
use proptest::prelude::*;

fn file(text: &str) -> Option<ConfigFile> {
    Some(ConfigFile { path: "portdrift.toml".into(), text: text.to_owned() })
}

fn read(text: &str) -> Result<Configuration, ConfigError> {
    Configuration::read(&Sources { file: file(text), ..Sources::default() })
}

fn faults(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

fn variables(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_example_says_every_key_with_its_default_and_what_it_is_for() {
    let example = read(EXAMPLE).unwrap();
    assert_eq!(example.config(), &Config::default());
    for entry in Configuration::default().entries() {
        let (_, key) = entry.key.split_once('.').unwrap();
        let line = format!("{key} = {}", entry.value);
        assert!(EXAMPLE.lines().any(|said| said == line), "the example does not say {line}");
        assert_ne!(example.entries().iter().find(|said| said.key == entry.key).unwrap().origin, Origin::Default);
    }
    let mut was_key = false;
    for line in EXAMPLE.lines().filter(|line| !line.is_empty()) {
        let is_key = !line.starts_with('#') && !line.starts_with('[');
        let is_pair = ["key = ", "keep_days = "].iter().any(|second| line.starts_with(second));
        assert!(!(is_key && was_key) || is_pair, "no words above {line:?}");
        was_key = is_key;
    }
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let sources = Sources {
        file: file("[web]\nlisten = \"127.0.0.1:1\"\nbase_path = \"/a\"\n[logs]\nkeep_files = 3\n"),
        variables: variables(&[
            ("PORTDRIFT_WEB__LISTEN", "127.0.0.1:2"),
            ("PORTDRIFT_WEB__BASE_PATH", "/b/"),
            ("PORTDRIFT_DIR", "/elsewhere"),
            ("HOME", "/root"),
        ]),
        flags: vec![Flag { key: "web.listen", name: "--http", value: "127.0.0.1:3".to_owned() }],
    };
    let read = Configuration::read(&sources).unwrap();
    let told: Vec<String> = read
        .entries()
        .iter()
        .filter(|entry| ["web.listen", "web.base_path", "logs.keep_files", "logs.keep_days"].contains(&&*entry.key))
        .map(|entry| format!("{} = {} ({})", entry.key, entry.value, entry.origin))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    logs.keep_days = 30 (default)
    logs.keep_files = 3 (portdrift.toml:5:1)
    web.base_path = "/b" (PORTDRIFT_WEB__BASE_PATH)
    web.listen = "127.0.0.1:3" (--http)
    "#);
}

#[test]
fn variables_need_no_quotes_and_lists_have_commas() {
    let given = [
        ("PORTDRIFT_WEB__HOSTS", "watch.example.org, 192.0.2.7"),
        ("PORTDRIFT_WEB__INSECURE_HTTP", "true"),
        ("PORTDRIFT_WEB__TRUSTED_PROXIES", "[\"192.0.2.0/24\"]"),
        ("PORTDRIFT_LOGS__MAX_MIB", "2"),
        ("PORTDRIFT_LOGS__LEVEL", "warn,coordinator=debug"),
        ("PORTDRIFT_TLS__MODE", "off"),
        ("PORTDRIFT_MESH__ADVERTISE", ""),
    ];
    let sources = Sources { variables: variables(&given), ..Sources::default() };
    let Config { web, tls, mesh, logs, mail: _, store: _ } = Configuration::read(&sources).unwrap().config().clone();
    assert_eq!(web.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["watch.example.org", "192.0.2.7"]);
    assert_eq!((web.insecure_http, web.trusted_proxies), (true, vec!["192.0.2.0/24".parse().unwrap()]));
    assert_eq!((logs.max_mib.get(), logs.level.to_string()), (2, "warn,coordinator=debug".to_owned()));
    assert_eq!((tls.mode, mesh.advertise), (TlsMode::Off, vec![]));
}

#[test]
fn all_faults_are_told_at_once_with_line_and_column() {
    let text = "listen = \"x\"\n[web]\nlisten = \"example.org:80\"\n  lisen = 1\nbase_path = \"watch\"\nhosts = [\"a b\"]\n\
                insecure_http = \"yes\"\ntrusted_proxies = [\"192.0.2.0/33\"]\n[tls]\nmode = \"maybe\"\ncertificate = \"c.pem\"\n\
                [logs]\nlevel = \"loud\"\nmax_mib = 0\nkeep_files = -1\n[wep]\na = 1\n[store.x]\n";
    insta::assert_snapshot!(faults(text), @r#"
    portdrift.toml:1:1: listen: this stands in no section; write [web] or another section's name above it
    portdrift.toml:3:1: web.listen: "example.org:80" is no address with a port; write for instance 127.0.0.1:5000 or [::1]:5000
    portdrift.toml:4:3: web.lisen: there is no such key; [web] knows base_path, hosts, insecure_http, listen, trusted_proxies
    portdrift.toml:5:1: web.base_path: "watch" is no path to serve under; write for instance /portdrift, with letters, digits, '-', '.', '_' and '~'
    portdrift.toml:6:1: web.hosts: "a b" is no host name or address; write it without scheme and port, for instance watch.example.org
    portdrift.toml:7:1: web.insecure_http: invalid type: string "yes", expected a boolean
    portdrift.toml:8:1: web.trusted_proxies: target "192.0.2.0/33" has no valid prefix length; write /0 to /32 for IPv4 or /0 to /128 for IPv6
    portdrift.toml:10:1: tls.mode: unknown variant `maybe`, expected one of `auto`, `on`, `off`
    portdrift.toml:11:1: tls.certificate: "c.pem" is no whole path; write it from / on
    portdrift.toml:13:1: logs.level: "loud" is no log level; write error, warn, info, debug, trace or off, and for one part for instance info,coordinator=debug
    portdrift.toml:14:1: logs.max_mib: invalid value: integer `0`, expected a nonzero u32
    portdrift.toml:15:1: logs.keep_files: invalid value: integer `-1`, expected u32
    portdrift.toml:16:2: [wep]: there is no such section; the sections are logs, mail, mesh, store, tls, web
    portdrift.toml:18:8: store.x: there is no such key; [store] knows keep_free_mib
    "#);
}

#[test]
fn what_is_no_toml_is_told_with_its_places() {
    insta::assert_snapshot!(faults("[web]\nlisten = \n[logs\n"), @"
    portdrift.toml:2:10: string values must be quoted, expected literal string
    portdrift.toml:3:6: unclosed table, expected `]`
    ");
    insta::assert_snapshot!(faults("[web]\nlisten = \"\"\nlisten = \"\"\n"), @"portdrift.toml:3:1: duplicate key");
}

#[test]
fn faults_of_variables_and_flags_name_them() {
    let sources = Sources {
        variables: variables(&[("PORTDRIFT_WEB__LISEN", "1"), ("PORTDRIFT_WEP__LISTEN", "1")]),
        flags: vec![Flag { key: "web.listen", name: "--http", value: "x".to_owned() }],
        ..Sources::default()
    };
    insta::assert_snapshot!(Configuration::read(&sources).unwrap_err(), @r#"
    PORTDRIFT_WEB__LISEN: web.lisen: there is no such key; [web] knows base_path, hosts, insecure_http, listen, trusted_proxies
    PORTDRIFT_WEP__LISTEN: [wep]: there is no such section; the sections are logs, mail, mesh, store, tls, web
    --http: web.listen: "x" is no address with a port; write for instance 127.0.0.1:5000 or [::1]:5000
    "#);
}

#[test]
fn what_fits_alone_must_fit_together() {
    insta::assert_snapshot!(faults("[tls]\ncertificate = \"/c.pem\"\n"), @"portdrift.toml:2:1: tls.certificate: a certificate needs its key; set tls.key too");
    insta::assert_snapshot!(faults("[tls]\nkey = \"/k.pem\"\n"), @"portdrift.toml:2:1: tls.key: a key needs its certificate; set tls.certificate too");
    insta::assert_snapshot!(faults("[tls]\nmode = \"off\"\n[web]\nlisten = \"0.0.0.0:5000\"\n"), @r#"portdrift.toml:4:1: web.listen: plain HTTP at 0.0.0.0:5000 could be read by others on the network; set tls.mode to "auto", listen on loopback behind a proxy, or allow it with web.insecure_http = true (--insecure-http)"#);
}

#[test]
fn mail_is_sent_once_its_section_says_something_and_all_of_it_must_fit() {
    assert!(!read("").unwrap().config().mail.is_set());
    let whole = "[mail]\nserver = \"mail.example.org\"\nport = 587\nfrom = \"a@example.org\"\n";
    let set = read(whole).unwrap();
    assert_eq!((set.config().mail.is_set(), set.config().mail.port), (true, 587));
    insta::assert_snapshot!(faults("[mail]\nfrom = \"a@example.org\"\n"), @r#"portdrift.toml:2:1: mail.server: transport "smtp" needs the name of the mail server"#);
    insta::assert_snapshot!(faults(&format!("{whole}security = \"none\"\n")), @r#"portdrift.toml:5:1: mail.security: "none" is for a server on this machine; use "tls" or "starttls": the links in mails open accounts"#);
    insta::assert_snapshot!(faults("[mail]\nsender = \"\"\nfolder = \"mails\"\n"), @r#"
    portdrift.toml:2:1: mail.sender: there is no such key; [mail] knows folder, from, password_file, port, security, server, transport, url, user
    portdrift.toml:3:1: mail.folder: "mails" is no whole path; write it from / on
    "#);
}

#[test]
fn tls_is_spoken_wherever_others_could_listen() {
    let [home, out] = ["127.0.0.1:5000", "192.0.2.1:5000"].map(|address| address.parse().unwrap());
    let table = [
        ("", Ok(false), Ok(true)),
        ("[tls]\nmode = \"on\"", Ok(true), Ok(true)),
        ("[tls]\nmode = \"off\"", Ok(false), Err(PlainRefused(out))),
        ("[tls]\nmode = \"off\"\n[web]\ninsecure_http = true", Ok(false), Ok(false)),
        ("[web]\ninsecure_http = true", Ok(false), Ok(false)),
        ("[tls]\ncertificate = \"/c\"\nkey = \"/k\"", Ok(true), Ok(true)),
    ];
    for (text, at_home, outside) in table {
        let config = read(text).unwrap();
        assert_eq!((config.config().is_tls(home), config.config().is_tls(out)), (at_home, outside), "{text}");
    }
}

#[test]
fn a_reload_takes_what_it_can_and_names_what_waits() {
    let old = read("[web]\nbase_path = \"/a\"\nhosts = [\"a\"]\n").unwrap();
    let kept = crate::settings::Settings::default();
    let old = old.over(&kept);
    let fresh =
        read("[web]\nbase_path = \"/b\"\nhosts = [\"b\"]\n[logs]\nlevel = \"debug\"\nkeep_files = 2\n").unwrap();
    let (now, waiting) = old.reloaded(fresh);
    assert_eq!(waiting, ["logs.keep_files", "web.base_path"]);
    let Config { web, logs, .. } = now.config();
    assert_eq!((web.base_path.to_string(), web.hosts[0].to_string()), ("/a".to_owned(), "b".to_owned()));
    assert_eq!((logs.level.to_string(), logs.keep_files), ("debug".to_owned(), 14));
    let changed = |key: &str| old.reloaded(read("").unwrap()).1.iter().any(|waiting| waiting == key);
    assert!(old.entries().iter().filter(|entry| entry.is_reloadable).all(|entry| !changed(&entry.key)));
}

#[test]
fn what_setup_chose_stands_where_nothing_else_was_said() {
    let kept = crate::settings::Settings { advertised: vec!["192.0.2.1:9".parse().unwrap()], ..Default::default() };
    let told = |text: &str| {
        let entries = read(text).unwrap().over(&kept).entries();
        let of = |key: &str| entries.iter().find(|entry| entry.key == key).unwrap().clone();
        ["web.listen", "mesh.listen", "mesh.advertise"]
            .map(of)
            .map(|entry| format!("{} {}", entry.value, entry.origin))
            .join("\n")
    };
    insta::assert_snapshot!(told(""), @r#"
    "127.0.0.1:5000" setup
    "0.0.0.0:9430" setup
    ["192.0.2.1:9"] setup
    "#);
    insta::assert_snapshot!(told("[mesh]\nlisten = \"127.0.0.1:7\"\nadvertise = [\"192.0.2.2:7\"]"), @r#"
    "127.0.0.1:5000" setup
    "127.0.0.1:7" portdrift.toml:2:1
    ["192.0.2.2:7"] portdrift.toml:3:1
    "#);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_every_fault_has_a_place(text in "(\\[(web|tls|logs|x)\\]\n|[a-z_]{1,9} ?= ?|\"[^\"]{0,9}\"|\n|é|[0-9]{1,4}|\\[|\\]|,|#){0,30}") {
        if let Err(ConfigError(faults)) = read(&text) {
            prop_assert!(!faults.is_empty());
            let lines = text.matches('\n').count() + 1;
            for fault in faults {
                prop_assert!(matches!(fault.origin, Origin::File { line, .. } if line <= lines), "{fault}");
            }
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_it_is(keep in any::<u32>(), days in 1u32.., path in "(/[a-z]{1,5}){0,3}", hosts in proptest::collection::vec("[a-z]{1,8}(\\.[a-z]{1,8}){0,2}", 0..4)) {
        let hosts = hosts.iter().map(|host| format!("{host:?}")).collect::<Vec<_>>().join(", ");
        let days = days.min(i32::MAX.unsigned_abs());
        let text = format!("[logs]\nkeep_files = {keep}\nkeep_days = {days}\n[web]\nbase_path = {path:?}\nhosts = [{hosts}]\n");
        let first = read(&text).unwrap();
        let lines = first.entries().into_iter().map(|entry| format!("{} = {}\n", entry.key, entry.value));
        let again = read(&lines.collect::<String>()).unwrap();
        prop_assert_eq!(again.config(), first.config());
    }
}
