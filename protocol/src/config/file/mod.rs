//! nats-server's configuration file (wire.md 9.1-9.3): from a text to a [`Config`](super::Config).
//!
//! Nothing here reads files or the environment: what a text refers to comes through [`Sources`].

mod absent;
mod accounts;
mod cluster;
mod compression;
mod credentials;
mod discovery;
mod fields;
mod healing;
mod limits;
mod mappings;
mod permissions;
mod relay;
mod scalar;
mod secrets;
mod sharing;
mod syntax;
#[cfg(test)]
mod tests;
mod tls;
mod top_level;
mod users;
mod value;
mod websocket;

use std::fmt;

use super::Config;

/// Reads the text of the configuration file `name`, which appears in messages.
///
/// A file that this accepts can still be wrong as a whole: check the result with [`Config::validate`].
///
/// # Errors
/// Every fault of the file's fields, or the first fault of its syntax, in nats-server's words where it has any.
pub fn parse_file(name: &str, text: &str, sources: &dyn Sources) -> Result<FileSettings, FileError> {
    let document = syntax::parse(name, text, sources).map_err(|fault| FileError { lines: vec![fault] })?;
    let mut settings = FileSettings::default();
    let mut report = fields::Report::new(&document.files, sources);
    if document.root.is_empty() {
        settings.warnings.push(format!("{name}: config has no values or is empty"));
    }
    top_level::read(&document.root, &mut settings, &mut report);
    let (errors, warnings) = report.finish();
    settings.warnings.extend(warnings);
    if errors.is_empty() { Ok(settings) } else { Err(FileError { lines: errors }) }
}

/// What a configuration file refers to outside of itself.
pub trait Sources {
    /// The value of a variable that the file does not define: an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The file `path` as it is included by the file `from`.
    ///
    /// # Errors
    /// Why it cannot be had, for the user to read.
    fn include(&self, from: &str, path: &str) -> Result<Included, String>;

    /// What stands in a file that is no configuration: a certificate or a key.
    ///
    /// # Errors
    /// Why it cannot be had, for the user to read.
    fn file(&self, path: &str) -> Result<Vec<u8>, String> {
        Err(format!("open {path}: no files here"))
    }

    /// The certificates of those whom the system trusts, in DER.
    fn system_authorities(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// An included file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    /// Its name, for messages and for what it includes itself.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// No variables and no files: for texts that stand alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl Sources for NoSources {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn include(&self, _from: &str, path: &str) -> Result<Included, String> {
        Err(format!("open {path}: no files here"))
    }
}

/// What a configuration file says. What it does not mention has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSettings {
    /// What the protocol needs.
    pub config: Config,
    /// What the process around it needs.
    pub process: ProcessSettings,
    /// What the file should better not say, one line each.
    pub warnings: Vec<String>,
}

/// What a file says to the process that runs a node: logging and the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSettings {
    /// Logs debugging output.
    pub debug: bool,
    /// Logs every protocol line.
    pub trace: bool,
    /// Writes the time into log lines.
    pub logtime: bool,
    /// Writes it in UTC rather than in local time.
    pub logtime_utc: bool,
    /// Where to log, if not to standard error.
    pub log_file: Option<String>,
    /// A log file that is longer than so many bytes is set aside, and another begun; 0 is no limit.
    pub log_size_limit: u64,
    /// How many log files may be there then, the current one included: of those set aside the oldest are removed. 0 is any
    /// number.
    pub log_max_num: usize,
    /// Where to write the process id.
    pub pid_file: Option<String>,
    /// The directory for a file with the addresses that the server listens on.
    pub ports_file_dir: Option<String>,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self {
            debug: false,
            trace: false,
            logtime: true,
            logtime_utc: false,
            log_file: None,
            log_size_limit: 0,
            log_max_num: 0,
            pid_file: None,
            ports_file_dir: None,
        }
    }
}

/// Why a text is not a configuration: one line for each fault, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    lines: Vec<String>,
}

impl FileError {
    /// The faults, such as `x.conf:2:1: unknown field "bogus"`.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for FileError {}
