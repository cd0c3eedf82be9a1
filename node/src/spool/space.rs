//! How much room the spool has: its own limit, and what must stay free on its file system. Pure but for [`Disk::read`].

use protocol::message::Room;
use std::path::Path;

/// With less than this part of the limit left, a fifth, no new task is taken.
const TIGHT_PART: u64 = 5;

/// This part of the file system stays free, a twentieth, or [`LEAST_FREE_BYTES`] when that is more.
const FREE_PART: u64 = 20;
const LEAST_FREE_BYTES: u64 = 512 << 20;

/// With less than this part of what must stay free, a quarter, nothing runs at all.
const FULL_PART: u64 = 4;

/// How much the spool may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes of results that wait.
    pub bytes: u64,
    /// Bytes that stay free on its file system; `None`: a twentieth of it, at least 512 MiB.
    pub keep_free_bytes: Option<u64>,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self { bytes: 1 << 30, keep_free_bytes: None }
    }
}

impl SpoolLimits {
    /// What stays free of a file system of so many bytes.
    pub fn keep_free(&self, total_bytes: u64) -> u64 {
        self.keep_free_bytes.unwrap_or_else(|| (total_bytes / FREE_PART).max(LEAST_FREE_BYTES))
    }
}

/// The file system that the spool lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    /// Bytes that this user can still write.
    pub(super) free: u64,
    /// Bytes in all.
    pub(super) total: u64,
}

impl Disk {
    /// What the system says now; `None` when it does not tell, and then only the spool's own limit holds.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(folder).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    fn room(self, limits: &SpoolLimits) -> Room {
        let keep = limits.keep_free(self.total);
        match self.free {
            free if free < keep / FULL_PART => Room::Full,
            free if free < keep => Room::Tight,
            _ => Room::Free,
        }
    }
}

/// How much may still come in, and what stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// How much.
    pub room: Room,
    /// What makes it less than free, for people.
    pub reason: &'static str,
}

impl Space {
    /// With `used` bytes of results on `disk`.
    pub(super) fn of(used: u64, disk: Option<Disk>, limits: &SpoolLimits) -> Self {
        let results = match used {
            used if used >= limits.bytes => Room::Full,
            used if used >= limits.bytes - limits.bytes / TIGHT_PART => Room::Tight,
            _ => Room::Free,
        };
        let disk = disk.map_or(Room::Free, |disk| disk.room(limits));
        let reason = match results.max(disk) {
            Room::Free => "there is room",
            _ if disk > results => {
                "the disk of this node's spool has too little free; make room, or set `spool_keep_free_mib` in the policy file"
            }
            Room::Tight => "undelivered results have nearly filled this node's spool",
            Room::Full => "undelivered results have filled this node's spool",
        };
        Self { room: results.max(disk), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn at_four_fifths_it_is_tight_and_at_the_limit_full() {
        let limits = SpoolLimits { bytes: 1_000, keep_free_bytes: None };
        let room = |used| Space::of(used, None, &limits).room;
        assert_eq!([0, 799, 800, 999].map(room), [Room::Free, Room::Free, Room::Tight, Room::Tight]);
        assert_eq!([1_000, u64::MAX].map(room), [Room::Full, Room::Full]);
        let nothing = SpoolLimits { bytes: 0, keep_free_bytes: None };
        assert_eq!(Space::of(0, None, &nothing).room, Room::Full);
    }

    #[test]
    fn a_twentieth_or_half_a_gibibyte_of_the_disk_stays_free_or_what_the_owner_says() {
        let room = |total: u64, free: u64, keep_free_bytes| {
            let limits = SpoolLimits { bytes: MIB, keep_free_bytes };
            Space::of(0, Some(Disk { free: free * MIB, total: total * MIB }), &limits).room
        };
        assert_eq!(
            [512, 511, 128, 127].map(|free| room(1_000, free, None)),
            [Room::Free, Room::Tight, Room::Tight, Room::Full]
        );
        let large = [2_000, 1_999, 500, 499].map(|free| room(40_000, free, None));
        assert_eq!(large, [Room::Free, Room::Tight, Room::Tight, Room::Full]);
        assert_eq!(
            [4, 3, 1, 0].map(|free| room(16, free, Some(4 * MIB))),
            [Room::Free, Room::Tight, Room::Tight, Room::Full]
        );
        assert_eq!(room(16, 0, Some(0)), Room::Free);
    }

    #[test]
    fn the_worse_of_both_counts_and_is_named() {
        let limits = SpoolLimits { bytes: 100, keep_free_bytes: Some(40) };
        let told = |used, free| Space::of(used, Some(Disk { free, total: 1_000 }), &limits);
        assert_eq!(told(90, 900).reason, "undelivered results have nearly filled this node's spool");
        assert_eq!((told(90, 5).room, told(90, 20).room), (Room::Full, Room::Tight));
        assert!(told(90, 5).reason.contains("spool_keep_free_mib"));
        assert!(told(100, 5).reason.contains("undelivered results have filled"));
    }

    #[test]
    fn a_real_disk_tells_its_size() {
        let disk = Disk::read(&std::env::temp_dir()).unwrap();
        assert!(disk.total > 0 && disk.free <= disk.total);
        assert_eq!(Disk::read(Path::new("/does/not/exist")), None);
    }
}
