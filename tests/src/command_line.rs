//! What the simulation's programs do alike with their arguments.

use std::path::Path;
use std::process::ExitCode;
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
            println!("{usage}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("{fault}\n{usage}");
            ExitCode::from(2)
        }
    }
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
