//! How long a cluster takes to become a full mesh, and what that costs.
//!
//! ```text
//! cargo run --release -p onehop --features sim --example converge -- --nodes 50 --topology chain
//! ```

use std::error::Error;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use fastrand::Rng;
use onehop::DialCounts;
use onehop::sim::{CLUSTER_NAME, Lines, NetworkConfig, NodeId, NodeSpec, Topology, World};

/// Says a line. When nobody reads any more, that is the end.
macro_rules! say {
    ($($what:tt)*) => {
        if writeln!(std::io::stdout(), $($what)*).is_err() {
            std::process::exit(0);
        }
    };
}

const USAGE: &str = "\
usage: converge [options]
  --nodes <n>           how many nodes (default 50)
  --topology <name>     seed, chain, full, star, ring, tree or name (default chain)
  --start <how>         together or one-by-one (default together)
  --pool <n>            connections per peer, 0 for none (default 3)
  --latency-ms <n>      one way (default 1), with as much jitter
  --loss <n>            of a million segments, how many reset their connection (default 0)
  --limit-s <n>         gives up after so much virtual time (default 120)
  --seed <n>            (default 1)";

struct Options {
    nodes: usize,
    topology: Topology,
    together: bool,
    pool: u16,
    latency_ms: u64,
    loss: u32,
    limit_s: u64,
    seed: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = parse(std::env::args().skip(1))? else {
        say!("{USAGE}");
        return Ok(());
    };
    let mut world = build(&options);
    say!("{} nodes, {}, pool of {}, seed {}\n", options.nodes, options.topology, options.pool, options.seed);
    let whole = watch(&mut world, &options)?;
    report(&world, whole);
    Ok(())
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, Box<dyn Error>> {
    let mut options = Options {
        nodes: 50,
        topology: Topology::Chain,
        together: true,
        pool: 3,
        latency_ms: 1,
        loss: 0,
        limit_s: 120,
        seed: 1,
    };
    while let Some(word) = words.next() {
        if word == "--help" || word == "-h" {
            return Ok(None);
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
        match word.as_str() {
            "--nodes" => options.nodes = value.parse()?,
            "--topology" => options.topology = value.parse()?,
            "--start" => options.together = value != "one-by-one",
            "--pool" => options.pool = value.parse()?,
            "--latency-ms" => options.latency_ms = value.parse()?,
            "--loss" => options.loss = value.parse()?,
            "--limit-s" => options.limit_s = value.parse()?,
            "--seed" => options.seed = value.parse()?,
            _ => return Err(format!("what is {word}?\n{USAGE}").into()),
        }
    }
    Ok(Some(options))
}

fn build(options: &Options) -> World {
    let latency = Duration::from_millis(options.latency_ms);
    let network = NetworkConfig {
        latency,
        jitter: latency,
        resets_per_million: options.loss,
        ..NetworkConfig::default()
    };
    let mut world = World::new(options.seed, network, Lines::Dropped);
    let routes = options.topology.routes(options.nodes, &mut Rng::with_seed(options.seed));
    let mut ids = Vec::new();
    for routes in routes {
        let mut spec = NodeSpec::new(Some(options.pool)).joining(routes);
        if let Some(cluster) = &mut spec.config.cluster {
            // Nothing dies here without being noticed, so that seldom pings will do.
            cluster.ping_interval = None;
        }
        ids.push(world.add_node(spec));
    }
    world.add_name(CLUSTER_NAME, &ids[..ids.len().min(2)]);
    for (at, id) in ids.into_iter().enumerate() {
        let delay = if options.together { Duration::ZERO } else { Duration::from_millis(200) * at as u32 };
        world.start_after(id, delay);
    }
    world
}

/// Lets time pass until the mesh is whole, and shows how it grows.
fn watch(world: &mut World, options: &Options) -> Result<Option<Duration>, Box<dyn Error>> {
    let mut film = Film { bar: Bar { shows: std::io::stderr().is_terminal() }, frames: Vec::new() };
    let starting =
        if options.together { Duration::ZERO } else { Duration::from_millis(200) * options.nodes as u32 };
    let limit = starting + Duration::from_secs(options.limit_s);
    let mut next = Duration::from_millis(1);
    let mut whole_after = None;
    while whole_after.is_none() && elapsed(world) < limit {
        let all_run = (0..options.nodes).all(|node| world.is_running(NodeId(node)));
        let whole = world.run_until_whole(next.saturating_sub(elapsed(world)))?;
        if whole.is_some() && all_run {
            whole_after = Some(elapsed(world));
        } else if whole.is_some() {
            // Those that run are one mesh, and others are still to come.
            world.run_for(Duration::from_millis(1))?;
        }
        film.bar.show(connected(world), options.nodes);
        if whole_after.is_some() || elapsed(world) >= next {
            film.take(world);
            next = (next * 2).max(elapsed(world) + Duration::from_millis(1)).min(limit);
        }
    }
    film.show();
    Ok(whole_after)
}

fn elapsed(world: &World) -> Duration {
    world.now().since(onehop::Instant::ZERO)
}

/// The adjacency of the nodes at several moments.
struct Film {
    bar: Bar,
    frames: Vec<Frame>,
}

/// The adjacency at one moment: a square of all ordered pairs, in blocks that are the darker the more of them are connected.
struct Frame {
    percent: usize,
    lines: Vec<String>,
}

impl Film {
    /// Prints how many pairs are connected, and for each node how many peers it has; keeps a picture if it is a new one.
    fn take(&mut self, world: &World) {
        let count = world.node_count();
        let shade_of = |a: usize| {
            shade((0..count).filter(|b| is_connected(world, a, *b)).count(), count.saturating_sub(1))
        };
        let nodes: String = (0..count).map(shade_of).collect();
        let pairs = (count * count.saturating_sub(1)).max(1);
        let percent = connected(world) * 100 / pairs;
        let millis = elapsed(world).as_secs_f64() * 1000.0;
        self.bar.clear();
        say!("{millis:>10.1} ms {percent:>3} % [{nodes}]");
        if self.frames.last().is_none_or(|last| percent > last.percent + 4) {
            let title = format!("{millis:.0} ms, {percent} %");
            self.frames.push(Frame { percent, lines: picture(world, &title) });
        }
    }

    /// Prints the pictures side by side.
    fn show(&self) {
        for frames in self.frames.chunks(FRAMES_PER_ROW) {
            say!("");
            for line in 0..frames[0].lines.len() {
                let row: Vec<_> =
                    frames.iter().map(|frame| format!("{:1$}", frame.lines[line], WIDTH + 2)).collect();
                say!("{}", row.join("  ").trim_end());
            }
        }
    }
}

/// Rows are the nodes that look, columns those that they look for; the diagonal is what a node needs not.
fn picture(world: &World, title: &str) -> Vec<String> {
    let count = world.node_count();
    let (width, height) = (WIDTH.min(count), HEIGHT.min(count));
    let block = |at: usize, of: usize| at * count / of..(at + 1) * count / of;
    let cell = |row: usize, column: usize| {
        let pairs = block(row, height).flat_map(|a| block(column, width).map(move |b| (a, b)));
        let pairs = pairs.filter(|(a, b)| a != b);
        let (all, here) = pairs
            .fold((0, 0), |(all, here), (a, b)| (all + 1, here + usize::from(is_connected(world, a, b))));
        shade(here, all)
    };
    let edge = format!("+{}+", "-".repeat(width));
    let rows = (0..height)
        .map(|row| format!("|{}|", (0..width).map(|column| cell(row, column)).collect::<String>()));
    [title.to_owned(), edge.clone()].into_iter().chain(rows).chain([edge]).collect()
}

/// The more, the darker.
fn shade(some: usize, all: usize) -> char {
    let shades = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
    let place = (some * (shades.len() - 1)).checked_div(all);
    place.map_or('\\', |place| shades[place])
}

/// Of a picture.
const WIDTH: usize = 24;
const HEIGHT: usize = 12;
const FRAMES_PER_ROW: usize = 4;

fn is_connected(world: &World, a: usize, b: usize) -> bool {
    world.is_running(NodeId(b)) && world.is_connected(NodeId(a), NodeId(b))
}

fn connected(world: &World) -> usize {
    let count = world.node_count();
    (0..count).map(|a| (0..count).filter(|b| *b != a && is_connected(world, a, *b)).count()).sum()
}

fn report(world: &World, whole: Option<Duration>) {
    let statistics = world.statistics();
    let count = world.node_count();
    let pairs = count * count.saturating_sub(1) / 2;
    match whole {
        Some(took) => say!("\nfull mesh after  {:.1} ms", took.as_secs_f64() * 1000.0),
        None => {
            say!("\nno full mesh; missing {} of {} ordered pairs", world.missing_pairs().len(), 2 * pairs)
        }
    }
    let per_pair = |number: u64| number as f64 / pairs.max(1) as f64;
    say!("dials            {} ({:.1} per pair)", statistics.dials, per_pair(statistics.dials));
    let nodes = (0..count).filter_map(|node| world.engine(NodeId(node)));
    let causes: DialCounts = nodes.map(|engine| engine.node().dial_counts()).sum();
    let causes = causes.iter().filter(|(_, number)| *number > 0);
    let causes: Vec<_> = causes.map(|(cause, number)| format!("{cause} {number}")).collect();
    say!("  by cause       {}", causes.join(", "));
    say!("duplicates       {} ({:.2} per pair)", statistics.duplicates, per_pair(statistics.duplicates));
    say!("gossip           {} lines, {} bytes", statistics.gossip_lines, statistics.gossip_bytes);
    say!("bytes on routes  {}", statistics.route_bytes);
    say!("events           {}", statistics.events);
}

/// How far it is, on a terminal.
struct Bar {
    shows: bool,
}

impl Bar {
    fn show(&self, connected: usize, nodes: usize) {
        if self.shows {
            let pairs = (nodes * nodes.saturating_sub(1)).max(1);
            let filled = connected * 40 / pairs;
            eprint!("\r[{:<40}] {connected}/{pairs}", "#".repeat(filled));
            // A bar that cannot be drawn is no reason to stop.
            let _ = std::io::stderr().flush();
        }
    }

    fn clear(&self) {
        if self.shows {
            eprint!("\r{:<70}\r", "");
        }
    }
}
