//! Compares two NATS servers side by side on one machine, in one run; `--help` tells how.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::thread;

use onehop_tests::command_line::write_out;
use onehop_tests::load::options::{Options, USAGE};
use onehop_tests::load::plan::{self, Load};
use onehop_tests::load::run::{Comparison, Schedule, Side, about};
use onehop_tests::load::{chart, relay, report, stop};

/// How a comparison ended that could run.
enum Verdict {
    Passed,
    Failed,
    Interrupted,
}

fn main() -> ExitCode {
    match Options::parse(env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::from(1),
        Ok(Verdict::Interrupted) => ExitCode::from(3),
        Err(error) => {
            note(&format!("versus: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Runs the comparison. The error says why it could not run.
fn run(options: &Options) -> Result<Verdict, String> {
    if options.help {
        write_out(USAGE);
        return Ok(Verdict::Passed);
    }
    if let Some(port) = options.relay {
        return Err(be_relay(port).to_string());
    }
    let loads: Vec<Load> = plan::choose(plan::all(options.big), &options.loads)?;
    stop::at_signals().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let sides = sides(options, &loads)?;
    let schedule = Schedule { sides: &sides, loads: &loads, rounds: options.rounds, until: options.until };
    let expected = match schedule.expected() {
        Some(time) => format!("about {}", about(time)),
        None => "as long as the servers take for the messages".to_owned(),
    };
    note(&format!("{} runs, {expected}", schedule.runs()));
    let comparisons = schedule.run(note);
    if let Some(path) = &options.svg {
        let drawing = drawing(&sides, &comparisons, options)?;
        fs::write(path, drawing).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    write_out(report::render(&sides, &comparisons, options.markdown));
    if stop::requested() {
        note("versus: interrupted: this is what was measured until then");
        return Ok(Verdict::Interrupted);
    }
    let problems = report::problems(&comparisons, options.check);
    for problem in &problems {
        note(&format!("versus: {problem}"));
    }
    Ok(if problems.is_empty() { Verdict::Passed } else { Verdict::Failed })
}

/// The servers to compare. Without the second one the first is measured alone, unless there is something to check; others
/// are those that any of the loads suits.
fn sides(options: &Options, loads: &[Load]) -> Result<Vec<Side>, String> {
    let mut rivals = vec![options.binary_a()?];
    match options.binary_b() {
        Ok(binary) => rivals.push(binary),
        Err(error) if options.check.is_some() || options.b.is_some() => return Err(error),
        Err(error) => note(&format!("versus: {error}; measuring the first server alone")),
    }
    let file_name =
        |path: &std::path::Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let named = rivals.into_iter().map(|binary| Side { name: file_name(&binary.path), binary });
    let mut sides: Vec<Side> = named.collect();
    if let [first, second] = &mut sides[..]
        && first.name == second.name
    {
        (first.name, second.name) = ("a".to_owned(), "b".to_owned());
    }
    for (name, binary) in options.others()? {
        if loads.iter().any(|load| load.suits(binary.dialect)) {
            sides.push(Side { name: name.to_owned(), binary });
        }
    }
    for side in &sides {
        note(&format!("{}: {}", side.binary.path.display(), version(side)?));
    }
    Ok(sides)
}

fn version(side: &Side) -> Result<String, String> {
    side.binary.version().map_err(|error| format!("{}: {error}", side.binary.path.display()))
}

/// The comparison as an SVG that says what it shows.
fn drawing(sides: &[Side], comparisons: &[Comparison], options: &Options) -> Result<String, String> {
    let versions = sides.iter().map(version).collect::<Result<Vec<_>, _>>()?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let rounds = options.rounds;
    let how = format!(
        "Bars: medians of {rounds} interleaved rounds on a machine with {cores} cores, each load with a scale of its own; \
         lines: from the least to the most."
    );
    let notes = [how, versions.join(" · ")];
    Ok(chart::draw(
        sides,
        comparisons,
        "CPU time and memory that servers take for the same loads: less is better",
        &notes,
    ))
}

/// Serves as the relay until that fails, for the reason returned.
fn be_relay(port: u16) -> io::Error {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| relay::serve(&listener)) {
        Ok(()) => io::Error::other("the relay ended"),
        Err(error) => error,
    }
}

/// Says on the standard error what goes on. Where nobody reads that any more, nobody waits for the end.
fn note(line: &str) {
    if writeln!(io::stderr(), "{line}").is_err() {
        stop::request();
    }
}
