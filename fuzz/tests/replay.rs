//! Every input that was ever worth keeping, and as many random ones as fit into a few seconds.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use onehop_fuzz::TARGETS;

/// Random inputs for a target.
fn random_inputs(target: &str) -> usize {
    match target {
        // Each is minutes in the life of several nodes.
        "cluster" => 20,
        _ => 200,
    }
}

#[test]
fn the_corpus_of_every_target_passes() {
    for (name, run) in TARGETS {
        for (file, input) in corpus(name) {
            let _told = TellOnPanic(format!("{}", file.display()));
            run(&input);
        }
    }
}

#[test]
fn mutations_of_the_corpus_pass() {
    for (name, run) in TARGETS {
        let seeds = corpus(name);
        let mut rng = Rng::with_seed(1);
        for _ in 0..random_inputs(name) {
            let mut input = rng.choice(&seeds).map(|(_, seed)| seed.clone()).unwrap_or_default();
            let other = rng.choice(&seeds).map(|(_, seed)| seed.clone()).unwrap_or_default();
            for _ in 0..rng.usize(1..6) {
                mutate(&mut input, &other, &mut rng);
            }
            let _told = TellOnPanic(format!("{name}: {}", input.escape_ascii()));
            run(&input);
        }
    }
}

/// The files of a target's corpus, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("every target has a corpus")
        .map(|file| file.expect("a readable folder").path())
        .collect();
    files.sort_unstable();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    let read = |file: PathBuf| (file.clone(), fs::read(file).expect("a readable file"));
    files.into_iter().map(read).collect()
}

fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = rng.usize(..=input.len());
    let end = rng.usize(at..=input.len());
    match rng.u8(..6) {
        0 => input.insert(at, rng.u8(..)),
        1 => drop(input.drain(at..end)),
        2 => input[at..end].iter_mut().take(4).for_each(|byte| *byte = rng.u8(..)),
        3 => input.extend_from_within(at..end),
        4 => {
            let from = rng.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << rng.u8(..8);
            }
        }
    }
    input.truncate(MAX_INPUT_BYTES);
}

/// As in cargo-fuzz, unless it is told otherwise.
const MAX_INPUT_BYTES: usize = 4096;

/// Names the input that a target panics on.
struct TellOnPanic(String);

impl Drop for TellOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input was {}", self.0);
        }
    }
}
