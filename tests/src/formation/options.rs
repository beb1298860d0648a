//! The command line of `formation`.

use std::path::Path;

use crate::command_line::{number, path};
use crate::mesh::Topology;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: formation [options]
  --nodes <n>      so many servers start at once (default 20)
  --shape <name>   each knows the one before it (chain) or the first (seed); may be repeated (default: both)
  --binary <path>  start this server; may be repeated
                   (default: onehop, built as this program was, and nats-server 2.15.1)
  --rounds <n>     do it so often with each, in turns (default 10)
Shows how long the last of them listened before the mesh was whole with all pools, in seconds: median (lowest to highest).
Takes about eight seconds for each server, shape and round.";

/// What to start, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How many servers.
    pub nodes: usize,
    /// Whom each knows.
    pub shapes: Vec<Topology>,
    /// Servers; none means the default.
    pub binaries: Vec<&'static Path>,
    /// How often.
    pub rounds: usize,
}

impl Options {
    /// Reads the arguments, program name excluded; `None` if help is asked for. The error is for the user.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self { nodes: 20, shapes: Vec::new(), binaries: Vec::new(), rounds: 10 };
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                return Ok(None);
            }
            let value = words.next().ok_or_else(|| format!("{word} is unknown or needs a value"))?;
            options.set(&word, value)?;
        }
        if options.shapes.is_empty() {
            options.shapes = vec![Topology::Chain, Topology::Seed];
        }
        Ok(Some(options))
    }

    fn set(&mut self, word: &str, value: String) -> Result<(), String> {
        match (word, value.as_str()) {
            ("--nodes", _) => self.nodes = number::<usize>(&value)?.max(2),
            ("--rounds", _) => self.rounds = number::<usize>(&value)?.max(1),
            ("--shape", "chain") => self.shapes.push(Topology::Chain),
            ("--shape", "seed") => self.shapes.push(Topology::Seed),
            ("--binary", _) => self.binaries.push(path(value)),
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
        let options = parse("--nodes 5 --rounds 3 --shape seed --binary a --binary b").unwrap().unwrap();
        assert_eq!((options.nodes, options.rounds, options.binaries.len()), (5, 3, 2));
        assert_eq!(options.shapes, [Topology::Seed]);
        assert_eq!(parse("").unwrap().unwrap().shapes, [Topology::Chain, Topology::Seed]);
    }

    #[test]
    fn what_is_not_understood_is_a_fault_and_help_is_none() {
        assert!(parse("--shape star").is_err() && parse("--nodes").is_err() && parse("--nodes x").is_err());
        assert_eq!(parse("--nodes 3 --help"), Ok(None));
    }
}
