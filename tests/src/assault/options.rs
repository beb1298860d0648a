//! The command line of `assault`.

use std::path::Path;

use super::victim::Arena;
use crate::command_line::{number, path};
use crate::server::Kind;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: assault [options]
  --row <name>     only this attack, or all whose names begin so; may be repeated
  --binary <path>  attack this server; may be repeated: the first is judged beside the last
                   (default: onehop, built as this program was, and nats-server 2.15.1)
  --scale <f>      do this part of each number (default 1)
  --rounds <n>     attack so often, and take the median of each figure (default 1)
  --list           name the attacks
exits with 1 if an attack did more harm to the first server than to the last";

/// What to do to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Names of attacks; none means all.
    pub rows: Vec<String>,
    /// Servers; none means the default.
    pub binaries: Vec<&'static Path>,
    /// What part of each number of an attack is done.
    pub scale: f64,
    /// How often each attack is made on each server, at least once.
    pub rounds: usize,
    /// Whether only the names of the attacks are wanted.
    pub list: bool,
}

impl Options {
    /// Reads the arguments, program name excluded; `None` if help is asked for. The error is for the user.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self { rows: Vec::new(), binaries: Vec::new(), scale: 1.0, rounds: 1, list: false };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--list" => options.list = true,
                _ => {
                    let value = words.next().ok_or_else(|| format!("{word} is unknown or needs a value"))?;
                    options.set(&word, value)?;
                }
            }
        }
        Ok(Some(options))
    }

    /// The servers to attack; those that cannot be had here are left out, which was said.
    pub fn arenas(&self) -> Vec<Arena> {
        Kind::chosen(&self.binaries).into_iter().map(|kind| Arena { kind, scale: self.scale }).collect()
    }

    fn set(&mut self, word: &str, value: String) -> Result<(), String> {
        match word {
            "--row" => self.rows.push(value),
            "--binary" => self.binaries.push(path(value)),
            "--scale" => self.scale = number(&value)?,
            "--rounds" => self.rounds = number::<usize>(&value)?.max(1),
            _ => return Err(format!("{word} {value} means nothing")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_option_is_taken() {
        let options = parse("--row herd --row log --binary a --binary b --scale 0.1 --rounds 3 --list");
        let options = options.unwrap().unwrap();
        assert_eq!((options.rows.len(), options.binaries.len()), (2, 2));
        assert_eq!((options.scale, options.rounds, options.list), (0.1, 3, true));
        assert_eq!(options.arenas().len(), 2);
    }

    #[test]
    fn what_is_not_understood_is_a_fault_and_help_is_none() {
        assert!(parse("--rows x").is_err() && parse("--row").is_err() && parse("--scale x").is_err());
        assert_eq!(parse("--row x --help"), Ok(None));
    }
}
