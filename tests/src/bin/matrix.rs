//! Joins onehop to real servers in every combination of version, pool, compression and TLS, and lets messages pass both ways.
//!
//! `matrix [--pairwise] [--list]`: all combinations, or so many that each choice meets each other; or only their names. A line
//! for each; exits with 1 if one failed.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

use onehop_tests::matrix::Combination;

fn main() -> ExitCode {
    let (mut is_pairwise, mut lists) = (false, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--pairwise" => is_pairwise = true,
            "--list" => lists = true,
            other => {
                eprintln!("matrix: {other:?} is unknown\nusage: matrix [--pairwise] [--list]");
                return ExitCode::from(2);
            }
        }
    }
    let combinations = if is_pairwise { Combination::pairwise() } else { Combination::all() };
    if lists {
        combinations.iter().for_each(|combination| println!("{combination}"));
        return ExitCode::SUCCESS;
    }
    let (start, count) = (Instant::now(), combinations.len());
    let mut failed = 0;
    for (number, combination) in combinations.iter().enumerate() {
        let outcome = catch_unwind(|| combination.run()).unwrap_or_else(|_| Err("see above".to_owned()));
        let said = outcome.map_or_else(
            |why| {
                failed += 1;
                format!("FAILED: {why}")
            },
            |()| "passed".to_owned(),
        );
        println!("[{}/{count}, {} s] {combination}: {said}", number + 1, start.elapsed().as_secs());
    }
    println!("{} of {count} passed", count - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
