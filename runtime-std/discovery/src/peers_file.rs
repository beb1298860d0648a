//! The file in which a server keeps who was a member, for its next start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::warn;
use onehop::discovery::MAX_FILE_BYTES;

/// Writes the file by a thread of its own, so that nobody waits for a disk.
pub(crate) struct PeersFile {
    newest: Arc<Newest>,
    thread: Option<JoinHandle<()>>,
}

/// The text that is to be written.
#[derive(Default)]
struct Newest {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    text: Option<String>,
    has_ended: bool,
}

/// What stands in the file; none if there is no file. One that cannot be read is said in the log and counts as none: a server
/// is not to fail for what it can find out again.
pub(crate) fn read(path: &Path) -> Option<String> {
    let text = fs::metadata(path).and_then(|metadata| {
        if !metadata.is_file() {
            // A pipe might keep the server from its start.
            return Err(io::Error::other("it is no file"));
        }
        let (file, mut text) = (File::open(path)?, Vec::new());
        // One byte more shows that it is too long.
        file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text)?;
        Ok(text)
    });
    match text {
        Ok(text) => Some(String::from_utf8_lossy(&text).into_owned()),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
        Err(fault) => {
            warn!("Cannot read the peers file {}, going on without: {fault}", path.display());
            None
        }
    }
}

impl PeersFile {
    pub(crate) fn start(path: PathBuf) -> io::Result<Self> {
        let newest = Arc::<Newest>::default();
        let thread = thread::Builder::new().name("onehop-peers".to_owned()).spawn({
            let newest = newest.clone();
            move || newest.write_to(&path)
        })?;
        Ok(Self { newest, thread: Some(thread) })
    }

    /// Has this written, with whatever comes within a moment after it.
    pub(crate) fn keep(&self, text: String) {
        self.newest.lock().text = Some(text);
        self.newest.changed.notify_all();
    }
}

impl Drop for PeersFile {
    /// What is to be written is.
    fn drop(&mut self) {
        self.newest.lock().has_ended = true;
        self.newest.changed.notify_all();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::error!("The thread that writes the peers file panicked");
        }
    }
}

impl Newest {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, path: &Path) {
        let mut has_failed = false;
        while let Some(text) = self.next(if has_failed { RETRY_PAUSE } else { MOMENT }) {
            let written = replace(path, &text);
            if let (Err(fault), false) = (&written, has_failed) {
                warn!("Cannot write the peers file {}: {fault}", path.display());
            }
            has_failed = written.is_err();
            let mut state = self.lock();
            if has_failed && !state.has_ended {
                state.text.get_or_insert(text);
            }
        }
    }

    /// The next text, so long after it came; none once all is written and nothing follows.
    fn next(&self, pause: Duration) -> Option<String> {
        let is_idle = |state: &mut State| state.text.is_none() && !state.has_ended;
        let waited = self.changed.wait_while(self.lock(), is_idle);
        drop(waited);
        // Members come and go together.
        let waited = self.changed.wait_timeout_while(self.lock(), pause, |state| !state.has_ended);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.text.take()
    }
}

/// At no time is there half of it, nor can anybody else read it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut options = OpenOptions::new();
    // Whatever is there, such as a link to what is somebody else's, is not written to.
    let _ = fs::remove_file(&beside);
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, PRIVATE);
    let mut file = options.open(&beside)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(PRIVATE))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Only who runs the server needs to know where its peers are.
#[cfg(unix)]
const PRIVATE: u32 = 0o600;

/// So long others may change who is a member before it is written.
const MOMENT: Duration = Duration::from_secs(1);

/// After it could not be written, as where a disk was full.
const RETRY_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    /// A place for a file, where nobody else has one.
    fn place(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("onehop-peers-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        directory.join("peers")
    }

    #[test]
    fn the_last_text_is_written_before_the_end_and_nobody_else_can_read_it() {
        let path = place("last");
        assert_eq!(read(&path), None);
        let file = PeersFile::start(path.clone()).unwrap();
        (0..100).for_each(|number| file.keep(number.to_string()));
        drop(file);
        assert_eq!(read(&path).as_deref(), Some("99"));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        drop(PeersFile::start(path.clone()).unwrap());
        assert_eq!(read(&path).as_deref(), Some("99"), "where nothing is said nothing is written");
    }

    #[test]
    fn what_cannot_be_read_or_written_stops_nobody() {
        let path = place("impossible");
        fs::create_dir(&path).unwrap();
        assert_eq!(read(&path), None);
        let file = PeersFile::start(path).unwrap();
        file.keep("a".to_owned());
        drop(file);
    }

    #[test]
    fn what_could_not_be_written_is_written_before_the_end() {
        let path = place("later").join("peers");
        let file = PeersFile::start(path.clone()).unwrap();
        file.keep("a".to_owned());
        thread::sleep(MOMENT + MOMENT / 2);
        fs::create_dir(path.parent().unwrap()).unwrap();
        drop(file);
        assert_eq!(read(&path).as_deref(), Some("a"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_where_the_file_is_prepared_is_not_followed() {
        let path = place("link");
        let other = path.with_file_name("other");
        fs::write(&other, "precious").unwrap();
        std::os::unix::fs::symlink(&other, path.with_file_name("peers.new")).unwrap();
        replace(&path, "a").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(read(&path).as_deref(), Some("a"));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_waits_for_who_writes_into_a_pipe() {
        let path = place("pipe");
        let made =
            std::process::Command::new("mkfifo").args([&path, &path.with_file_name("peers.new")]).status();
        assert!(made.unwrap().success());
        assert_eq!(read(&path), None);
        replace(&path, "a").unwrap();
        assert_eq!(read(&path).as_deref(), Some("a"));
    }

    #[test]
    fn of_an_endless_file_no_more_is_read_than_shows_that_it_is_too_long() {
        let path = place("long");
        fs::write(&path, "a".repeat(3 * MAX_FILE_BYTES)).unwrap();
        assert_eq!(read(&path).unwrap().len(), MAX_FILE_BYTES + 1);
    }
}
