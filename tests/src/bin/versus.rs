//! Compares two NATS servers side by side on one machine, in one run; `--help` tells how.

use std::env;
use std::process::ExitCode;

use onehop_tests::command_line::write_out;
use onehop_tests::load::options::{Options, USAGE};
use onehop_tests::load::plan::{self, Load};
use onehop_tests::load::report;
use onehop_tests::load::run::{Side, compare};

fn main() -> ExitCode {
    match Options::parse(env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("versus: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the comparison; whether the first server passed. The error says why it could not run.
fn run(options: &Options) -> Result<bool, String> {
    if options.help {
        write_out(USAGE);
        return Ok(true);
    }
    let loads: Vec<Load> = plan::choose(plan::all(options.big), &options.loads)?;
    let sides = sides(options)?;
    let comparisons = compare(&sides, &loads, options.rounds, options.until, |line| eprintln!("{line}"));
    write_out(report::render(&sides, &comparisons, options.markdown));
    let problems = report::problems(&comparisons, options.check);
    for problem in &problems {
        eprintln!("versus: {problem}");
    }
    Ok(problems.is_empty())
}

/// The servers to compare; without the second one the first is measured alone, unless there is something to check.
fn sides(options: &Options) -> Result<Vec<Side>, String> {
    let mut binaries = vec![options.binary_a()?];
    match options.binary_b() {
        Ok(binary) => binaries.push(binary),
        Err(error) if options.check.is_some() || options.b.is_some() => return Err(error),
        Err(error) => eprintln!("versus: {error}; measuring the first server alone"),
    }
    let mut sides = Vec::new();
    for binary in binaries {
        let version = binary.version().map_err(|error| format!("{}: {error}", binary.path.display()))?;
        eprintln!("{}: {version}", binary.path.display());
        let name = binary.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        sides.push(Side { name, binary });
    }
    if let [first, second] = &sides[..]
        && first.name == second.name
    {
        for (side, letter) in sides.iter_mut().zip(["a", "b"]) {
            side.name = letter.to_owned();
        }
    }
    Ok(sides)
}
