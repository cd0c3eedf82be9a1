//! Whether a data folder and its keys belong to whoever works in it, and to nobody else.

use super::Finding;
use protocol::Keypair;
use protocol::identity::KeyFileError;
use rustix::fs::Access;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The permission bits of everybody but the owner.
const FOR_OTHERS: u32 = 0o077;

/// Whose the folder is; `maker` is the command that makes one.
pub(crate) fn owner(dir: &Path, maker: &str) -> Finding {
    let me = rustix::process::geteuid();
    match std::fs::metadata(dir) {
        Ok(facts) => of_facts(dir, &facts, (me.as_raw(), me.is_root())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fault(format!("there is no {}", dir.display())).remedy(format!("`{maker}` makes it, or name it with --dir"))
        }
        Err(error) => fault(format!("{} cannot be looked at: {error}", dir.display()))
            .remedy("run this as the user that owns it, or as root"),
    }
}

fn of_facts(dir: &Path, facts: &Metadata, (me, is_root): (u32, bool)) -> Finding {
    let (place, mode, owner) = (dir.display(), facts.mode() & 0o7777, facts.uid());
    if !facts.is_dir() {
        return fault(format!("{place} is no folder")).remedy("name another one with --dir");
    }
    if owner != me && !is_root {
        let remedy = format!("run this as user {owner}, or `chown -R` the folder");
        return fault(format!("{place} belongs to user {owner}, and you are {me}")).remedy(remedy);
    }
    if mode & FOR_OTHERS != 0 {
        let others = format!("{place} is open to others (mode {mode:04o})");
        return fault(others).remedy(format!("run `chmod 700 {place}`"));
    }
    if let Some(stranger) = strangers(dir, owner) {
        let found = format!("{stranger} does not belong to user {owner}, whose the folder is");
        return fault(found).remedy(format!("run `chown -R {owner} {place}`"));
    }
    match rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(CHECK, format!("{place}, of user {owner} alone")),
        Err(error) => fault(format!("{place} cannot be written: {error}")).remedy("see how its file system is mounted"),
    }
}

const CHECK: &str = "data folder";

fn fault(found: String) -> Finding {
    Finding::fault(CHECK, found)
}

/// A file of the folder that belongs to somebody else, as is left behind by a start as another user.
fn strangers(dir: &Path, owner: u32) -> Option<String> {
    let files = std::fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let mut foreign = files.filter(|file| file.metadata().is_ok_and(|facts| facts.uid() != owner));
    foreign.next().map(|file| file.path().display().to_string())
}

/// The key files of a folder, and whether each must be there.
pub(crate) fn keys(dir: &Path, names: &[(&str, bool)]) -> Vec<Finding> {
    let read = |(name, must_be): &(&str, bool)| match Keypair::load(&dir.join(name)) {
        Ok(_) => Some(Finding::ok("keys", format!("{name} is whole, and closed to others"))),
        Err(KeyFileError::Missing(_)) if !must_be => None,
        Err(error) => Some(Finding::fault("keys", error)),
    };
    names.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn told(dir: &Path, finding: Finding) -> String {
        finding.line().replace(dir.to_str().unwrap(), "[DIR]")
    }

    #[test]
    fn a_folder_is_its_owners_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        let own = std::fs::metadata(dir).unwrap().uid();
        let as_user = |me: u32| told(dir, of_facts(dir, &std::fs::metadata(dir).unwrap(), (me, false)));
        let user = |text: String| text.replace(&own.to_string(), "[ME]");
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(user(as_user(own)), "ok | data folder | [DIR], of user [ME] alone");
        assert!(as_user(own + 1).starts_with("fault | data folder | [DIR] belongs to user "));
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(as_user(own), "fault | data folder | [DIR] is open to others (mode 0750); run `chmod 700 [DIR]`");
        let missing = told(dir, owner(&dir.join("x"), "portdrift setup"));
        assert_eq!(
            missing,
            "fault | data folder | there is no [DIR]/x; `portdrift setup` makes it, or name it with --dir"
        );
    }

    #[test]
    fn a_key_is_whole_and_closed_or_a_fault() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path();
        let both = [("coordinator.key", true), ("mesh.key", false)];
        let lines = || keys(dir, &both).into_iter().map(|finding| told(dir, finding)).collect::<Vec<_>>();
        assert!(lines()[0].starts_with("fault | keys | [DIR]/coordinator.key is missing"), "{:?}", lines());
        assert_eq!(lines().len(), 1, "a mesh key may be elsewhere");
        Keypair::create(&dir.join("coordinator.key")).unwrap();
        assert_eq!(lines(), ["ok | keys | coordinator.key is whole, and closed to others"]);
        std::fs::set_permissions(dir.join("coordinator.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(lines()[0].contains("chmod 600"), "{:?}", lines());
    }
}
