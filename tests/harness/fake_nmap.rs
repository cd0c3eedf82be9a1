//! An nmap that breaks, in a known turn, and is the real one otherwise: a program for a node's policy file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The real one.
const NMAP: &str = "/usr/bin/nmap";

/// What it does instead of its work, one after the other.
///
/// None of this can be taken for a scan that ended well: see `engine::nmap` of the node.
const FAULTS: [&str; 7] = [
    // It hangs.
    "exec sleep 120",
    // It crashes in the middle of its document.
    "NMAP \"$@\" | head -c 900; kill -9 $$",
    // Its document is cut, as on a full disk, and all is said to be well.
    "NMAP \"$@\" | head -c 1500",
    // It does nothing, and says that this went well.
    "exit 0",
    // It floods.
    "printf '<nmaprun scanner=\"'; exec yes x",
    // It gives every second host up.
    "NMAP \"$@\" | awk '/^<host / && hosts++ % 2 { sub(/^<host /, \"<host timedout=\\\"true\\\" \") } 1'",
    // It reports on hosts that nobody asked for.
    "NMAP \"$@\" | sed 's/addr=\"127\\./addr=\"126./'",
];

/// Scripts that stand in for nmap, in a folder of their own.
pub(crate) struct FakeNmap<'a>(pub(crate) &'a Path);

impl FakeNmap<'_> {
    /// One that breaks at each fourth call, in its own way each time; `turn` says where it begins.
    pub(crate) fn breaking(&self, name: &str, turn: usize) -> PathBuf {
        let ways = FAULTS.iter().enumerate().map(|(number, fault)| format!("{number}) {fault} ;;\n"));
        let body = format!(
            "[ $(((n + {turn}) % 4)) -eq 0 ] || exec NMAP \"$@\"\ncase $(((n / 4 + {turn}) % {})) in\n{}esac\n",
            FAULTS.len(),
            ways.collect::<String>()
        );
        self.script(name, &body)
    }

    /// One that sees no host as long as there is a file `night` in the folder, and swears to it.
    pub(crate) fn blind_at_night(&self, name: &str) -> PathBuf {
        let night = self.0.join("night");
        let nobody = r#"/^<host /,/^<\/host>/d; s/<hosts up="\([0-9]*\)" down="0"/<hosts up="0" down="\1"/"#;
        let body = format!("[ -e {} ] || exec NMAP \"$@\"\nNMAP \"$@\" | sed '{nobody}'\n", night.display());
        self.script(name, &body)
    }

    /// A script that knows in `n` how often it was called before. The guard lets it write no byte, but it may make files.
    fn script(&self, name: &str, body: &str) -> PathBuf {
        let calls = self.0.join(format!("{name}.calls"));
        std::fs::create_dir(&calls).unwrap();
        let count = format!("n=0\nuntil {{ true > {}/$n; }} 2>/dev/null; do n=$((n + 1)); done\n", calls.display());
        let text = format!("#!/bin/sh\n[ \"$1\" != --version ] || exec NMAP --version\nset -C\n{count}{body}");
        let path = self.0.join(name);
        std::fs::write(&path, text.replace("NMAP", NMAP)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// How often the script of this name was started.
    pub(crate) fn calls(&self, name: &str) -> usize {
        std::fs::read_dir(self.0.join(format!("{name}.calls"))).unwrap().count()
    }
}
