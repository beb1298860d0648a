//! Follows every order in which the nodes of a small cluster can connect, and shows the first that breaks a rule.

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use onehop::sim::{BadOrder, Explored, Member, Scenario, Topology};
use onehop_tests::command_line::{self, number};

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
    let shows = std::io::stderr().is_terminal();
    let explored = scenario.explore(options.limit, |so_far| {
        if shows {
            eprint!("\r{} states, {} ends", so_far.states, so_far.ends);
            // Progress that cannot be shown is no reason to stop.
            let _ = std::io::stderr().flush();
        }
    });
    if shows {
        eprintln!();
    }
    match explored {
        Ok(explored) => {
            report(&explored);
            println!("in {:.1?}", started.elapsed());
            ExitCode::SUCCESS
        }
        Err(bad) => {
            explain(&scenario, &bad);
            ExitCode::FAILURE
        }
    }
}

fn report(explored: &Explored) {
    let Explored { states, node_states, ends, wanting_ends, orders, wanting_orders, is_complete } = explored;
    println!("{states} states, made of {node_states} states of single nodes");
    println!("{ends} ends, in {wanting_ends} of which the mesh does not become whole");
    let whole = if *is_complete { "and these are all" } else { "and there are more" };
    println!("{orders} orders of arrivals, of which {wanting_orders} lead to such an end, {whole}");
}

fn explain(scenario: &Scenario, bad: &BadOrder) {
    scenario.trace_order(&bad.order).iter().for_each(|line| println!("{line}"));
    println!("the order of arrivals:");
    bad.order.iter().for_each(|arrival| println!("  {arrival}"));
    println!("{}", bad.violation);
}
