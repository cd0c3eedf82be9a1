//! Files in memory that keep apart what was synced, and lose a random part of the rest when the power is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::chance::Chance;
use crate::store::Disk;
use crate::store::files::LogFile;
use crate::store::room::Space;

/// The least that a disk writes whole, in bytes; small, so that records are torn often.
const SECTOR_BYTES: usize = 16;

/// A disk whose power can be cut. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct CutDisk(Arc<Mutex<State>>);

struct State {
    chance: Chance,
    /// Changes until the power goes; none: it stays on.
    left: Option<u64>,
    /// Bytes for which there is room; none: as many as anybody wants.
    room: Option<u64>,
    /// The same from the next look at it on.
    room_after_a_look: Option<u64>,
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
}

#[derive(Default, Clone)]
struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
}

impl CutDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let (names, synced_names) = (BTreeMap::new(), BTreeMap::new());
        Self(Arc::new(Mutex::new(State {
            chance: Chance::new(seed),
            left: None,
            room: None,
            room_after_a_look: None,
            files: Vec::new(),
            names,
            synced_names,
        })))
    }

    /// Cuts the power after `changes` more changes.
    pub(crate) fn cut_after(&self, changes: u64) {
        self.state().left = Some(changes);
    }

    /// Cuts the power now if it was still on, loses what is lost, and turns it on again.
    pub(super) fn restart(&self) {
        self.state().restart();
    }

    /// Lets changes through again with nothing lost, as after a killed process.
    pub(crate) fn revive(&self) {
        self.state().left = None;
    }

    /// Leaves room for so many bytes more; `None` for as many as anybody wants.
    pub(crate) fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Leaves room for so many bytes more once someone has looked how much there is, as others may fill it then; `None`
    /// for as many as anybody wants from now on.
    pub(crate) fn set_room_after_a_look(&self, bytes: Option<u64>) {
        let mut state = self.state();
        (state.room, state.room_after_a_look) = (None, bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn gone() -> io::Error {
    io::Error::other("the power is cut")
}

impl State {
    /// Does `change`, unless the power is off. The change during which it goes is done in memory but not told.
    fn change<T>(&mut self, change: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match self.left {
            Some(0) => return Err(gone()),
            Some(left) => self.left = Some(left - 1),
            None => {}
        }
        let done = change(self);
        if self.left == Some(0) { Err(gone()) } else { done }
    }

    fn restart(&mut self) {
        let paths: BTreeSet<PathBuf> = self.names.keys().chain(self.synced_names.keys()).cloned().collect();
        for path in paths {
            let kept = if self.chance.one_in(2) { self.names.get(&path) } else { self.synced_names.get(&path) };
            match kept.copied() {
                Some(file) => drop(self.synced_names.insert(path, file)),
                None => drop(self.synced_names.remove(&path)),
            }
        }
        self.names = self.synced_names.clone();
        for file in &mut self.files {
            file.lose(&mut self.chance);
        }
        self.left = None;
    }
}

impl File {
    /// Keeps what was synced, and of the rest some sectors; those lost before the end read as zeros.
    fn lose(&mut self, chance: &mut Chance) {
        if !self.now.starts_with(&self.synced) {
            if chance.one_in(2) {
                self.now = self.synced.clone();
            }
        } else {
            let unsynced = self.now.len() - self.synced.len();
            self.now.truncate(self.synced.len() + chance.index(unsynced + 1));
            for sector in self.now[self.synced.len()..].chunks_mut(SECTOR_BYTES) {
                if chance.one_in(4) {
                    sector.fill(0);
                }
            }
        }
        self.synced = self.now.clone();
    }
}

impl Disk for CutDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = self.state().change(|state| {
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.files.push(File::default());
            state.names.insert(path.to_owned(), state.files.len() - 1);
            Ok(state.files.len() - 1)
        })?;
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn append_to(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = *self.state().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Handle { disk: self.clone(), file }))
    }

    fn read(&self, path: &Path) -> io::Result<(u64, Box<dyn Read + Send>)> {
        let state = self.state();
        let bytes = state.files[*state.names.get(path).ok_or(io::ErrorKind::NotFound)?].now.clone();
        Ok((bytes.len() as u64, Box::new(Cursor::new(bytes))))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().change(|state| {
            let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().change(|state| state.names.remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into()))
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let mut state = self.state();
        let seen = state.room.unwrap_or(u64::MAX);
        state.room = state.room_after_a_look.take().or(state.room);
        Ok(Space { free: seen, total: seen })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.state().change(|state| {
            state.synced_names.retain(|path, _| path.parent() != Some(dir));
            let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
            state.synced_names.extend(inside.map(|(path, file)| (path.clone(), *file)));
            Ok(())
        })
    }
}

struct Handle {
    disk: CutDisk,
    file: usize,
}

impl LogFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().change(|state| {
            let size = bytes.len() as u64;
            let fits = state.room.map_or(size, |room| room.min(size));
            state.room = state.room.map(|room| room - fits);
            state.files[self.file].now.extend_from_slice(&bytes[..usize::try_from(fits).unwrap()]);
            if fits == size { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        // When the power goes during a sync, all, none or some of it may have been written: restart() decides.
        let mut state = self.disk.state();
        state.change(|_| Ok(()))?;
        let file = &mut state.files[self.file];
        file.synced = file.now.clone();
        Ok(())
    }

    fn truncate(&mut self, size_bytes: u64) -> io::Result<()> {
        self.disk.state().change(|state| {
            state.files[self.file].now.truncate(usize::try_from(size_bytes).unwrap());
            Ok(())
        })
    }
}
