//! The files that the server writes: who may read them is not left to the umask alone, since a log may hold what messages say.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use onehop::config::SHARED_SECRET_BYTES;

/// Opens a log file to write at its end. Where it is new, its owner writes and the owner's group reads it.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open_log(path: &Path) -> io::Result<File> {
    with_mode(OpenOptions::new().create(true).append(true), 0o640).open(path)
}

/// Writes the id of this process, and nothing else. Where the file is new, it is its owner's alone.
///
/// # Errors
/// It cannot be written.
pub fn write_pid_file(path: &Path) -> io::Result<()> {
    let mut file = with_mode(OpenOptions::new().create(true).truncate(true).write(true), 0o600).open(path)?;
    file.write_all(std::process::id().to_string().as_bytes())
}

/// Writes a new secret to a file that is not there yet, which is its owner's alone.
///
/// # Errors
/// There is such a file, it cannot be written, or there is no randomness.
pub fn write_new_secret(path: &Path) -> io::Result<()> {
    let mut secret = [0; SHARED_SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(|fault| io::Error::other(fault.to_string()))?;
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = with_mode(OpenOptions::new().create_new(true).write(true), 0o600).open(path)?;
    writeln!(file, "{digits}")
}

#[cfg(unix)]
fn with_mode(options: &mut OpenOptions, mode: u32) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, mode)
}

#[cfg(not(unix))]
fn with_mode(options: &mut OpenOptions, _mode: u32) -> &mut OpenOptions {
    options
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use onehop::config::SharedSecret;

    use super::*;

    #[test]
    fn a_new_secret_is_its_owners_alone_and_never_replaces_another() {
        let path = std::env::temp_dir().join(format!("onehop-secret-{}", std::process::id()));
        write_new_secret(&path).expect("a folder that can be written");
        let (text, mode) = (
            fs::read_to_string(&path).expect("text"),
            fs::metadata(&path).expect("a file").permissions().mode(),
        );
        let again = write_new_secret(&path);
        let unchanged = fs::read_to_string(&path).expect("text") == text;
        fs::remove_file(&path).expect("removed");
        assert!(text.parse::<SharedSecret>().is_ok() && unchanged);
        assert_eq!(
            (mode & 0o777, again.map_err(|fault| fault.kind())),
            (0o600, Err(io::ErrorKind::AlreadyExists))
        );
    }

    #[test]
    fn a_log_is_read_by_owner_and_group_and_a_pid_file_by_the_owner_alone() {
        let directory = std::env::temp_dir().join(format!("onehop-files-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (log, pid) = (directory.join("log"), directory.join("pid"));
        open_log(&log).unwrap();
        write_pid_file(&pid).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let modes = (mode(&log), mode(&pid));
        let written = fs::read_to_string(&pid).unwrap();
        fs::write(&pid, "a longer text than any process id has").unwrap();
        write_pid_file(&pid).unwrap();
        let rewritten = fs::read_to_string(&pid).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        // Whatever the umask of whoever runs the tests takes away in addition.
        assert_eq!((modes.0 & !0o640, modes.1 & !0o600), (0, 0), "{modes:?}");
        assert_eq!([written, rewritten], [std::process::id().to_string(), std::process::id().to_string()]);
    }
}
