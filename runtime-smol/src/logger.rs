//! Log lines in nats-server's format (wire.md 9.7):
//! `[pid] 2006/01/02 15:04:05.000000 [INF] text`.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};
use onehop::config::ProcessSettings;

use crate::log_file::{LogFile, Rotation};

/// The target of an error after which the process ends, logged as `FTL`:
/// `log::error!(target: logger::FATAL, …)`.
pub const FATAL: &str = "fatal";

/// Writes each record as one line to standard error or to a file, in one write.
///
/// What cannot be written is lost: a server does not end because its log is gone.
pub struct Logger {
    debug: AtomicBool,
    trace: AtomicBool,
    pid: u32,
    sink: Mutex<Sink>,
}

struct Sink {
    output: Output,
    /// Where log times are, or `None` for no times.
    time_zone: Option<TimeZone>,
    /// The line that is being made, kept to be used again.
    line: Vec<u8>,
}

enum Output {
    File(LogFile),
    Other(Box<dyn Write + Send>),
}

impl Logger {
    /// A logger as `settings` wants it.
    ///
    /// # Errors
    /// The log file cannot be opened.
    pub fn open(settings: &ProcessSettings) -> io::Result<Self> {
        let output = match &settings.log_file {
            Some(path) => Output::File(LogFile::open(Path::new(path), settings)?),
            None => Output::Other(Box::new(io::stderr())),
        };
        Ok(Self::with_output(settings, output))
    }

    fn with_output(settings: &ProcessSettings, output: Output) -> Self {
        Self {
            debug: settings.debug.into(),
            trace: settings.trace.into(),
            pid: std::process::id(),
            sink: Mutex::new(Sink { output, time_zone: time_zone(settings), line: Vec::new() }),
        }
    }

    /// Makes this the logger of the process for the rest of its life.
    ///
    /// # Errors
    /// The process has a logger already.
    pub fn install(self) -> Result<&'static Self, SetLoggerError> {
        let logger: &'static Self = Box::leak(Box::new(self));
        log::set_logger(logger)?;
        log::set_max_level(logger.max_level());
        Ok(logger)
    }

    /// Logs as `settings` wants it from now on, to where it logged before: for the logger of the process.
    pub fn follow(&self, settings: &ProcessSettings) {
        self.debug.store(settings.debug, Ordering::Relaxed);
        self.trace.store(settings.trace, Ordering::Relaxed);
        self.sink().time_zone = time_zone(settings);
        log::set_max_level(self.max_level());
    }

    fn max_level(&self) -> LevelFilter {
        match (self.trace.load(Ordering::Relaxed), self.debug.load(Ordering::Relaxed)) {
            (true, _) => LevelFilter::Trace,
            (false, true) => LevelFilter::Debug,
            (false, false) => LevelFilter::Info,
        }
    }

    /// Closes the log file and opens it again by its name, after it was moved away. Standard error stays.
    ///
    /// # Errors
    /// The file cannot be opened; the former one is written on.
    pub fn reopen(&self) -> io::Result<()> {
        match &mut self.sink().output {
            Output::File(file) => file.reopen(),
            Output::Other(_) => Ok(()),
        }
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    /// Other crates are heard from the level of warnings on.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().starts_with("onehop") || metadata.target() == FATAL;
        match metadata.level() {
            Level::Error | Level::Warn => true,
            Level::Info => is_ours,
            Level::Debug => is_ours && self.debug.load(Ordering::Relaxed),
            Level::Trace => is_ours && self.trace.load(Ordering::Relaxed),
        }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut sink = self.sink();
        sink.write(self.pid, label(record.metadata()), record.args());
        sink.rotate(self.pid);
    }

    fn flush(&self) {
        let _ = match &mut self.sink().output {
            Output::File(file) => file.flush(),
            Output::Other(output) => output.flush(),
        };
    }
}

impl Sink {
    fn write(&mut self, pid: u32, label: &str, text: &fmt::Arguments<'_>) {
        let Self { output, time_zone, line } = self;
        let time = time_zone.as_ref().map(|zone| zone.to_datetime(Timestamp::now()));
        line.clear();
        write_line(line, pid, time, label, text);
        let _ = match output {
            Output::File(file) => file.write_all(line),
            Output::Other(output) => output.write_all(line),
        };
    }

    /// Sets a log file aside that is full, and says so in the next.
    fn rotate(&mut self, pid: u32) {
        let Output::File(file) = &mut self.output else { return };
        match file.rotate(|| TimeZone::system().to_datetime(Timestamp::now())) {
            None => {}
            Some(Rotation::Done { backup, purged }) => {
                self.write(pid, "INF", &format_args!("Rotated log, backup saved as {backup:?}"));
                for name in purged.iter().filter_map(|path| path.file_name()) {
                    self.write(pid, "INF", &format_args!("Purged log file {name:?}"));
                }
            }
            Some(Rotation::Failed(fault)) => {
                self.write(pid, "ERR", &format_args!("Unable to rotate log: {fault}"))
            }
        }
    }
}

/// Where log times are, or `None` for no times.
fn time_zone(settings: &ProcessSettings) -> Option<TimeZone> {
    settings.logtime.then(|| if settings.logtime_utc { TimeZone::UTC } else { TimeZone::system() })
}

fn label(metadata: &Metadata<'_>) -> &'static str {
    match metadata.level() {
        Level::Error if metadata.target() == FATAL => "FTL",
        Level::Error => "ERR",
        Level::Warn => "WRN",
        Level::Info => "INF",
        Level::Debug => "DBG",
        Level::Trace => "TRC",
    }
}

fn write_line(line: &mut Vec<u8>, pid: u32, time: Option<DateTime>, label: &str, text: &fmt::Arguments<'_>) {
    let _ = write!(line, "[{pid}] ");
    if let Some(time) = time {
        let (year, month, day) = (time.year(), time.month(), time.day());
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        let micros = time.subsec_nanosecond() / 1000;
        let _ = write!(line, "{year}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06} ");
    }
    let _ = write!(line, "[{label}] ");
    let _ = SingleLine(line).write_fmt(*text);
    line.push(b'\n');
}

/// Escapes control characters, so that nobody who is quoted in a log can forge a line of it.
struct SingleLine<'a>(&'a mut Vec<u8>);

impl fmt::Write for SingleLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_escaped = |c: char| c.is_control() && c != '\t';
        for piece in text.split_inclusive(is_escaped) {
            let plain = piece.trim_end_matches(is_escaped);
            self.0.extend_from_slice(plain.as_bytes());
            self.0.extend(piece[plain.len()..].chars().flat_map(char::escape_default).map(|c| c as u8));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    fn say(logger: &Logger, level: Level, target: &str, text: &str) {
        logger.log(&Record::builder().level(level).target(target).args(format_args!("{text}")).build());
    }

    /// The labels of what `settings` let through of every level, ours and others'.
    fn heard(settings: ProcessSettings) -> Vec<String> {
        let memory = Memory::default();
        let settings = ProcessSettings { logtime: false, ..settings };
        let logger = Logger::with_output(&settings, Output::Other(Box::new(memory.clone())));
        for level in [Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace] {
            say(&logger, level, "onehop::routes", "ours");
            say(&logger, level, "polling", "other");
        }
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        let prefix = format!("[{}] ", std::process::id());
        text.lines().map(|line| line.strip_prefix(&prefix).unwrap().to_owned()).collect()
    }

    fn rendered(time: Option<DateTime>, label: &str, text: &str) -> String {
        let mut line = Vec::new();
        write_line(&mut line, 28976, time, label, &format_args!("{text}"));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_has_process_time_level_and_text() {
        let time = jiff::civil::date(2026, 1, 2).at(7, 0, 8, 5_083_999);
        let text = "Listening for route connections on 127.0.0.1:15100";
        assert_eq!(
            rendered(Some(time), "INF", text),
            "[28976] 2026/01/02 07:00:08.005083 [INF] Listening for route connections on 127.0.0.1:15100\n"
        );
        assert_eq!(rendered(None, "WRN", text), format!("[28976] [WRN] {text}\n"));
    }

    #[test]
    fn a_text_cannot_forge_a_line() {
        let forged = "name\n[1] [INF]\tforged\r\u{1b}[0m\u{85} é";
        assert_eq!(
            rendered(None, "ERR", forged),
            "[28976] [ERR] name\\n[1] [INF]\tforged\\r\\u{1b}[0m\\u{85} é\n"
        );
    }

    #[test]
    fn debugging_and_tracing_are_heard_only_when_asked_for() {
        let quiet = ["[ERR] ours", "[ERR] other", "[WRN] ours", "[WRN] other", "[INF] ours"];
        assert_eq!(heard(ProcessSettings::default()), quiet);
        let debug = heard(ProcessSettings { debug: true, ..Default::default() });
        assert_eq!(debug, [&quiet[..], &["[DBG] ours"]].concat());
        let trace = heard(ProcessSettings { trace: true, ..Default::default() });
        assert_eq!(trace, [&quiet[..], &["[TRC] ours"]].concat());
    }

    #[test]
    fn a_fatal_error_has_its_own_label() {
        let memory = Memory::default();
        let logger =
            Logger::with_output(&ProcessSettings::default(), Output::Other(Box::new(memory.clone())));
        say(&logger, Level::Error, FATAL, "gone");
        let text = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        assert!(text.ends_with("[FTL] gone\n"), "{text}");
    }

    #[test]
    fn an_output_that_is_gone_is_ignored() {
        let logger = Logger::with_output(&ProcessSettings::default(), Output::Other(Box::new(Gone)));
        say(&logger, Level::Error, "onehop", "nobody hears this");
        logger.flush();
    }

    #[test]
    fn a_log_file_is_appended_to_and_can_be_moved_away() {
        let directory = std::env::temp_dir().join(format!("onehop-logger-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("log");
        let moved = directory.join("log.1");
        std::fs::write(&path, "before\n").unwrap();
        let log_file = Some(path.display().to_string());
        let logger = Logger::open(&ProcessSettings { log_file, ..Default::default() }).unwrap();
        say(&logger, Level::Info, "onehop", "one");
        std::fs::rename(&path, &moved).unwrap();
        logger.reopen().unwrap();
        say(&logger, Level::Info, "onehop", "two");
        let (first, second) =
            (std::fs::read_to_string(moved).unwrap(), std::fs::read_to_string(path).unwrap());
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(first.starts_with("before\n") && first.ends_with("[INF] one\n"), "{first}");
        assert!(second.ends_with("[INF] two\n") && !second.contains("one"), "{second}");
    }

    /// What the lines of each file in it say, without times, and the whole directory is gone.
    fn take_files(directory: &Path) -> Vec<(String, Vec<String>)> {
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                (
                    name,
                    text.lines()
                        .map(|line| line.split_once("] ").map_or(line, |it| it.1).to_owned())
                        .collect(),
                )
            })
            .collect();
        std::fs::remove_dir_all(directory).unwrap();
        files.sort();
        files
    }

    /// A logger whose file is full after so many bytes.
    fn small_logger(directory: &Path, log_size_limit: u64, log_max_num: usize) -> Logger {
        std::fs::create_dir_all(directory).unwrap();
        let log_file = Some(directory.join("log").display().to_string());
        let settings =
            ProcessSettings { log_file, log_size_limit, log_max_num, logtime: false, ..Default::default() };
        Logger::open(&settings).unwrap()
    }

    #[test]
    fn a_log_file_that_is_full_is_set_aside_under_the_time_and_the_next_begins_with_its_name() {
        let directory = std::env::temp_dir().join(format!("onehop-rotated-{}", std::process::id()));
        let logger = small_logger(&directory, 100, 0);
        for number in 0..8 {
            say(&logger, Level::Info, "onehop", &format!("{number}{}", "x".repeat(20)));
        }
        let path = directory.join("log").display().to_string();
        let files = take_files(&directory);
        let said: Vec<_> =
            files.iter().flat_map(|(_, lines)| lines).filter(|line| line.ends_with('x')).collect();
        assert_eq!(said.len(), 8, "no line is lost: {files:?}");
        assert!(files.len() > 2, "{files:?}");
        for (name, lines) in &files[1..] {
            let parts: Vec<_> = name.strip_prefix("log.").unwrap().split('.').map(str::len).collect();
            assert_eq!(parts, [4, 2, 2, 2, 2, 2, 9], "{name}");
            assert!(!lines.is_empty(), "{files:?}");
        }
        let rotated =
            files[0].1[0].strip_prefix("[INF] Rotated log, backup saved as \"").expect("the first line");
        assert_eq!(rotated, format!("{path}{}\"", files.last().unwrap().0.strip_prefix("log").unwrap()));
    }

    #[test]
    fn only_so_many_log_files_are_kept_and_none_is_removed_that_is_no_log_set_aside() {
        let directory = std::env::temp_dir().join(format!("onehop-purged-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let others =
            ["log.1", "log.old", "log.2020.01.01.00.00.00.1x3456789", "other.2020.01.01.00.00.00.123456789"];
        for name in others.into_iter().chain(["log.2020.01.01.00.00.00.123456789"]) {
            std::fs::write(directory.join(name), "").unwrap();
        }
        let logger = small_logger(&directory, 100, 3);
        for number in 0..40 {
            say(&logger, Level::Info, "onehop", &format!("{number}{}", "x".repeat(20)));
        }
        let files = take_files(&directory);
        let kept: Vec<_> = files.iter().filter(|(name, _)| !others.contains(&name.as_str())).collect();
        assert_eq!((files.len(), kept.len()), (others.len() + 3, 3), "{files:?}");
        assert!(kept[0].1[1].starts_with("[INF] Purged log file \"log.20"), "{kept:?}");
        assert!(!files.iter().any(|(name, _)| name.starts_with("log.2020.01.01.00.00.00.12")), "{files:?}");
    }

    #[test]
    fn a_log_file_that_cannot_be_set_aside_is_written_on_and_that_is_not_said_with_each_line() {
        let directory = std::env::temp_dir().join(format!("onehop-unrotated-{}", std::process::id()));
        let logger = small_logger(&directory, 300, 0);
        let moved = directory.with_extension("moved");
        std::fs::rename(&directory, &moved).unwrap();
        for _ in 0..20 {
            say(&logger, Level::Info, "onehop", &"x".repeat(20));
        }
        let files = take_files(&moved);
        let [(_, lines)] = &files[..] else { panic!("{files:?}") };
        let complaints = lines.iter().filter(|line| line.starts_with("[ERR] Unable to rotate log: ")).count();
        assert!((2..10).contains(&complaints), "{lines:?}");
        assert_eq!(lines.len() - complaints, 20);
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_is_an_error() {
        let log_file = Some("/nonexistent/directory/log".to_owned());
        assert!(Logger::open(&ProcessSettings { log_file, ..Default::default() }).is_err());
    }
}
