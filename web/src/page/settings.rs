//! `/settings`: the tabs that stand on each of its pages, and the way to the first of them. A page below it is a file of
//! its own, and a line in [`TABS`].

use crate::App;
use crate::error::WebError;
use crate::filters;
use crate::page::{Head, Section};
use crate::session::Caller;
use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::response::Redirect;
use coordinator::{Right, Role};

/// One page of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tab {
    pub(crate) word: &'static str,
    pub(crate) path: &'static str,
    /// Who sees it: as in the table of routes.
    pub(crate) right: Right,
}

/// In the order in which they are shown.
pub(crate) const TABS: &[Tab] = &[
    Tab { word: "General", path: "/settings/general", right: Right::Administer },
    Tab { word: "Users", path: "/settings/users", right: Right::Administer },
    Tab { word: "Invites", path: "/settings/invites", right: Right::Administer },
    Tab { word: "Rules", path: "/settings/rules", right: Right::Read },
    Tab { word: "Retention", path: "/settings/retention", right: Right::Read },
    Tab { word: "Tokens", path: "/settings/tokens", right: Right::Administer },
    Tab { word: "Logs", path: "/settings/logs", right: Right::Administer },
    Tab { word: "Audit log", path: "/settings/audit", right: Right::Administer },
    Tab { word: "About", path: "/settings/about", right: Right::Read },
];

impl Head {
    /// The page of a tab, by its path.
    pub(crate) fn settings(tab: &'static str, title: impl Into<String>) -> Self {
        Self { tab, ..Self::below(Section::Settings, title) }
    }
}

/// The tabs that somebody may open.
#[derive(Template)]
#[template(path = "partials/settings.html")]
pub(crate) struct Tabs {
    role: Role,
    current: &'static str,
}

impl HtmlSafe for Tabs {}

impl Tabs {
    /// Above a page of the settings; none above others.
    pub(crate) fn above(head: &Head, role: Role) -> Option<Self> {
        (!head.tab.is_empty()).then_some(Self { role, current: head.tab })
    }

    fn shown(&self) -> impl Iterator<Item = &'static Tab> {
        let role = self.role;
        TABS.iter().filter(move |tab| role.may(tab.right))
    }

    fn is_current(&self, tab: &Tab) -> bool {
        tab.path == self.current
    }
}

/// `GET /settings`
pub(crate) async fn show(State(app): State<App>, Caller(actor): Caller) -> Result<Redirect, WebError> {
    let first = Tabs { role: actor.role, current: "" }.shown().next().ok_or(WebError::NoSuchPage)?;
    Ok(Redirect::to(&app.link(first.path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{Access, page_table};

    #[test]
    fn each_tab_leads_to_a_page_for_the_same_people() {
        let table = page_table();
        for tab in TABS {
            let route = table.iter().find(|route| route.path == tab.path).unwrap_or_else(|| panic!("{}", tab.path));
            assert_eq!(route.access, Access::Needs(tab.right), "{}", tab.path);
        }
    }
}
