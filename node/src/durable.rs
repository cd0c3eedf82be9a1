//! Files that are whole or absent, whatever moment the machine stops at: temporary file, sync, rename, sync of the folder.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The ending of a file that is being written; what is left of one after a crash is worth nothing.
pub(crate) const UNFINISHED: &str = "new";

/// Puts `parts`, one after the other, into the file at `path` (mode 0600). Durable when it returns `Ok`.
pub(crate) fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = path.with_added_extension(UNFINISHED);
    write(&temporary, parts).and_then(|()| std::fs::rename(&temporary, path)).inspect_err(|_| {
        // The unfinished file only takes room; the first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
    })?;
    sync_folder_of(path)
}

/// Makes a folder that only its owner can enter, with the folders above it.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes a rename or a removal in the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn write(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}
