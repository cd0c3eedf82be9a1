//! Accounts: an invite that is used, roles, who asks to be let in; tokens; one's own profile, sessions and password.

use super::Guide;
use super::start::give;
use crate::harness::{Answer, Browser, PASSWORD, Script, ask, connect, portdrift, request, stdout_of, told};
use crate::stories::https::address_of;

const THEIRS: &str = "green kettle by the door";
const NEXT: &str = "seven grey geese on a pond";

/// Fills in who one is; the page asks for a password twice.
async fn register(browser: &Browser, name: &str) {
    browser.headline("Create an account").await;
    browser.fill("name", name).await;
    browser.fill("first", "Grace").await;
    browser.fill("password", THEIRS).await;
    browser.fill("again", "something else entirely").await;
    browser.push("Create account").await;
    browser.find("//*[@id='faults' and contains(., 'The account was not made')]").await;
    browser.fill("password", THEIRS).await;
    browser.fill("again", THEIRS).await;
    browser.push("Create account").await;
}

pub(super) async fn invite_somebody(guide: &Guide) {
    let browser = &guide.browser;
    guide.open_settings("Users").await;
    browser.headline("Users").await;
    browser.follow("Invite").await;
    browser.headline("Invites").await;
    browser.push("Create invite").await;
    browser.click("//tr[contains(., 'whoever has the link')]//button[contains(., 'Take back')]").await;
    browser.says("The invite is taken back.").await;
    browser.fill("email", "grace@example.org").await;
    browser.choose("role", "operator").await;
    browser.push("Create invite").await;
    let link = browser.words("//pre[@class='command']/code").await;
    browser.goto(&link).await;
    browser.says("You are invited as operator.").await;
    register(browser, "grace").await;
    browser.headline("The account is made").await;
    guide.open_settings("Users").await;
    browser.find("//tr[contains(., 'grace') and contains(., 'grace@example.org') and contains(., 'operator')]").await;
}

pub(super) async fn manage_accounts(guide: &Guide) {
    let browser = &guide.browser;
    browser.follow("grace").await;
    browser.headline("grace").await;
    browser.choose("role", "viewer").await;
    browser.push("Change role").await;
    browser.says("Grace is viewer from now on.").await;
    browser.push("Sign out everywhere").await;
    browser.says("Every session of grace has ended.").await;
    browser.push("Make a link for a new password").await;
    let link = browser.words("//pre[@class='command']/code").await;
    assert!(link.contains("/auth/reset/"), "{link}");
    browser.push("Close the account").await;
    browser.says("The account of grace is closed; its sessions have ended.").await;
    browser.push("Open the account again").await;
    browser.says("Grace may sign in.").await;

    guide.open_settings("Users").await;
    browser.fill("name", "linus").await;
    browser.choose("role", "approver").await;
    browser.fill("password", "short").await;
    browser.push("Create user").await;
    browser.find("//*[@id='faults' and contains(., 'The user was not made')]").await;
    browser.fill("password", THEIRS).await;
    browser.push("Create user").await;
    browser.says("Linus can sign in as approver; tell them the password yourself.").await;
}

pub(super) async fn let_somebody_in(guide: &Guide) {
    let browser = &guide.browser;
    let registration = async |mode: &str| {
        guide.open_settings("Invites").await;
        browser.click(&format!("//input[@name='mode' and @value='{mode}']")).await;
        browser.push("Save").await;
        browser.says(&format!("Registration is {mode} from now on.")).await;
    };
    registration("approval").await;
    guide.open("/auth/register").await;
    register(browser, "lena").await;
    browser.headline("Wait for an administrator").await;
    guide.open_settings("Users").await;
    browser.push("Let in lena").await;
    browser.says("Lena may sign in.").await;
    registration("invite").await;
}

pub(super) async fn make_a_token(guide: &Guide) {
    let browser = &guide.browser;
    guide.open_settings("Tokens").await;
    browser.follow("Your tokens").await;
    browser.headline("Your API tokens").await;
    browser.push("Create token").await;
    browser.find("//*[@id='faults' and contains(., 'No token was made')]").await;
    browser.fill("name", "backup").await;
    browser.push("Create token").await;
    browser.says("Copy it now: it is shown only here.").await;
    let file = guide.mesh.home().join("backup.token");
    std::fs::write(&file, browser.words("//pre[@class='command']/code").await).unwrap();
    let mut list = portdrift(guide.mesh.home());
    list.args(["nodes", "list", "--url", guide.mesh.dashboard(), "--token-file"]).arg(&file);
    assert!(stdout_of(&mut list).contains("first-floor"));

    guide.open_settings("Tokens").await;
    browser.find("//tr[contains(., 'backup') and contains(., 'ada') and contains(., 'read')]").await;
    browser.click("//tr[contains(., 'backup')]//button[contains(., 'Revoke')]").await;
    browser.says("The token backup of ada opens nothing any more.").await;
    let refused = list.output().unwrap();
    assert_eq!(refused.status.code(), Some(4), "{}", told(&refused));
}

pub(super) async fn edit_the_profile(guide: &Guide) {
    let browser = &guide.browser;
    browser.click("//details[@class='account']/summary").await;
    browser.follow("Your account").await;
    browser.headline("Profile").await;
    browser.fill("first", "Ada").await;
    browser.fill("last", "Lovelace").await;
    browser.fill("email", "ada@example.org").await;
    browser.push("Save profile").await;
    browser.says("Your profile is saved.").await;
    browser.find("//input[@name='last' and @value='Lovelace']").await;

    browser.follow("Preferences").await;
    browser.fill("zone", "Mars").await;
    browser.push("Save preferences").await;
    browser.find("//*[@id='faults' and contains(., 'The preferences were not saved')]").await;
    browser.fill("zone", "Asia/Tokyo").await;
    browser.choose("colours", "dark").await;
    browser.click("//input[@name='shortcuts']").await;
    browser.push("Save preferences").await;
    browser.says("Your preferences are saved.").await;
    browser.find("//html[@data-theme='dark' and @data-shortcuts='off']").await;
    if guide.script == Script::On {
        browser.press("gh").await;
        browser.press("?").await;
        assert!(browser.url().await.ends_with("/profile/preferences"), "keys are off: {}", browser.url().await);
    }
    guide.open("/reports/2").await;
    browser.find("//section[@aria-labelledby='compared']//time[contains(., 'JST')]").await;
}

/// Somebody who knows the password, in another browser.
fn sign_in_elsewhere(guide: &Guide) -> String {
    let form = format!("name=ada&password={}", PASSWORD.replace(' ', "+"));
    let opened = asked(guide, &request("POST", "localhost", "/auth/login", "", &form));
    opened.header("set-cookie").split(';').next().unwrap().to_owned()
}

fn asked(guide: &Guide, text: &str) -> Answer {
    ask(connect(address_of(guide.mesh.dashboard())).unwrap(), text).unwrap()
}

pub(super) async fn end_other_sessions(guide: &Guide) {
    let browser = &guide.browser;
    let cookie = sign_in_elsewhere(guide);
    let visit = || asked(guide, &request("GET", "localhost", "/hosts", &cookie, "")).status;
    assert_eq!(visit(), 200);
    guide.open("/profile/security").await;
    browser.headline("Sessions").await;
    browser.find("//tbody[count(tr)=2]//tr[contains(., 'This session')]").await;
    browser.push("Sign out others").await;
    browser.says("Every other session has ended.").await;
    browser.find("//tbody[count(tr)=1]//tr[contains(., 'This session')]").await;
    assert_eq!(visit(), 303);
}

pub(super) async fn change_the_password_and_sign_out(guide: &Guide) {
    let browser = &guide.browser;
    guide.open("/profile/password").await;
    for (current, outcome) in [("a guess", "The password was not changed"), (PASSWORD, "Your password is changed;")] {
        browser.fill("current", current).await;
        browser.fill("password", NEXT).await;
        browser.fill("again", NEXT).await;
        browser.push("Change password").await;
        browser.says(outcome).await;
    }
    browser.click("//details[@class='account']/summary").await;
    browser.push("Sign out").await;
    browser.headline("Sign in").await;
    guide.open("/alerts").await;
    browser.headline("Sign in").await;
    give(browser, "ada", PASSWORD).await;
    browser.find("//*[@id='faults' and contains(., 'Name and password do not belong together')]").await;
    give(browser, "ada", NEXT).await;
    browser.headline("Alerts").await;
}
