//! Which scans the list shows, and in which order; all of it stands in the address of the page.

use super::ScanRow;
use crate::query::percent_encoded;
use std::cmp::Reverse;
use std::net::IpAddr;

/// What is asked for. Empty fields do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    /// A part of the name or of the targets, or an address among the targets.
    pub(crate) text: String,
    /// `1`: deactivated ones too.
    pub(crate) inactive: String,
    pub(crate) sort: Order,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// From A to Z.
    #[default]
    Name,
    /// The newest run first.
    Last,
    /// The next one to run first.
    Next,
    /// The worst score first.
    Score,
}

impl Order {
    pub(crate) const ALL: [(Self, &'static str); 4] =
        [(Self::Name, "Name"), (Self::Last, "Last run"), (Self::Next, "Next run"), (Self::Score, "Worst score")];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Last => "last",
            Self::Next => "next",
            Self::Score => "score",
        }
    }

    /// For `aria-sort`.
    fn direction(self) -> &'static str {
        match self {
            Self::Name | Self::Next | Self::Score => "ascending",
            Self::Last => "descending",
        }
    }
}

impl Filter {
    pub(crate) fn shows_inactive(&self) -> bool {
        ["1", "true"].contains(&self.inactive.as_str())
    }

    /// True when some scans may be hidden by what was typed.
    pub(crate) fn is_set(&self) -> bool {
        !self.text.trim().is_empty()
    }

    /// The list with the same filter in this order.
    pub(crate) fn path(&self, sort: Order) -> String {
        let inactive = if self.shows_inactive() { "&inactive=1" } else { "" };
        format!("/scans?sort={}&text={}{inactive}", sort.name(), percent_encoded(self.text.trim()))
    }

    /// What `aria-sort` says of the column of this order.
    pub(crate) fn aria_sort(&self, sort: Order) -> &'static str {
        if self.sort == sort { sort.direction() } else { "none" }
    }

    /// The scans that match, in order; of equals, by name.
    pub(crate) fn apply(&self, scans: Vec<ScanRow>) -> Vec<ScanRow> {
        let mut shown: Vec<ScanRow> = scans.into_iter().filter(|scan| self.matches(scan)).collect();
        shown.sort_by_key(|scan| scan.name.to_lowercase());
        match self.sort {
            Order::Name => {}
            Order::Last => shown.sort_by_key(|scan| Reverse(scan.last.as_ref().map(|run| run.time))),
            Order::Next => shown.sort_by_key(|scan| (scan.next.time().is_none(), scan.next.time())),
            Order::Score => shown.sort_by_key(|scan| scan.gauge.as_ref().map_or(u8::MAX, |gauge| gauge.score)),
        }
        shown
    }

    fn matches(&self, scan: &ScanRow) -> bool {
        let text = self.text.trim().to_lowercase();
        let has = |word: &str| word.to_lowercase().contains(&text);
        let is_target = || text.parse::<IpAddr>().is_ok_and(|address| scan.targets.contains(address));
        has(&scan.name) || has(&scan.targets.to_string()) || is_target()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::Percent;
    use crate::look::{Badge, Gauge, Tone};
    use crate::page::scan::NextRun;
    use crate::page::scans::LastRun;
    use protocol::Timestamp;

    fn row(name: &str, targets: &str, last: Option<u64>, next: NextRun, score: Option<u8>) -> ScanRow {
        let state = || Badge::plain(Tone::Ok, "circle-check", "completed");
        ScanRow {
            path: String::new(),
            name: name.to_owned(),
            is_active: true,
            is_running: false,
            targets: targets.parse().unwrap(),
            addresses: 1,
            ports: String::new(),
            last: last.map(|at| LastRun { path: String::new(), state: state(), time: Timestamp::from_millis(at) }),
            next,
            gauge: score.map(|score| Gauge { score, coverage: Percent(100) }),
        }
    }

    fn names(filter: &Filter) -> String {
        let at = |millis| NextRun::At(Timestamp::from_millis(millis));
        let rows = vec![
            row("office", "10.1.0.0/24", Some(3), at(9), Some(85)),
            row("Lab", "10.2.0.0/24", Some(7), NextRun::Off, Some(40)),
            row("Dmz", "2001:db8::/120", None, at(4), None),
        ];
        filter.apply(rows).into_iter().map(|row| row.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn scans_are_sorted_by_the_address_of_the_page() {
        let sorted = |sort| names(&Filter { sort, ..Filter::default() });
        assert_eq!(
            Order::ALL.map(|(order, _)| sorted(order)),
            ["Dmz Lab office", "Lab office Dmz", "Dmz office Lab", "Lab office Dmz"]
        );
    }

    #[test]
    fn scans_are_found_by_name_by_targets_and_by_an_address_among_them() {
        let found = |text: &str| names(&Filter { text: text.into(), ..Filter::default() });
        assert_eq!(
            [found(" OFF "), found("10.2.0"), found("10.1.0.77"), found("2001:DB8::7"), found("10.3.0.1")],
            ["office", "Lab", "office", "Dmz", ""]
        );
    }

    #[test]
    fn the_address_of_a_sorted_list_keeps_the_filter() {
        let filter = Filter { text: " a&b ".into(), inactive: "1".into(), sort: Order::Name };
        assert_eq!(filter.path(Order::Score), "/scans?sort=score&text=a%26b&inactive=1");
        assert_eq!((filter.aria_sort(Order::Name), filter.aria_sort(Order::Last)), ("ascending", "none"));
    }
}
