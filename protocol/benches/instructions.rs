//! Instructions that one message costs on the hottest paths, counted by valgrind and compared with what was counted before.
//!
//! Run with `cargo bench -p onehop --bench instructions`; `-- --keep` writes the counts to `benches/instructions.txt`, to
//! commit them together with the change that they come from. Where times differ from run to run, counts do not: the same
//! sources and compiler give the same ones, whatever else the machine does.
//!
//! Another compiler, or a processor for which other functions of the libraries are chosen, gives somewhat other counts; they
//! are then compared within a wider margin, and said to be.

mod paths;

use std::env;
use std::fs;
use std::process::{Command, ExitCode, Stdio};

use paths::{Batch, OneNode, OneRoute};

/// Carries so many batches; gives the number of deliveries for each.
type Carry = fn(usize) -> usize;

/// The paths, by the names that the file of kept counts has for them.
const PATHS: [(&str, Carry); 6] = [
    ("one to one, 16 B", |batches| through_one_node(OneNode::new(1, "foo.bar", Batch::of(16)), batches)),
    ("fan-out to 10, 128 B", |batches| {
        through_one_node(OneNode::new(10, "foo.bar", Batch::of(128)), batches)
    }),
    ("1,000 denied, 16 B", |batches| through_one_node(OneNode::with_denied_subjects(Batch::of(16)), batches)),
    ("stream import, 16 B", |batches| through_one_node(OneNode::with_stream_import(Batch::of(16)), batches)),
    ("service import, 16 B", |batches| {
        through_one_node(OneNode::with_service_import(Batch::of(16)), batches)
    }),
    ("across one route, 128 B", |batches| across_one_route(OneRoute::new(Batch::of(128)), batches)),
];

/// Where counts are kept.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// How far a count may be from the one that was kept, where compiler and processor are the same.
const MARGIN_PERCENT: f64 = 2.0;

/// The same where they are not: enough to see a path that became a sixth longer.
const WIDE_MARGIN_PERCENT: f64 = 15.0;

/// What two runs carry of a path; their difference is free of what happens once.
const BATCHES: [usize; 2] = [20, 120];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Cargo itself adds `--bench` for benches, and for nothing else that could be built without optimization.
    let outcome = match arguments[..] {
        ["carry", path, batches] => {
            carry(path, batches.parse().expect("a number"));
            return ExitCode::SUCCESS;
        }
        ["--bench"] => compare(),
        ["--keep", "--bench"] => keep(),
        // What chooses among the other benches, such as a name, is given to this one, too.
        _ => {
            println!("instructions: not counted; `cargo bench` does that, and its only argument is --keep");
            return ExitCode::SUCCESS;
        }
    };
    match outcome {
        Ok(fine) => ExitCode::from(u8::from(!fine)),
        Err(why) => {
            println!("NOT RUN: instructions are not counted: {why}");
            ExitCode::SUCCESS
        }
    }
}

/// Carries so many batches along the path of that name: what valgrind watches.
fn carry(name: &str, batches: usize) -> usize {
    let path = PATHS.into_iter().find(|(known, _)| *known == name);
    let (_, carry) = path.expect("a path that this program named itself");
    carry(batches)
}

fn through_one_node(mut node: OneNode, batches: usize) -> usize {
    (0..batches).for_each(|_| node.carry());
    node.deliveries()
}

fn across_one_route(mut route: OneRoute, batches: usize) -> usize {
    (0..batches).for_each(|_| route.carry());
    route.deliveries()
}

fn keep() -> Result<bool, String> {
    let counts = count_all()?;
    let lines: String = counts.iter().map(|(path, count)| format!("{path}: {count:.1}\n")).collect();
    let text = format!(
        "# Instructions per delivered message, through the engine without sockets.\n\
         # Written by: cargo bench -p onehop --bench instructions -- --keep\n\
         {BUILT}{}\n{lines}",
        built_by()?
    );
    fs::write(KEPT, &text).map_err(|fault| format!("{KEPT}: {fault}"))?;
    print!("{text}");
    Ok(true)
}

/// Shows each path's count beside the one that was kept; whether all are within the margin.
fn compare() -> Result<bool, String> {
    let kept = fs::read_to_string(KEPT).map_err(|fault| format!("{KEPT}: {fault}"))?;
    let (before, now) = (value(&kept, BUILT)?, built_by()?);
    let margin = if before == now { MARGIN_PERCENT } else { WIDE_MARGIN_PERCENT };
    if before != now {
        println!("The kept counts are of\n  {before}\nand these of\n  {now}\nso that the margin is wider.");
    }
    let counts = count_all()?;
    println!("{:<28} {:>8} {:>8}   within {margin} %", "instructions per message", "kept", "now");
    let mut fine = true;
    for (path, count) in counts {
        let kept = value(&kept, &format!("{path}: "))?;
        let kept: f64 = kept.parse().map_err(|_| format!("{KEPT}: {kept:?} is no number"))?;
        let percent = (count / kept - 1.0) * 100.0;
        let within = percent.abs() <= margin;
        let verdict = if within { "" } else { "  NOT WITHIN" };
        println!("{path:<28} {kept:>8.1} {count:>8.1}   {percent:+.1} %{verdict}");
        fine &= within;
    }
    if !fine {
        println!("If it is meant, keep what is so now: cargo bench -p onehop --bench instructions -- --keep");
    }
    Ok(fine)
}

/// What stands before the compiler and the processor in the file of kept counts.
const BUILT: &str = "built by: ";

/// What follows `name` at the beginning of a line of `kept`.
fn value<'a>(kept: &'a str, name: &str) -> Result<&'a str, String> {
    let found = kept.lines().find_map(|line| line.strip_prefix(name));
    found.ok_or_else(|| format!("{KEPT} has no line that begins with {name:?}"))
}

fn count_all() -> Result<Vec<(&'static str, f64)>, String> {
    PATHS.into_iter().map(|(path, _)| Ok((path, count(path)?))).collect()
}

/// Instructions per delivered message.
fn count(path: &str) -> Result<f64, String> {
    let [few, many] = BATCHES;
    let difference = executed(path, many)? - executed(path, few)?;
    Ok(difference as f64 / ((many - few) * carry(path, 0)) as f64)
}

/// Instructions that this program executes to carry so many batches along the path, as valgrind counts them.
fn executed(path: &str, batches: usize) -> Result<u64, String> {
    let program = env::current_exe().map_err(|fault| fault.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    command.arg(program).args(["carry", path, &batches.to_string()]);
    // What the environment holds would be part of the count.
    command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path))).stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|fault| format!("valgrind: {fault} (Debian has it as `apt-get install valgrind`)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find_map(total_of).filter(|_| output.status.success());
    total.ok_or_else(|| format!("valgrind ended with {} and said:\n{said}", output.status))
}

/// The number in `==7== I   refs:      1,234,567`.
fn total_of(line: &str) -> Option<u64> {
    let (name, number) = line.split_once("refs:")?;
    let digits = number.trim().replace(',', "");
    name.trim_end().ends_with(" I").then(|| digits.parse().ok())?
}

/// The compiler with its target, and whether the processor has the wide registers that searching and copying use.
fn built_by() -> Result<String, String> {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("-vV").output().map_err(|fault| format!("rustc: {fault}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.lines().next().unwrap_or("an unknown compiler").to_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("an unknown target");
    Ok(format!("{version} for {host}, processor {} AVX2", if has_avx2() { "with" } else { "without" }))
}

fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
