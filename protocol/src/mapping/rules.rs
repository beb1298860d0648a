//! The mappings of an account: which subjects become which others, and how often.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;

use super::{MappingError, Transform};
use crate::wire::subject::{filter_matches, is_valid_filter, tokens};

/// What subjects a filter matches become, as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The filter.
    pub source: String,
    /// What its subjects become: one of these, chosen for each message. What they leave of 100 percent stays with the
    /// source, unless the source is one of the destinations: then so much of the messages is lost, on purpose.
    pub destinations: Vec<MappingDestination>,
}

/// One of the destinations of a [`Mapping`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingDestination {
    /// What the subjects become, with functions such as `$1`.
    pub subject: String,
    /// For how many of 100 messages.
    pub weight: u8,
    /// The name of the cluster whose nodes do this, and then do nothing of what has no cluster.
    pub cluster: Option<String>,
}

impl Mapping {
    /// To one destination, always and everywhere.
    pub fn simple(source: impl Into<String>, destination: impl Into<String>) -> Self {
        let destination = MappingDestination { subject: destination.into(), weight: 100, cluster: None };
        Self { source: source.into(), destinations: vec![destination] }
    }

    /// # Errors
    /// Why no account can have it.
    pub fn validate(&self) -> Result<(), MappingError> {
        Rule::new(self, None).map(|_| ())
    }
}

/// All mappings of an account, as one node applies them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    source: Box<[u8]>,
    draw: Draw,
}

impl Mappings {
    /// For a node of this cluster. Of mappings with the same source the last holds.
    ///
    /// # Errors
    /// The first fault.
    pub fn new(mappings: &[Mapping], cluster: Option<&str>) -> Result<Self, MappingError> {
        let mut rules: Vec<Rule> = Vec::with_capacity(mappings.len());
        for mapping in mappings {
            let rule = Rule::new(mapping, cluster)?;
            match rules.iter_mut().find(|former| former.source == rule.source) {
                Some(former) => *former = rule,
                None => rules.push(rule),
            }
        }
        Ok(Self { rules })
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What becomes of messages to `subject`, until the mappings are others; `None` if they stay there. It is the first
    /// mapping that matches, and only that: what comes of it is not mapped again.
    pub fn find(&self, subject: &[u8]) -> Option<Choice> {
        let rule = self.rules.iter().find(|rule| matches(&rule.source, subject))?;
        Some(rule.draw.choice(subject))
    }
}

/// Whether a mapping of `source` is for `subject`. Unlike in subscriptions, a token `>` of a subject is more than `*`.
fn matches(source: &[u8], subject: &[u8]) -> bool {
    filter_matches(source, subject)
        && tokens(source).zip(tokens(subject)).all(|pair| pair != (b"*".as_slice(), b">".as_slice()))
}

/// What becomes of messages to one subject, for a publisher to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// They all go to this subject. If it is empty or has an empty token, nobody hears them.
    Fixed(Box<[u8]>),
    /// Each is drawn for.
    Drawn(Draw),
}

impl Choice {
    /// Appends where the next message to `subject`, which this was found for, goes.
    pub fn apply(&self, subject: &[u8], rng: &mut Rng, out: &mut Vec<u8>) {
        match self {
            Self::Fixed(mapped) => out.extend_from_slice(mapped),
            Self::Drawn(draw) => draw.apply(subject, rng, out),
        }
    }
}

/// Several destinations, of which one is drawn for each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    destinations: Arc<[Destination]>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// A number below 100 is drawn; the first destination with a higher one has it.
    pub below: u8,
    /// What the subject becomes.
    pub transform: Transform,
}

impl Draw {
    /// In the order in which they are asked. If the last is below 100, what is drawn beyond it is lost.
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// Appends what is drawn for a message to `subject`; nothing if it is lost.
    pub fn apply(&self, subject: &[u8], rng: &mut Rng, out: &mut Vec<u8>) {
        let drawn = rng.u8(..FULL_WEIGHT);
        if let Some(destination) = self.destinations.iter().find(|destination| drawn < destination.below) {
            destination.transform.apply(subject, rng, out);
        }
    }

    fn choice(&self, subject: &[u8]) -> Choice {
        let mut mapped = Vec::new();
        match &self.destinations[..] {
            [] => {}
            [Destination { below: FULL_WEIGHT, transform }] if !transform.is_random() => {
                transform.apply(subject, &mut Rng::with_seed(0), &mut mapped);
            }
            _ => return Choice::Drawn(self.clone()),
        }
        Choice::Fixed(mapped.into())
    }
}

/// All messages.
const FULL_WEIGHT: u8 = 100;

impl Rule {
    fn new(mapping: &Mapping, cluster: Option<&str>) -> Result<Self, MappingError> {
        if !is_valid_filter(mapping.source.as_bytes()) {
            return Err(MappingError::InvalidSource);
        }
        mapping.check_destinations()?;
        let own = mapping.destinations_in(cluster);
        let mut destinations = Vec::new();
        let mut below = 0;
        for destination in own {
            let transform = Transform::new(&mapping.source, &destination.subject)?;
            below += destination.weight;
            if destination.weight > 0 {
                destinations.push(Destination { below, transform });
            }
        }
        if below < FULL_WEIGHT && !mapping.has_source_as_destination() {
            destinations.push(Destination { below: FULL_WEIGHT, transform: Transform::identity() });
        }
        let source = mapping.source.as_bytes().into();
        Ok(Self { source, draw: Draw { destinations: destinations.into() } })
    }
}

impl Mapping {
    /// What monitoring shows: the destinations of no cluster and then those of each, from the lightest on, with weights added up.
    /// What stays with the source is one of them.
    pub fn added_up(&self) -> Vec<MappingDestination> {
        let own = self.destinations.iter().map(|destination| destination.cluster.as_deref());
        let clusters: BTreeSet<Option<&str>> = own.chain([None]).collect();
        clusters.into_iter().flat_map(|cluster| self.added_up_in(cluster)).collect()
    }

    fn added_up_in(&self, cluster: Option<&str>) -> Vec<MappingDestination> {
        let is_of = |destination: &&MappingDestination| destination.cluster.as_deref() == cluster;
        let mut all: Vec<_> = self.destinations.iter().filter(is_of).cloned().collect();
        let weight: u8 = all.iter().map(|destination| destination.weight).sum();
        if weight < FULL_WEIGHT && !self.has_source_as_destination() {
            let (subject, cluster) = (self.source_as_destination(), cluster.map(str::to_owned));
            all.push(MappingDestination { subject, weight: FULL_WEIGHT - weight, cluster });
        }
        all.sort_by_key(|destination| destination.weight);
        let mut sum = 0;
        for destination in &mut all {
            sum += destination.weight;
            destination.weight = sum;
        }
        all
    }

    /// With its wildcards by number.
    fn source_as_destination(&self) -> String {
        let mut wildcard = 0;
        let named = self.source.split('.').map(|token| {
            wildcard += usize::from(token == "*");
            if token == "*" { format!("${wildcard}") } else { token.to_owned() }
        });
        named.collect::<Vec<_>>().join(".")
    }

    /// Faults in the order in which nats-server finds them.
    fn check_destinations(&self) -> Result<(), MappingError> {
        for (at, destination) in self.destinations.iter().enumerate() {
            let former = &self.destinations[..at];
            if former.iter().any(|former| former.subject == destination.subject) {
                return Err(MappingError::Duplicate(destination.subject.clone()));
            }
            let weights = former.iter().filter(|former| former.cluster == destination.cluster);
            let weight: u32 = weights.map(|former| u32::from(former.weight)).sum();
            if weight + u32::from(destination.weight) > u32::from(FULL_WEIGHT) {
                return Err(MappingError::TotalWeight);
            }
            Transform::new(&self.source, &destination.subject)?;
        }
        Ok(())
    }

    /// The destinations of this cluster if it has any, or those of no cluster.
    fn destinations_in(&self, cluster: Option<&str>) -> impl Iterator<Item = &MappingDestination> {
        let is_of = |destination: &&MappingDestination, cluster| destination.cluster.as_deref() == cluster;
        let cluster = cluster.filter(|_| self.destinations.iter().any(|one| is_of(&one, cluster)));
        self.destinations.iter().filter(move |destination| is_of(destination, cluster))
    }

    /// Whatever cluster the destination is for, as in nats-server.
    fn has_source_as_destination(&self) -> bool {
        self.destinations.iter().any(|destination| destination.subject == self.source)
    }
}
