//! A small disk of its own for one folder, which can be filled to the last byte. Takes root.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs that is taken away when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Puts a disk of so many MiB at the new folder `path`; `None`, and a line that says so, for all but root.
    pub(crate) fn at(path: &Path, mib: u32) -> Option<Self> {
        let may = rustix::process::geteuid().is_root();
        let must = std::env::var("PORTDRIFT_NO_SKIP").as_deref() == Ok("1");
        assert!(may || !must, "a disk of its own takes root");
        if !may {
            println!("skipped: a disk of its own takes root");
            return None;
        }
        std::fs::create_dir(path).unwrap();
        let size = format!("size={mib}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "portdrift-test"]).arg(path).output();
        let mounted = mounted.unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Some(Self(path.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Takes all the room there is.
    pub(crate) fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        for size in [1 << 20, 4 << 10, 1] {
            let piece = vec![b'x'; size];
            while filler.write_all(&piece).is_ok() {}
        }
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that a process that still holds a file does not keep it.
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}
