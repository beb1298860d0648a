//! Runs many simulated clusters, each from its own seed, and shows the smallest that breaks a rule.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use onehop::sim::{Drawing, FaultLevel, Healing, Lines, Outcome, Rule, Scenario, Variety};
use onehop_tests::command_line::{self, number};
use onehop_tests::say;

const USAGE: &str = "\
usage: sim [options]
  --seeds <n>         how many runs (default 1000)
  --first <seed>      the first of them (default 0)
  --seed <seed>       only this one, with its trace
  --nodes <a>..<b>    from so many nodes to so many (default 2..6)
  --faults <level>    none, light or heavy (default light)
  --healing <which>   on, off or mixed (default on)
  --variety <much>    none, some or all of what most worlds do without: connections in frames, accounts that come and go,
                      other configurations (default some)
  --tenants <how>     in none, some or all worlds there are accounts that share streams and services, users who may not do
                      everything, and accounts with a connection of their own (default some)
  --compression <how> in none, some or all worlds nodes want this and that of compression (default some)
  --websockets <how>  in none, some or all worlds some clients come by WebSocket (default some)
  --tls <how>         in none, some or all worlds servers speak TLS, and some clients with them (default some)
  --discovery <how>   in none, some or all worlds nodes find each other by sources, of which one lies (default some)
  --walls <how>       in none, some or all worlds where all heal not everybody can dial everybody (default some)
  --proxies <how>     in none, some or all worlds some clients come by way of a proxy (default some)
  --shrink <n>        tries to make a failing run smaller (default 300)
  --keep-going        counts failing runs instead of ending with the first";

struct Options {
    seeds: u64,
    first: u64,
    only: Option<u64>,
    drawing: Drawing,
    shrink: usize,
    keeps_going: bool,
}

fn main() -> ExitCode {
    command_line::run(USAGE, parse(std::env::args().skip(1)), |options| match options.only {
        Some(seed) => replay(seed, options),
        None => run_all(options),
    })
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        seeds: 1000,
        first: 0,
        only: None,
        drawing: Drawing::default(),
        shrink: 300,
        keeps_going: false,
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--keep-going" => {
                options.keeps_going = true;
                continue;
            }
            _ => {}
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match (word.as_str(), value.as_str()) {
            ("--seeds", _) => options.seeds = number(&value)?,
            ("--first", _) => options.first = number(&value)?,
            ("--seed", _) => options.only = Some(number(&value)?),
            ("--shrink", _) => options.shrink = number(&value)?,
            ("--nodes", _) => {
                let (from, to) = value.split_once("..").unwrap_or((&value, &value));
                let (from, to): (usize, usize) = (number(from)?, number(to)?);
                if from == 0 || to < from {
                    return Err(format!("no number of nodes is in {value}"));
                }
                options.drawing.nodes = from..=to;
            }
            ("--faults", "none") => options.drawing.faults = FaultLevel::None,
            ("--faults", "light") => options.drawing.faults = FaultLevel::Light,
            ("--faults", "heavy") => options.drawing.faults = FaultLevel::Heavy,
            ("--healing", "on") => options.drawing.healing = Healing::On,
            ("--healing", "off") => options.drawing.healing = Healing::Off,
            ("--healing", "mixed") => options.drawing.healing = Healing::Mixed,
            ("--variety", _) => options.drawing.variety = variety(&word, &value)?,
            ("--tenants", _) => options.drawing.tenants = variety(&word, &value)?,
            ("--compression", _) => options.drawing.compression = variety(&word, &value)?,
            ("--websockets", _) => options.drawing.websockets = variety(&word, &value)?,
            ("--tls", _) => options.drawing.tls = variety(&word, &value)?,
            ("--discovery", _) => options.drawing.discovery = variety(&word, &value)?,
            ("--walls", _) => options.drawing.walls = variety(&word, &value)?,
            ("--proxies", _) => options.drawing.proxies = variety(&word, &value)?,
            _ => return Err(format!("{word} {value} means nothing")),
        }
    }
    Ok(Some(options))
}

fn variety(word: &str, value: &str) -> Result<Variety, String> {
    match value {
        "none" => Ok(Variety::None),
        "some" => Ok(Variety::Some),
        "all" => Ok(Variety::All),
        _ => Err(format!("{word} {value} means nothing")),
    }
}

/// One run with everything that is known of it.
fn replay(seed: u64, options: &Options) -> ExitCode {
    let scenario = Scenario::draw(seed, &options.drawing);
    say!("{scenario:#?}");
    let outcome = scenario.run(Lines::Kept);
    outcome.trace.iter().for_each(|line| say!("{line}"));
    say!("whole after {:?}, {:?}", outcome.whole_after, outcome.statistics);
    match &outcome.violation {
        None => ExitCode::SUCCESS,
        Some(_) => {
            explain(&scenario, &outcome, options);
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Totals {
    runs: u64,
    whole: u64,
    whole_after: Duration,
    slowest: Duration,
    virtual_time: Duration,
    dials: u64,
    messages: u64,
    events: u64,
    failures: BTreeMap<Rule, Vec<u64>>,
}

fn run_all(options: &Options) -> ExitCode {
    let mut totals = Totals::default();
    let started = Instant::now();
    let bar = std::io::stderr().is_terminal();
    for seed in (options.first..).take(usize::try_from(options.seeds).unwrap_or(usize::MAX)) {
        let scenario = Scenario::draw(seed, &options.drawing);
        let outcome = scenario.run(Lines::Dropped);
        totals.add(seed, &outcome);
        if outcome.violation.is_some() && !options.keeps_going {
            clear(bar);
            say!("seed {seed} fails");
            explain(&scenario, &outcome, options);
            break;
        }
        if bar && totals.runs.is_multiple_of(16) {
            let filled = (totals.runs * 40 / options.seeds.max(1)) as usize;
            eprint!("\r[{:<40}] {}/{}", "#".repeat(filled), totals.runs, options.seeds);
            // A bar that cannot be drawn is no reason to stop.
            let _ = std::io::stderr().flush();
        }
    }
    clear(bar);
    totals.report(started.elapsed());
    if totals.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn clear(bar: bool) {
    if bar {
        eprint!("\r{:<70}\r", "");
    }
}

impl Totals {
    fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.runs += 1;
        self.virtual_time += outcome.elapsed;
        self.dials += outcome.statistics.dials;
        self.events += outcome.statistics.events;
        self.messages += outcome.messages as u64;
        if let Some(after) = outcome.whole_after {
            self.whole += 1;
            self.whole_after += after;
            self.slowest = self.slowest.max(after);
        }
        if let Some(violation) = &outcome.violation {
            self.failures.entry(violation.rule).or_default().push(seed);
        }
    }

    fn report(&self, took: Duration) {
        let per_second = self.runs as f64 / took.as_secs_f64().max(1e-9);
        say!(
            "{} runs in {took:.1?} ({per_second:.0} per second), {:.0?} of virtual time",
            self.runs,
            self.virtual_time
        );
        say!("{} events, {} dials, {} messages", self.events, self.dials, self.messages);
        let average =
            self.whole_after.checked_div(u32::try_from(self.whole).unwrap_or(u32::MAX)).unwrap_or_default();
        say!(
            "{} became a full mesh, after the faults ended {average:.1?} on average and {:.1?} at most",
            self.whole,
            self.slowest
        );
        for (rule, seeds) in &self.failures {
            let some: Vec<_> = seeds.iter().take(10).map(u64::to_string).collect();
            say!("FAILED {rule:?}: {} runs, seeds {}", seeds.len(), some.join(" "));
        }
    }
}

/// Shows the smallest scenario that fails alike, and what happened in it.
fn explain(scenario: &Scenario, outcome: &Outcome, options: &Options) {
    let Some(violation) = &outcome.violation else {
        return;
    };
    say!("{violation}");
    let shrunk = scenario.shrunk(violation.rule, options.shrink);
    let outcome = shrunk.run(Lines::Kept);
    say!("the smallest that was found: {shrunk:#?}");
    for line in &outcome.trace {
        say!("{line}");
    }
    if let Some(violation) = &outcome.violation {
        say!("{violation}");
    }
}
