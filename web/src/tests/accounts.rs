//! Accounts from the outside: getting one, getting in, forgetting the password, and being ended. Mail goes into a folder.

use super::{Answer, PASSWORD, Site, form, get, post_form, send};
use crate::Settings;
use crate::throttle::Attempt;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use protocol::Timestamp;

const OTHER: &str = "green kettle by the door";

async fn post(site: &Site, path: &str, cookie: &str, body: &str) -> Answer {
    send(&site.router, post_form(path, cookie, body)).await
}

async fn sign_in(site: &Site, name: &str, password: &str) -> Answer {
    send(&site.router, form(Method::POST, "/auth/login", &format!("name={name}&password={password}"))).await
}

/// The cookie with this name, as a browser would send it back.
fn cookie(answer: &Answer, name: &str) -> String {
    let all = answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let ours = all.filter_map(|line| line.split(';').next()).find(|pair| pair.starts_with(&format!("{name}=")));
    ours.unwrap_or_default().to_owned()
}

async fn makes_user(site: &Site, admin: &str, name: &str, role: &str) -> String {
    let body = format!("name={name}&email={name}@example.org&role={role}&password={PASSWORD}");
    assert_eq!(post(site, "/settings/users", admin, &body).await.status, StatusCode::SEE_OTHER);
    cookie(&sign_in(site, name, PASSWORD).await, "session")
}

#[tokio::test]
async fn who_registers_confirms_the_address_by_mail_and_signs_in() {
    let site = Site::start_with_mail(Settings::default()).await;
    let admin = site.sign_in().await;
    assert_eq!(send(&site.router, get("/auth/register", "")).await.status, StatusCode::FORBIDDEN, "by invite alone");
    post(&site, "/settings/registration", &admin, "mode=open").await;
    assert!(send(&site.router, get("/auth/login", "")).await.body.contains("Create an account"));
    let wrong = "name=Bob&email=nowhere&password=short&again=short";
    let page = post(&site, "/auth/register", "", wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.body.contains("value=\"nowhere\"") && !page.body.contains("short\""), "{}", page.body);

    let body = format!("name=bob&first=Bob&email=bob@example.org&password={PASSWORD}&again={PASSWORD}");
    let first = post(&site, "/auth/register", "", &body).await;
    assert!(first.body.contains("Look into your mail"), "{}", first.body);
    let link = site.mailed("confirm your e-mail address", "/auth/verify/").await;
    assert_eq!(sign_in(&site, "bob", PASSWORD).await.status, StatusCode::FORBIDDEN);
    for _ in 0..2 {
        let shown = send(&site.router, get(&link, "")).await;
        assert!(shown.body.contains("bob@example.org"), "looking uses nothing up: {}", shown.body);
    }
    let confirmed = post(&site, &link, "", "").await;
    assert!(confirmed.body.contains("The address is confirmed"), "{}", confirmed.body);
    assert_eq!(post(&site, &link, "", "").await.status, StatusCode::CONFLICT);
    assert_eq!(sign_in(&site, "bob", PASSWORD).await.status, StatusCode::SEE_OTHER);

    let again = body.replace("name=bob", "name=bob2");
    let second = post(&site, "/auth/register", "", &again).await;
    assert_eq!(
        second.body.replace("bob2", "bob"),
        first.body.clone(),
        "the page does not tell that the address is known"
    );
    site.mailed("you have an account already", "/auth/forgot").await;
    site.stop().await;
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_mail_and_the_answer_tells_nothing() {
    let site = Site::start_with_mail(Settings::default()).await;
    let admin = site.sign_in().await;
    let session = makes_user(&site, &admin, "bob", "viewer").await;
    let known = post(&site, "/auth/forgot", "", "name=bob@example.org").await;
    let unknown = post(&site, "/auth/forgot", "", "name=nobody@example.org").await;
    assert_eq!((known.status, known.body), (unknown.status, unknown.body));
    let link = site.mailed("set a new password", "/auth/reset/").await;
    let page = post(&site, &link, "", &format!("password={OTHER}&again=another one")).await;
    assert!(page.body.contains("id=\"again-fault\""), "{}", page.body);
    let done = post(&site, &link, "", &format!("password={OTHER}&again={OTHER}")).await;
    assert!(done.body.contains("The password is set"), "{}", done.body);
    assert_eq!(
        send(&site.router, get("/scans", &session)).await.status,
        StatusCode::SEE_OTHER,
        "the session has ended"
    );
    assert_eq!(send(&site.router, get(&link, "")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(sign_in(&site, "bob", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(&site, "bob", OTHER).await.status, StatusCode::SEE_OTHER);
    site.mailed("your password was changed", "/auth/forgot").await;
    site.stop().await;
}

#[tokio::test]
async fn an_invite_makes_an_account_of_its_role_and_a_reset_link_of_an_administrator_works() {
    let site = Site::start(Settings::default()).await;
    let admin = site.sign_in().await;
    let made = post(&site, "/settings/invites", &admin, "role=operator&email=&expires=2d").await;
    let link = in_page(&made, "/auth/register/");
    assert!(send(&site.router, get(&link, "")).await.body.contains("<strong>operator</strong>"));
    let body = format!("name=bob&password={PASSWORD}&again={PASSWORD}");
    assert!(post(&site, &link, "", &body).await.body.contains("The account is made"));
    assert_eq!(send(&site.router, get(&link, "")).await.status, StatusCode::NOT_FOUND);
    let list = send(&site.router, get("/settings/users", &admin)).await;
    assert!(list.body.contains("/settings/users/bob") && list.body.contains("No mail is sent"), "{}", list.body);
    let reset = in_page(&post(&site, "/settings/users/bob/reset", &admin, "").await, "/auth/reset/");
    post(&site, &reset, "", &format!("password={OTHER}&again={OTHER}")).await;
    assert_eq!(sign_in(&site, "bob", OTHER).await.status, StatusCode::SEE_OTHER);
    let forgot = post(&site, "/auth/forgot", "", "name=bob").await;
    assert_eq!(forgot.status, StatusCode::CONFLICT);
    let bad = post(&site, "/settings/invites", &admin, "role=king&email=x&expires=").await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(bad.body.contains("Choose one of viewer"), "{}", bad.body);
    site.stop().await;
}

/// The path of the link that a page shows.
fn in_page(page: &Answer, part: &str) -> String {
    let start = page.body.find(part).unwrap_or_else(|| panic!("no {part} in {}", page.body));
    page.body[start..].split(['<', '"']).next().unwrap().to_owned()
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_their_user_a_new_password_and_an_administrator() {
    let site = Site::start(Settings::default()).await;
    let admin = site.sign_in().await;
    let first = makes_user(&site, &admin, "bob", "viewer").await;
    let second = cookie(&sign_in(&site, "bob", PASSWORD).await, "session");
    let status = async |cookie: &str| send(&site.router, get("/scans", cookie)).await.status;
    let list = send(&site.router, get("/profile/security", &second)).await;
    assert_eq!(
        (list.body.matches("<tr><th").count(), list.body.matches("This session").count()),
        (3, 1),
        "{}",
        list.body
    );
    let answer = post(&site, "/profile/security/others", &second, "").await;
    let third = cookie(&answer, "session");
    assert!(!third.is_empty() && third != second, "a new id: {third}");
    assert_eq!((status(&first).await, status(&second).await), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
    assert_eq!(status(&third).await, StatusCode::OK);

    let wrong = format!("current={OTHER}&password={OTHER}&again={OTHER}");
    assert!(post(&site, "/profile/password", &third, &wrong).await.body.contains("id=\"current-fault\""));
    let right = format!("current={PASSWORD}&password={OTHER}&again={OTHER}");
    let fourth = cookie(&post(&site, "/profile/password", &third, &right).await, "session");
    assert_eq!((status(&third).await, status(&fourth).await), (StatusCode::SEE_OTHER, StatusCode::OK));
    post(&site, "/settings/users/bob/disable", &admin, "").await;
    assert_eq!(status(&fourth).await, StatusCode::SEE_OTHER);
    let closed = sign_in(&site, "bob", OTHER).await;
    assert_eq!(closed.status, StatusCode::FORBIDDEN);
    assert!(closed.body.contains("An administrator has closed this account"), "{}", closed.body);
    site.stop().await;
}

#[tokio::test]
async fn a_stranger_who_guesses_locks_out_neither_a_known_browser_nor_for_ever() {
    let site = Site::start(Settings::default()).await;
    let answer = sign_in(&site, "ada", PASSWORD).await;
    let (session, browser) = (cookie(&answer, "session"), cookie(&answer, "device"));
    for _ in 0..20 {
        site.app.throttle.failed(&Attempt::of("ada", None, None), Timestamp::now());
    }
    let last = sign_in(&site, "ada", "guess").await;
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.body.contains("Too many wrong passwords") && last.body.contains("value=\"ada\""), "{}", last.body);
    assert_eq!(sign_in(&site, "ada", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "nobody else may try");
    let body = format!("name=ada&password={PASSWORD}");
    let known = post(&site, "/auth/login", &browser, &body).await;
    assert_eq!(known.status, StatusCode::SEE_OTHER);
    assert_ne!(cookie(&known, "device"), browser, "each sign-in gives a new one");
    assert_eq!(
        post(&site, "/auth/login", &browser, &body).await.status,
        StatusCode::TOO_MANY_REQUESTS,
        "the old one is void"
    );
    let user = send(&site.router, get("/settings/users/ada", &session)).await;
    assert!(user.body.contains("Unlock"), "{}", user.body);
    post(&site, "/settings/users/ada/unlock", &session, "").await;
    assert_eq!(sign_in(&site, "ada", PASSWORD).await.status, StatusCode::SEE_OTHER);
    site.stop().await;
}

#[tokio::test]
async fn after_signing_in_one_comes_back_to_a_page_of_ours_alone() {
    let site = Site::start(Settings::default()).await;
    for (next, location) in
        [("/scans", "/scans"), ("//evil.example", "/"), ("https://evil.example", "/"), ("/%09/evil.example", "/")]
    {
        let body = format!("name=ada&password={PASSWORD}&next={next}");
        let answer = send(&site.router, form(Method::POST, "/auth/login", &body)).await;
        assert_eq!(answer.header("location"), location, "{next}");
        let body = format!("confirm-password={PASSWORD}&next={next}");
        let confirmed = post(&site, "/auth/confirm", &cookie(&answer, "session"), &body).await;
        assert_eq!(confirmed.header("location"), location, "{next}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_profile_is_edited_and_preferences_change_how_pages_look() {
    let site = Site::start_with_mail(Settings::default()).await;
    let cookie = site.sign_in().await;
    let saved = post(&site, "/profile", &cookie, "first=Ada&last=Lovelace&email=ada@example.org").await;
    assert_eq!((saved.status, saved.header("location")), (StatusCode::SEE_OTHER, "/profile"));
    let page = send(&site.router, get("/profile", &cookie)).await;
    assert!(page.body.contains("is not confirmed yet") && page.body.contains("value=\"Lovelace\""), "{}", page.body);
    let link = site.mailed("confirm your e-mail address", "/auth/verify/").await;
    post(&site, &link, "", "").await;
    assert!(!send(&site.router, get("/profile", &cookie)).await.body.contains("is not confirmed yet"));
    let bad = post(&site, "/profile", &cookie, "first=&last=&email=ada").await;
    assert!(bad.body.contains("id=\"email-fault\"") && bad.body.contains("value=\"ada\""), "{}", bad.body);

    post(&site, "/profile/preferences", &cookie, "zone=Asia/Tokyo&colours=dark").await;
    let page = send(&site.router, get("/profile", &cookie)).await;
    assert!(page.body.contains("<html lang=\"en\" data-theme=\"dark\" data-shortcuts=\"off\">"), "{}", page.body);
    assert!(page.body.contains(" JST</time>"), "{}", page.body);
    let bad = post(&site, "/profile/preferences", &cookie, "zone=Mars&colours=dark&shortcuts=on").await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    site.stop().await;
}

#[tokio::test]
async fn a_session_that_was_ended_during_a_request_stays_ended() {
    let site = Site::start(Settings::default()).await;
    let cookie = site.sign_in().await;
    // Loaded before the end, saved after it: as a request that is under way would.
    let request: Request<Body> = get("/scans", &cookie);
    let (app, router) = (site.app.clone(), site.router.clone());
    let store = tower_sessions::Session::new(
        Some(cookie.split_once('=').unwrap().1.parse().unwrap()),
        std::sync::Arc::new(crate::session::store_of(&app)),
        None,
    );
    store.load().await.unwrap();
    send(&router, post_form("/auth/logout", &cookie, "")).await;
    store.insert("seen", true).await.unwrap();
    store.save().await.unwrap();
    assert_eq!(send(&router, request).await.status, StatusCode::SEE_OTHER);
    site.stop().await;
}
