//! The log file: opened, opened again by its name, and set aside when it is full (wire.md 9.7).

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use onehop::config::ProcessSettings;

use crate::files::open_log;

/// A file that is written to its end, and set aside under another name once it is longer than it may be.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// How long it is.
    bytes: u64,
    /// It is set aside beyond so many; 0 never.
    limit_bytes: u64,
    /// It is not tried before it is so long.
    due_at_bytes: u64,
    /// How many files there may be, this one included; 0 is any number.
    max_files: usize,
    /// Those that were set aside, oldest first, as far as `max_files` matters.
    backups: VecDeque<PathBuf>,
}

/// What became of the file that was full.
#[derive(Debug)]
pub(crate) enum Rotation {
    /// It was set aside under this name, and these are too many and were removed.
    Done { backup: PathBuf, purged: Vec<PathBuf> },
    /// It goes on being written.
    Failed(io::Error),
}

impl LogFile {
    /// Opens the file as `settings` want it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(path: &Path, settings: &ProcessSettings) -> io::Result<Self> {
        let file = open_log(path)?;
        let bytes = file.metadata()?.len();
        let max_files = if settings.log_size_limit == 0 { 0 } else { settings.log_max_num };
        let backups = if max_files == 0 { VecDeque::new() } else { find_backups(path) };
        let limit_bytes = settings.log_size_limit;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
            limit_bytes,
            due_at_bytes: limit_bytes,
            max_files,
            backups,
        })
    }

    /// Opens the file by its name again, after it was moved away.
    ///
    /// # Errors
    /// It cannot be opened; the former one is written on.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        let file = open_log(&self.path)?;
        self.bytes = file.metadata()?.len();
        self.due_at_bytes = self.limit_bytes;
        self.file = file;
        Ok(())
    }

    /// Sets the file aside if it is full. To be called after each line, with the time that the name of the other file is to say.
    pub(crate) fn rotate(&mut self, now: impl FnOnce() -> DateTime) -> Option<Rotation> {
        if self.limit_bytes == 0 || self.bytes <= self.due_at_bytes {
            return None;
        }
        let backup = backup_path(&self.path, now());
        Some(match self.set_aside(&backup) {
            Ok(()) => Rotation::Done { purged: self.purge(&backup), backup },
            Err(fault) => {
                // Each line would try, and say that it failed.
                self.due_at_bytes = self.bytes.saturating_add(self.limit_bytes);
                Rotation::Failed(fault)
            }
        })
    }

    fn set_aside(&mut self, backup: &Path) -> io::Result<()> {
        match fs::rename(&self.path, backup) {
            // Somebody else has moved it away, who wants a new one as well.
            Err(fault) if fault.kind() == ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        self.reopen()
    }

    /// Removes the oldest of the files that are more than there may be. One that cannot be removed is left where it is.
    fn purge(&mut self, backup: &Path) -> Vec<PathBuf> {
        if self.max_files == 0 {
            return Vec::new();
        }
        self.backups.push_back(backup.to_owned());
        let too_many = (self.backups.len() + 1).saturating_sub(self.max_files);
        self.backups.drain(..too_many).filter(|path| fs::remove_file(path).is_ok()).collect()
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The name of a file that was set aside: the time, in parts between dots.
fn backup_path(path: &Path, now: DateTime) -> PathBuf {
    let (date, time) = (now.strftime("%Y.%m.%d"), now.strftime("%H.%M.%S"));
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{date}.{time}.{:09}", now.subsec_nanosecond()));
    name.into()
}

/// The files that were set aside before, oldest first.
fn find_backups(path: &Path) -> VecDeque<PathBuf> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return VecDeque::new() };
    let Ok(entries) = fs::read_dir(directory) else { return VecDeque::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|other| is_backup(name, other)).collect();
    names.sort_unstable();
    names.into_iter().map(|name| directory.join(name)).collect()
}

fn is_backup(name: &str, other: &str) -> bool {
    let time = other.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
    let lengths = [4, 2, 2, 2, 2, 2, 9];
    time.is_some_and(|time| {
        let parts: Vec<_> = time.split('.').collect();
        parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
            && parts.iter().map(|part| part.len()).eq(lengths)
    })
}
