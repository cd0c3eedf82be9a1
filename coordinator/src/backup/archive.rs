//! The file of a backup: parts under names, and one checksum over all of it.

use super::BackupError;
use crate::store::StoreError;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"pd-back\n";
const VERSION: u32 = 1;
/// More than any record of a journal has.
const MAX_PIECE_BYTES: u32 = 65 << 20;
const MAX_NAME_BYTES: u16 = 256;

/// A backup that is being written.
pub(super) struct Writing {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
    is_in_part: bool,
}

impl Writing {
    /// Begins the new file `path`, for its owner only.
    pub(super) fn begin(path: &Path) -> Result<Self, BackupError> {
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(path.to_owned()));
            }
            opened => opened.map_err(StoreError::io("create", path))?,
        };
        let (path, file) = (path.to_owned(), BufWriter::new(file));
        let mut writing = Self { path, file, hash: Sha256::new(), bytes: 0, is_in_part: false };
        writing.write(&MAGIC)?;
        writing.write(&VERSION.to_be_bytes())?;
        Ok(writing)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes).map_err(StoreError::io("write", &self.path))
    }

    fn end_part(&mut self) -> Result<(), StoreError> {
        if std::mem::take(&mut self.is_in_part) { self.write(&0u32.to_be_bytes()) } else { Ok(()) }
    }

    /// Begins the next part.
    pub(super) fn part(&mut self, name: &str) -> Result<(), StoreError> {
        self.end_part()?;
        let length = u16::try_from(name.len()).expect("names of parts are short");
        self.write(&length.to_be_bytes())?;
        self.write(name.as_bytes())?;
        self.is_in_part = true;
        Ok(())
    }

    /// Goes on with the part.
    pub(super) fn piece(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let length = u32::try_from(bytes.len()).expect("a piece is at most a record");
        self.write(&length.to_be_bytes())?;
        self.write(bytes)
    }

    /// A part in one piece.
    pub(super) fn whole(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.part(name)?;
        self.piece(bytes)
    }

    /// Writes the end, and returns when all is on disk. Gives its size in bytes.
    pub(super) fn finish(&mut self) -> Result<u64, StoreError> {
        self.end_part()?;
        self.write(&0u16.to_be_bytes())?;
        let hash: [u8; 32] = self.hash.clone().finalize().into();
        self.write(&hash)?;
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(StoreError::io("write", &self.path))?;
        match self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => sync_dir(parent)?,
            None => sync_dir(Path::new("."))?,
        }
        Ok(self.bytes)
    }
}

/// Where a part is to be written; `None` passes it over.
type Place<'a> = &'a dyn Fn(&str) -> Option<PathBuf>;

/// A backup that is read.
pub(super) struct Archive {
    path: PathBuf,
    file: File,
}

impl Archive {
    /// Opens the file `path`.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Reads all of it and checks its checksum.
    pub(super) fn verify(&self) -> Result<(), StoreError> {
        self.extract(&|_| None)
    }

    /// Writes each part where `place` wants it, for the owner only; checks all the same.
    pub(super) fn extract(&self, place: Place<'_>) -> Result<(), StoreError> {
        let mut file = &self.file;
        file.rewind().map_err(StoreError::io("read", &self.path))?;
        let mut reading = Reading { path: &self.path, file: BufReader::new(file), hash: Sha256::new() };
        reading.all(place)
    }
}

struct Reading<'a> {
    path: &'a Path,
    file: BufReader<&'a File>,
    hash: Sha256,
}

impl Reading<'_> {
    fn damaged(&self, what: &'static str) -> StoreError {
        StoreError::BackupDamaged { path: self.path.to_owned(), what }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        match self.file.read_exact(bytes) {
            Ok(()) => self.hash.update(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.damaged("its end is missing"));
            }
            Err(error) => return Err(StoreError::io("read", self.path)(error)),
        }
        Ok(())
    }

    fn all(&mut self, place: Place<'_>) -> Result<(), StoreError> {
        if self.take::<8>()? != MAGIC {
            return Err(self.damaged("it does not begin like one"));
        }
        match u32::from_be_bytes(self.take()?) {
            VERSION => {}
            found if found > VERSION => return Err(StoreError::NewerSchema { found, known: VERSION }),
            _ => return Err(self.damaged("its version is none")),
        }
        loop {
            match u16::from_be_bytes(self.take()?) {
                0 => break,
                length if length > MAX_NAME_BYTES => return Err(self.damaged("the name of a part is too long")),
                length => self.part(usize::from(length), place)?,
            }
        }
        let expected: [u8; 32] = self.hash.clone().finalize().into();
        if self.take::<32>()? != expected {
            return Err(self.damaged("its checksum does not fit"));
        }
        let mut more = [0];
        match self.file.read(&mut more).map_err(StoreError::io("read", self.path))? {
            0 => Ok(()),
            _ => Err(self.damaged("something follows its end")),
        }
    }

    fn part(&mut self, length: usize, place: Place<'_>) -> Result<(), StoreError> {
        let mut name = vec![0; length];
        self.fill(&mut name)?;
        let name = String::from_utf8(name).map_err(|_| self.damaged("the name of a part is no text"))?;
        let mut out = place(&name).map(|path| create(&path).map(|file| (path, file))).transpose()?;
        loop {
            match u32::from_be_bytes(self.take()?) {
                0 => break,
                length if length > MAX_PIECE_BYTES => return Err(self.damaged("a piece is too long")),
                length => self.piece(length, out.as_mut())?,
            }
        }
        match out {
            Some((path, file)) => file.sync_all().map_err(StoreError::io("write", &path)),
            None => Ok(()),
        }
    }

    fn piece(&mut self, length: u32, mut out: Option<&mut (PathBuf, File)>) -> Result<(), StoreError> {
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        let mut buffer = vec![0; left.min(1 << 16)];
        while left > 0 {
            let size = left.min(buffer.len());
            let bytes = buffer.get_mut(..size).unwrap_or_default();
            self.fill(bytes)?;
            if let Some((path, file)) = &mut out {
                file.write_all(bytes).map_err(StoreError::io("write", path))?;
            }
            left -= size;
        }
        Ok(())
    }
}

fn create(path: &Path) -> Result<File, StoreError> {
    if let Some(parent) = path.parent() {
        private_dir(parent)?;
    }
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened.map_err(StoreError::io("create", path))
}

fn private_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(StoreError::io("make", dir))
}

/// Makes `dir`; one that is there must be empty.
pub(super) fn make_empty(dir: &Path) -> Result<(), BackupError> {
    private_dir(dir)?;
    match fs::read_dir(dir).map_err(StoreError::io("list", dir))?.next() {
        None => Ok(()),
        Some(_) => Err(BackupError::NotEmpty(dir.to_owned())),
    }
}

/// Returns when the names in `dir` would survive a power cut.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync", dir))
}

/// The bytes of the small file `path`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(StoreError::io("read", path))
}

/// Deletes a backup that did not come to its end.
pub(super) fn discard(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, path = %path.display(), "a part of a backup could not be deleted");
    }
}
