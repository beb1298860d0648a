//! Who is configured to dial whom.

use std::fmt;
use std::str::FromStr;

use fastrand::Rng;

use super::ids::NodeId;
use super::node::Seed;

/// How nodes are configured to find each other, from simple to odd. In each the nodes form one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topology {
    /// All dial the first.
    Seed,
    /// Each dials the one before it.
    Chain,
    /// All dial each other: the list of all members, oneself included.
    Full,
    /// The first dials all others.
    Star,
    /// Each dials the next, the last the first.
    Ring,
    /// Each dials a random earlier one.
    Tree,
    /// All but the first dial one name, which resolves to the addresses of the first two.
    Name,
}

impl Topology {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Seed, Self::Chain, Self::Full, Self::Star, Self::Ring, Self::Tree, Self::Name];

    /// The configured routes of each of `count` nodes.
    pub fn routes(self, count: usize, rng: &mut Rng) -> Vec<Vec<Seed>> {
        let one = |node: usize| vec![Seed::Node(NodeId(node))];
        let all = || (0..count).map(|node| Seed::Node(NodeId(node)));
        (0..count)
            .map(|node| match self {
                Self::Full => all().collect(),
                Self::Star if node == 0 => all().skip(1).collect(),
                Self::Ring if count > 1 => one((node + 1) % count),
                Self::Star | Self::Ring => Vec::new(),
                Self::Name if node > 0 || count == 1 => vec![Seed::Name(CLUSTER_NAME.to_owned())],
                _ if node == 0 => Vec::new(),
                Self::Seed => one(0),
                Self::Chain => one(node - 1),
                Self::Tree => one(rng.usize(..node)),
                Self::Name => Vec::new(),
            })
            .collect()
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seed => "seed",
            Self::Chain => "chain",
            Self::Full => "full",
            Self::Star => "star",
            Self::Ring => "ring",
            Self::Tree => "tree",
            Self::Name => "name",
        })
    }
}

impl FromStr for Topology {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|topology| topology.to_string() == text);
        known.ok_or_else(|| {
            format!("no topology is called {text:?}; there are {:?}", Self::ALL.map(|it| it.to_string()))
        })
    }
}

/// The name that [`Topology::Name`] is about.
pub const CLUSTER_NAME: &str = "cluster.example";
