//! What the simulation's programs do alike with their arguments.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;
use std::process::{self, ExitCode};
use std::str::FromStr;

/// Runs a program with the options that were parsed. Without options, because help was asked for, or with a fault, which exits
/// with 2, its usage is shown.
pub fn run<T>(
    usage: &str,
    parsed: Result<Option<T>, String>,
    program: impl FnOnce(&T) -> ExitCode,
) -> ExitCode {
    match parsed {
        Ok(Some(options)) => program(&options),
        Ok(None) => {
            write_out(format_args!("{usage}\n"));
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("{fault}\n{usage}");
            ExitCode::from(2)
        }
    }
}

/// Writes to the standard output, and ends the program if nobody reads it any more (`… | head`).
///
/// # Panics
///
/// If it cannot be written for another reason.
pub fn write_out(text: impl Display) {
    match write!(io::stdout(), "{text}") {
        Ok(()) => {}
        Err(fault) if fault.kind() == ErrorKind::BrokenPipe => process::exit(0),
        Err(fault) => panic!("cannot write: {fault}"),
    }
}

/// [`println!`] by [`write_out`](crate::command_line::write_out).
#[macro_export]
macro_rules! say {
    ($($what:tt)*) => { $crate::command_line::write_out(format_args!("{}\n", format_args!($($what)*))) };
}

/// The path that an argument is. What a command line names is named for as long as the program runs.
pub fn path(text: String) -> &'static Path {
    Path::new(Box::leak(text.into_boxed_str()))
}

/// The number that an argument is.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number, or too large a one"))
}
