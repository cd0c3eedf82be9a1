//! Looking something up: a host and its past, who has a port open, and the search.

use super::Guide;

pub(super) async fn find_hosts(guide: &Guide) {
    let (browser, host) = (&guide.browser, guide.host(5));
    browser.follow("Hosts").await;
    browser.headline("Hosts").await;
    browser.find("//p[contains(., '2 shown, 2 hosts are known')]").await;
    browser.fill("port", "3389").await;
    browser.push("Show").await;
    browser.find("//a[contains(@class, 'chip') and contains(., 'Port')]").await;
    browser.find("//p[contains(., '1 shown')]").await;
    browser.follow(&host).await;
    browser.headline(&host).await;
    browser.find("//tr[contains(., '3389/tcp')]//*[@aria-label='Open in run 2; not open in run 1']").await;
    browser.click("//summary[contains(., 'Open before')]").await;
    browser.find("//tr[contains(., '3306/tcp')]//*[@aria-label='Open in run 1; not open in run 2']").await;
    browser.find("//section[@aria-labelledby='alerts']//a[normalize-space()='RDP']").await;

    guide.open(&format!("/hosts/1-{}", guide.host(6))).await;
    browser.find("//*[contains(@class, 'notice') and contains(., 'This host is gone since run 2')]").await;
}

pub(super) async fn find_services(guide: &Guide) {
    let browser = &guide.browser;
    guide.open("/hosts").await;
    browser.follow("Services").await;
    browser.headline("Services").await;
    browser.find("//tr[contains(., '2222/tcp') and contains(., 'ssh') and td[normalize-space()='2']]").await;
    browser.follow("2222/tcp").await;
    browser.headline("Port 2222/tcp").await;
    for host in [guide.host(5), guide.host(7)] {
        browser.find(&format!("//tr[contains(., '{host}')]")).await;
    }
}

pub(super) async fn search(guide: &Guide) {
    let (browser, host) = (&guide.browser, guide.host(5));
    browser.fill("q", &format!("{host}\n")).await;
    browser.headline(&host).await;
    browser.fill("q", "port:3389 NOT network:lab\n").await;
    browser.headline("Search").await;
    for group in ["hosts", "alerts"] {
        browser.find(&format!("//section[@aria-labelledby='{group}']//a")).await;
    }
    browser.fill("q", "first-floor\n").await;
    browser.find("//section[@aria-labelledby='nodes']//a[normalize-space()='first-floor']").await;
    browser.fill("q", "colour:red\n").await;
    browser.find("//*[@id='q-fault' and contains(., 'the fields are address')]").await;
    browser.fill("q", "nowhere-to-be-found\n").await;
    browser.says("Nothing fits").await;
}
