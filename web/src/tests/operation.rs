//! What administrators see of configuration and logs, and the scheme and names that requests come by.

use super::*;

const LINES: &str = "2026-01-31T12:00:00.000001Z  INFO coordinator::hub: a node came online\n\
                     2026-01-31T12:00:01.000001Z  WARN web: <script>alert(1)</script>\n\
                     2026-01-31T12:00:02.000001Z ERROR coordinator::store: the disk is full\n";

/// A site whose log holds [`LINES`], and the cookie of its administrator.
async fn site_with_log() -> (Site, String) {
    let site = Site::start(Settings::default()).await;
    let logs = site.dir.path().join("data/logs");
    std::fs::create_dir(&logs).unwrap();
    std::fs::write(logs.join("app.log"), LINES).unwrap();
    std::fs::write(site.dir.path().join("data/secret.log"), "secret").unwrap();
    let cookie = site.sign_in().await;
    (site, cookie)
}

#[tokio::test]
async fn lines_are_shown_filtered_escaped_and_kept_as_files() {
    let (site, cookie) = site_with_log().await;
    let page = async |path: &str| send(&site.router, get(path, &cookie)).await;
    let all = page("/settings/logs").await.body;
    assert!(all.contains("a node came online") && all.contains("&#60;script&#62;alert(1)"), "{all}");
    let worse = page("/settings/logs?level=warn&text=DISK").await.body;
    assert!(worse.contains("the disk is full") && !worse.contains("a node came online"));
    assert!(page("/settings/logs?file=error").await.body.contains("Nothing in this log yet"));
    let wrong = page("/settings/logs?since=yesterday").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("is not a time") && wrong.body.contains("value=\"yesterday\""), "{}", wrong.body);
    let file = page("/settings/logs/parts/app.log").await;
    assert_eq!((file.status, file.body.as_str()), (StatusCode::OK, LINES));
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"app.log\"");
    for name in ["secret.log", "..%2Fsecret.log", "error.log", "app-2026-01-31-0001.log"] {
        assert_eq!(page(&format!("/settings/logs/parts/{name}")).await.status, StatusCode::NOT_FOUND, "{name}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_page_that_follows_gets_what_is_new_and_nothing_else() {
    let (site, cookie) = site_with_log().await;
    let page = async |path: &str| send(&site.router, get(path, &cookie)).await;
    let next_of = |html: &str| {
        let link = html.split("hx-get=\"/settings/logs/newer").nth(1).unwrap().split('"').next().unwrap();
        format!("/settings/logs/newer{}", link.replace("&#38;", "&").replace("&amp;", "&"))
    };
    let next = next_of(&page("/settings/logs?level=warn&follow=1").await.body);
    assert_eq!(page(&next).await.status, StatusCode::NO_CONTENT);
    let path = site.dir.path().join("data/logs/app.log");
    let more = "2026-01-31T12:00:03.000001Z  INFO web: passed over\n2026-01-31T12:00:04.000001Z  WARN web: new\n";
    std::fs::write(&path, format!("{LINES}{more}")).unwrap();
    let new = page(&next).await;
    assert!(
        new.body.contains("web: new") && !new.body.contains("disk") && !new.body.contains("passed"),
        "{}",
        new.body
    );
    assert_eq!(page(&next_of(&new.body)).await.status, StatusCode::NO_CONTENT);
    let long = page(&next.replace("shown=2", "shown=5000")).await;
    assert_eq!(long.header("hx-redirect"), "/settings/logs?level=warn&follow=1");
    site.stop().await;
}

#[tokio::test]
async fn the_api_gives_lines_with_places_and_names_what_it_does_not_understand() {
    let (site, cookie) = site_with_log().await;
    let ask = async |path: &str| send(&site.router, get(&format!("/api/v1/logs{path}"), &cookie)).await;
    let last = ask("?limit=1").await.json();
    assert_eq!((&last["lines"][0]["level"], &last["gap"]), (&"error".into(), &false.into()));
    let older = ask(&format!("?limit=1&before={}", last["older"].as_str().unwrap())).await.json();
    assert_eq!(older["lines"][0]["level"], "warn");
    let none = ask(&format!("?after={}", last["newer"].as_str().unwrap())).await.json();
    assert_eq!((&none["lines"], &none["newer"]), (&serde_json::json!([]), &last["newer"]));
    for (query, field) in [
        ("?file=kernel", "file"),
        ("?level=loud", "level"),
        ("?since=x", "since"),
        ("?before=x", "before"),
        ("?after=x", "after"),
    ] {
        let refused = ask(query).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert!(refused.json()["faults"][field].is_string(), "{query}: {}", refused.body);
    }
    site.stop().await;
}

#[tokio::test]
async fn every_setting_is_shown_with_its_origin() {
    let (site, cookie) = site_with_log().await;
    let page = send(&site.router, get("/settings/general", &cookie)).await.body;
    for entry in coordinator::config::Configuration::default().entries() {
        let (_, key) = entry.key.split_once('.').unwrap();
        assert!(page.contains(&format!(">{key}</th>")), "{} is not shown", entry.key);
    }
    assert!(page.contains(">setup</td>") && page.contains("plain HTTP"), "{page}");
    site.stop().await;
}

#[tokio::test]
async fn a_trusted_proxy_says_which_scheme_a_browser_speaks() {
    let doors = Doors { hosts: vec![], trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()] };
    let settings = Settings { base_path: "/watch/".to_owned(), doors, ..Settings::default() };
    let site = Site::start(settings).await;
    for (peer, proto, cookie, has_hsts) in [
        ("10.0.0.1:80", "https", "__Secure-session=", true),
        ("10.0.0.1:80", "http", "session=", false),
        ("192.0.2.1:80", "https", "session=", false),
    ] {
        let mut request = form(Method::POST, "/watch/auth/login", &format!("name=ada&password={PASSWORD}"));
        request.extensions_mut().insert(axum::extract::ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
        request.headers_mut().insert("x-forwarded-proto", proto.parse().unwrap());
        let answer = send(&site.router, request).await;
        let set = answer.header("set-cookie");
        assert!(set.starts_with(cookie) && set.contains("Path=/watch"), "{peer} {proto}: {set}");
        assert_eq!(!answer.header("strict-transport-security").is_empty(), has_hsts, "{peer} {proto}");
    }
    site.app.set_doors(Doors { hosts: vec!["new.example".to_owned()], trusted_proxies: vec![] });
    let mut request = get("/watch/auth/login", "");
    request.headers_mut().insert(header::HOST, "new.example".parse().unwrap());
    assert_eq!(send(&site.router, request).await.status, StatusCode::OK);
    site.stop().await;
}
