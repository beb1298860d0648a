//! Routes to real servers in every combination of what the two ends may choose: what the program `matrix` and the test of the
//! same name are made of.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::certificates::Authority;
use crate::mesh::{cluster_block, compressions, wait_for_connections};
use crate::real_server::Version;
use crate::server::{Kind, Options, Server, reserve_port};
use crate::traffic::check_sizes;

/// How long anything may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How many connections carry what is not pinned: at this end, and at the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    ours: i32,
    theirs: i32,
    /// How many there are in the end, that of the system account included.
    connections: usize,
}

/// What each end says of compression, and what comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    ours: &'static str,
    theirs: &'static str,
    /// How this end writes; with `s2_auto` that depends on how far the other end is.
    written: &'static str,
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Combination {
    version: Version,
    pool: Pool,
    compression: Compression,
    is_encrypted: bool,
    /// Whether the real server dials.
    is_dialed: bool,
}

/// The pools that are tried.
pub const POOLS: [Pool; 4] = [
    Pool { ours: -1, theirs: -1, connections: 1 },
    Pool { ours: 1, theirs: 1, connections: 2 },
    Pool { ours: 3, theirs: 3, connections: 4 },
    Pool { ours: 5, theirs: 3, connections: 6 },
];

/// What is tried of compression.
pub const COMPRESSIONS: [Compression; 7] = [
    Compression { ours: "off", theirs: "s2_fast", written: "off" },
    Compression { ours: "accept", theirs: "accept", written: "off" },
    Compression { ours: "accept", theirs: "s2_better", written: "s2_better" },
    Compression { ours: "s2_fast", theirs: "accept", written: "s2_fast" },
    Compression { ours: "s2_better", theirs: "s2_best", written: "s2_better" },
    Compression { ours: "s2_best", theirs: "s2_fast", written: "s2_best" },
    Compression { ours: "s2_auto", theirs: "s2_auto", written: "s2_auto" },
];

impl Combination {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for version in Version::EVERY {
            for (pool_number, pool) in POOLS.into_iter().enumerate() {
                for (number, compression) in COMPRESSIONS.into_iter().enumerate() {
                    for is_encrypted in [false, true] {
                        if pool.ours != pool.theirs && version == Version::V2_10_26 {
                            // It refuses whoever has another pool than its own.
                            continue;
                        }
                        let is_dialed = (pool_number + number).is_multiple_of(2) != is_encrypted;
                        all.push(Self { version, pool, compression, is_encrypted, is_dialed });
                    }
                }
            }
        }
        all
    }

    /// So many that each choice meets each choice of another kind in one of them.
    pub fn pairwise() -> Vec<Self> {
        let mut left: BTreeSet<_> = Self::all().iter().flat_map(Self::pairs).collect();
        let mut chosen = Vec::new();
        while !left.is_empty() {
            let gain = |combination: &Self| combination.pairs().filter(|pair| left.contains(pair)).count();
            // The first of the best, so that it is always the same.
            let all = Self::all();
            let best = all.iter().rev().max_by_key(|combination| gain(combination)).expect("there are some");
            let found: Vec<_> = best.pairs().collect();
            left.retain(|pair| !found.contains(pair));
            chosen.push(*best);
        }
        chosen
    }

    /// Which choices meet in it.
    fn pairs(&self) -> impl Iterator<Item = [String; 2]> + use<> {
        let Self { version, pool, compression, is_encrypted, is_dialed } = self;
        let choices = [
            format!("{version}"),
            format!("{pool:?}"),
            format!("{compression:?}"),
            format!("encrypted {is_encrypted}"),
            format!("dialed {is_dialed}"),
        ];
        let places = (0..choices.len()).flat_map(|one| (0..one).map(move |other| [one, other]));
        places.map(move |pair| pair.map(|place| choices[place].clone()))
    }

    /// Starts both servers, joins them, and lets clients of each hear those of the other.
    ///
    /// # Errors
    ///
    /// That a server cannot be had here, or that routes are compressed otherwise than they should be.
    ///
    /// # Panics
    ///
    /// If a server does not start, with its log, is not joined in time, or messages do not come as they were.
    pub fn run(&self) -> Result<(), String> {
        let authority = Authority::new("A");
        let own = authority.sign("server");
        let tls = if self.is_encrypted { authority.block(&own, "") } else { String::new() };
        let ports = [reserve_port(), reserve_port()];
        let start = |place: usize, kind: Kind| {
            let settings = format!("{}\n{tls}", self.settings(kind));
            let config = cluster_block(ports[place], &ports[..place], &settings);
            // So that the name in the certificate is looked at too.
            let config = config.replace("nats://127.0.0.1", "nats://localhost");
            let options = Options::configured(&config).named(format!("S{place}"));
            Server::start(kind, options).ok_or_else(|| "a server cannot be had here".to_owned())
        };
        let real = Kind::Real(self.version);
        let kinds = if self.is_dialed { [Kind::Onehop, real] } else { [real, Kind::Onehop] };
        let servers = [start(0, kinds[0])?, start(1, kinds[1])?];
        let connections = if self.version.pools_routes() { self.pool.connections } else { 1 };
        wait_for_connections(&[&servers[0], &servers[1]], connections, TIMEOUT);
        check_sizes(&servers);
        let ours = &servers[usize::from(!self.is_dialed)];
        let expected = if self.version.pools_routes() { self.compression.written } else { "not supported" };
        let shown = compressions(ours);
        // On a busy machine even a neighbour may be far away.
        let is_auto = expected == "s2_auto" && shown.iter().all(|mode| mode.starts_with("s2_"));
        if is_auto || shown == [expected] {
            Ok(())
        } else {
            Err(format!("routes are {shown:?}, not {expected}"))
        }
    }

    fn settings(&self, kind: Kind) -> String {
        let is_ours = kind == Kind::Onehop;
        if !is_ours && !self.version.pools_routes() {
            return String::new();
        }
        let (Pool { ours, theirs, .. }, compression) = (self.pool, self.compression);
        let pool = if is_ours { ours } else { theirs };
        let mode = if is_ours { compression.ours } else { compression.theirs };
        format!("pool_size: {pool}, compression: {mode}")
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, pool, compression, is_encrypted, is_dialed } = self;
        let direction = if *is_dialed { "dials" } else { "is dialed" };
        let tls = if *is_encrypted { "TLS" } else { "plain" };
        let Pool { ours, theirs, .. } = pool;
        let Compression { ours: own_mode, theirs: their_mode, .. } = compression;
        write!(f, "{version} {direction}, pool {ours} here and {theirs} there, ")?;
        write!(f, "compression {own_mode} here and {their_mode} there, {tls}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pairwise_selection_has_every_pair_and_is_small() {
        let all: BTreeSet<_> = Combination::all().iter().flat_map(Combination::pairs).collect();
        let chosen = Combination::pairwise();
        assert_eq!(chosen.iter().flat_map(Combination::pairs).collect::<BTreeSet<_>>(), all);
        assert!(chosen.len() <= 50, "{}", chosen.len());
    }
}
