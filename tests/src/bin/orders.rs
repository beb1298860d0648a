//! Follows every order in which the nodes of a small cluster can connect, and shows the first that breaks a rule.

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use onehop::sim::{BadOrder, Explored, Member, Scenario, Topology};
use onehop_tests::command_line::{self, number};
use onehop_tests::say;

const USAGE: &str = "\
usage: orders [options]
  --nodes <n>         how many nodes, which start at once (default 3)
  --topology <which>  who dials whom: seed, chain, full, star, ring or tree (default ring)
  --pool <n>          connections per peer, 0 for nodes that do not pool (default 1)
  --healing <which>   on or off (default on)
  --seed <n>          decides the ids of the nodes, and with them who dials first where both may (default 0)
  --limit <n>         ends after so many states, of some 100 bytes each (default 100000000)";

struct Options {
    nodes: usize,
    topology: Topology,
    member: Member,
    seed: u64,
    limit: usize,
}

fn main() -> ExitCode {
    command_line::run(USAGE, parse(std::env::args().skip(1)), run)
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let member = Member { pool_size: Some(1), ..Member::HEALING };
    let mut options = Options { nodes: 3, topology: Topology::Ring, member, seed: 0, limit: 100_000_000 };
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match (word.as_str(), value.as_str()) {
            ("--nodes", _) => options.nodes = number(&value)?,
            ("--topology", "name") => return Err("a name has many addresses, in a random order".to_owned()),
            ("--topology", _) => options.topology = value.parse()?,
            ("--pool", _) => options.member.pool_size = Some(number(&value)?).filter(|size| *size > 0),
            ("--healing", "on") => options.member.heals = true,
            ("--healing", "off") => options.member.heals = false,
            ("--seed", _) => options.seed = number(&value)?,
            ("--limit", _) => options.limit = number(&value)?,
            _ => return Err(format!("{word} {value} means nothing")),
        }
    }
    Ok(Some(options))
}

fn run(options: &Options) -> ExitCode {
    let scenario = Scenario::new(options.seed, options.nodes, options.topology, options.member);
    let started = Instant::now();
    let mut progress = Progress::new();
    let explored = scenario.explore(options.limit, |so_far| progress.show(so_far.states, so_far.ends));
    progress.end();
    match explored {
        Ok(explored) => {
            report(&explored);
            say!("in {:.1?}", started.elapsed());
            ExitCode::SUCCESS
        }
        Err(bad) => {
            explain(&scenario, &bad);
            ExitCode::FAILURE
        }
    }
}

/// How far it is: kept up to date on a terminal, otherwise a line now and then.
struct Progress {
    is_terminal: bool,
    shown_at: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), shown_at: Instant::now() }
    }

    fn show(&mut self, states: usize, ends: usize) {
        if self.is_terminal {
            eprint!("\r{states} states, {ends} ends");
            // Progress that cannot be shown is no reason to stop.
            let _ = std::io::stderr().flush();
        } else if self.shown_at.elapsed() >= PAUSE {
            eprintln!("{states} states, {ends} ends");
            self.shown_at = Instant::now();
        }
    }

    fn end(&self) {
        if self.is_terminal {
            eprintln!();
        }
    }
}

fn report(explored: &Explored) {
    let Explored { states, node_states, ends, wanting_ends, orders, wanting_orders, is_complete } = explored;
    say!("{states} states, made of {node_states} states of single nodes");
    say!("{ends} ends, in {wanting_ends} of which the mesh does not become whole");
    let whole = if *is_complete { "and these are all" } else { "and there are more" };
    let (orders, wanting) = (counted(*orders), counted(*wanting_orders));
    say!("{orders} orders of arrivals, of which {wanting} lead to such an end, {whole}");
}

fn counted(orders: Option<u128>) -> String {
    orders.map_or_else(|| "more than can be counted".to_owned(), |orders| orders.to_string())
}

fn explain(scenario: &Scenario, bad: &BadOrder) {
    scenario.trace_order(&bad.order).iter().for_each(|line| say!("{line}"));
    say!("the order of arrivals:");
    bad.order.iter().for_each(|arrival| say!("  {arrival}"));
    say!("{}", bad.violation);
}

/// Between two lines of progress.
const PAUSE: Duration = Duration::from_secs(10);
