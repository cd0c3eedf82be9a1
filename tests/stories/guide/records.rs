//! What administrators look after: rules, what is kept, the audit log, logs; and what the program says about itself.

use super::Guide;

pub(super) async fn edit_the_rules(guide: &Guide) {
    let browser = &guide.browser;
    guide.open_settings("Rules").await;
    browser.headline("Alert rules").await;
    browser.fill("port", "70000/tcp").await;
    browser.fill("name", "Admin console").await;
    browser.choose("severity", "high").await;
    browser.push("Save rule").await;
    browser.find("//*[@id='faults' and contains(., 'The rules were not changed')]").await;
    browser.fill("port", "8080/tcp").await;
    browser.push("Save rule").await;
    browser.says("8080/tcp (Admin console) is high from the next run of each scan on.").await;
    browser.click("//tr[contains(., '8080/tcp')]//a[contains(., 'Change')]").await;
    browser.find("//h2[normalize-space()='Change the rule for 8080/tcp']").await;
    browser.choose("severity", "medium").await;
    browser.push("Save rule").await;
    browser.says("8080/tcp (Admin console) is medium from the next run of each scan on.").await;
    browser.click("//tr[contains(., '8080/tcp')]//button[contains(., 'Remove')]").await;
    browser.says("The rule Admin console for 8080/tcp is removed.").await;
    browser.click("//summary[normalize-space()='Take the default rules back']").await;
    browser.push("Reset the rules").await;
    browser.says("The 8 default rules are in force.").await;
}

pub(super) async fn limit_what_is_kept(guide: &Guide) {
    let browser = &guide.browser;
    guide.open_settings("Retention").await;
    browser.headline("Retention").await;
    browser.fill("runs", "many").await;
    browser.push("Save limits").await;
    browser.find("//*[@id='faults' and contains(., 'The limits were not changed')]").await;
    browser.fill("runs", "10").await;
    browser.fill("days", "90").await;
    browser.push("Save limits").await;
    browser.says("Kept by default: the latest 10 runs, 90 days at most.").await;
    browser.click("//tr[contains(., 'office')]//a[contains(., 'Change')]").await;
    browser.find("//h2[normalize-space()='Limits of office']").await;
    browser.fill("runs", "5").await;
    browser.fill("days", "").await;
    browser.push("Save limits").await;
    browser.says("Kept of office: the latest 5 runs.").await;
    browser.click("//tr[contains(., 'office')]//a[contains(., 'Change')]").await;
    browser.push("Take the default limits").await;
    browser.says("The default limits hold for office again.").await;
}

pub(super) async fn read_the_audit_log(guide: &Guide) {
    let browser = &guide.browser;
    guide.open_settings("Audit log").await;
    browser.headline("Audit log").await;
    browser.find("//tr[contains(., 'session open') and contains(., '127.0.0.1')]").await;
    browser.fill("actor", "ada").await;
    browser.fill("action", "rule set").await;
    browser.push("Show").await;
    browser.find("//a[contains(@class, 'chip') and contains(., 'rule set')]").await;
    browser.find("//p[contains(., '2 shown of')]").await;
    browser.find("//tr[contains(., 'rule set') and contains(., '8080')]").await;

    let (name, table) = browser.download("//a[@aria-label='Export as CSV']").await;
    assert!(name.ends_with(".csv"), "{name}");
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(table.as_slice()).records().map(Result::unwrap).collect();
    let of_rules = |row: &csv::StringRecord| row.iter().any(|cell| cell == "rule set");
    assert!(rows.len() == 2 && rows.iter().all(of_rules), "{rows:?}");
    let (name, document) = browser.download("//a[@aria-label='Export as JSON']").await;
    assert!(name.ends_with(".json"), "{name}");
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert!(document.to_string().matches("rule set").count() >= 2, "{document:#}");
}

pub(super) async fn read_the_logs(guide: &Guide) {
    let browser = &guide.browser;
    guide.open_settings("Logs").await;
    browser.headline("Logs").await;
    browser.choose("file", "scheduler").await;
    browser.push("Show").await;
    browser.find("//ol[@class='log']/li[contains(., 'coordinator::')]").await;
    browser.choose("file", "error").await;
    browser.choose("level", "warn").await;
    browser.fill("text", "sign-in").await;
    browser.push("Show").await;
    browser.find("//ol[@class='log']/li[contains(., 'a sign-in was refused')]").await;
    browser.fill("text", "zebra crossing").await;
    browser.push("Show").await;
    browser.says("No line matches these filters").await;
    browser.follow("Clear filters").await;

    browser.follow("Follow").await;
    browser.says("Waiting for new lines.").await;
    browser.follow("Stop following").await;
    browser.choose("file", "app").await;
    browser.push("Show").await;
    let (name, log) = browser.download("//tr[contains(., 'app.log')]//a[contains(., 'Download')]").await;
    assert!(name.ends_with(".log"), "{name}");
    let log = String::from_utf8(log).unwrap();
    assert!(log.contains("coordinator::") && log.contains("a sign-in was refused"), "{log}");
}

pub(super) async fn read_about_the_program(guide: &Guide) {
    let browser = &guide.browser;
    guide.open_settings("General").await;
    browser.headline("General").await;
    browser.find("//section[@aria-labelledby='section-web']//tr[contains(., 'listen')]").await;
    guide.open_settings("About").await;
    browser.headline("About Portdrift").await;
    browser.find(&format!("//dd[normalize-space()='{}']", env!("CARGO_PKG_VERSION"))).await;
}

pub(super) async fn read_the_help(guide: &Guide) {
    let browser = &guide.browser;
    browser.click("//a[@aria-label='Help']").await;
    browser.headline("Help").await;
    for question in ["A scan does not run", "There are no results", "There is no report", "It is slow"] {
        browser.find(&format!("//section[h3[normalize-space()='{question}']]//*[self::li or self::p]")).await;
    }
    // The run that was stopped looked at nothing, and the page knows.
    browser.find("//section[h3[normalize-space()='There are no results']]//li[contains(., 'office')]").await;
    browser.find("//section[@aria-labelledby='keys']//kbd").await;
}
