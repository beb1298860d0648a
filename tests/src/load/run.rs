//! All loads on both servers, in interleaved rounds.

use super::flow::Until;
use super::node::Binary;
use super::plan::Load;
use super::reading::{Faults, Metric, Reading};
use super::statistics::Spread;

/// One of the two servers that are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// How the tables call it.
    pub name: String,
    /// What is started.
    pub binary: Binary,
}

/// One round: its reading, or why there is none.
pub type Round = Result<Reading, String>;

/// All rounds of one load; round number n of both servers ran directly one after the other.
#[derive(Debug)]
pub struct Comparison {
    /// The load.
    pub load: Load,
    /// The rounds of each server, in the order of the sides.
    pub rounds: Vec<Vec<Round>>,
}

impl Comparison {
    /// The spread of a metric over the rounds of server `side`.
    pub fn spread(&self, side: usize, metric: Metric) -> Option<Spread> {
        Spread::of(self.values(side, metric).into_iter().flatten())
    }

    /// The spread of the ratio of the first server to the second, taken round by round: what disturbs the machine for longer
    /// than a round disturbs both, and cancels out.
    pub fn ratio(&self, metric: Metric) -> Option<Spread> {
        let (ours, theirs) = (self.values(0, metric), self.values(1, metric));
        let both = ours.into_iter().zip(theirs).filter_map(|(ours, theirs)| Some(ours? / theirs?));
        Spread::of(both.filter(|ratio| ratio.is_finite()))
    }

    /// What went wrong with messages in all rounds of server `side`.
    pub fn faults(&self, side: usize) -> Faults {
        let readings = self.side(side).iter().flatten();
        readings.fold(Faults::default(), |sum, reading| sum.plus(reading.faults))
    }

    /// Why rounds of server `side` gave nothing.
    pub fn failures(&self, side: usize) -> impl Iterator<Item = &str> {
        self.side(side).iter().filter_map(|round| round.as_ref().err().map(String::as_str))
    }

    fn values(&self, side: usize, metric: Metric) -> Vec<Option<f64>> {
        let value = |round: &Round| round.as_ref().ok()?.values.get(&metric).copied();
        self.side(side).iter().map(value).collect()
    }

    fn side(&self, side: usize) -> &[Round] {
        self.rounds.get(side).map_or(&[], Vec::as_slice)
    }
}

/// Runs each load `rounds` times on each server, and tells `progress` of each round.
pub fn compare(
    sides: &[Side],
    loads: &[Load],
    rounds: usize,
    until: Until,
    mut progress: impl FnMut(&str),
) -> Vec<Comparison> {
    let total = loads.len() * rounds * sides.len();
    let mut done = 0;
    let mut comparisons = Vec::new();
    for &load in loads {
        let mut comparison = Comparison { load, rounds: vec![Vec::new(); sides.len()] };
        for round in 0..rounds {
            for index in order(sides.len(), round) {
                let outcome = load.run(&sides[index].binary, until).map_err(|error| error.to_string());
                done += 1;
                let (name, server) = (load.name, &sides[index].name);
                progress(&format!(
                    "[{done}/{total}] {name}, round {}, {server}: {}",
                    round + 1,
                    describe(&outcome)
                ));
                comparison.rounds[index].push(outcome);
            }
        }
        comparisons.push(comparison);
    }
    comparisons
}

/// The order of the servers in a round: every other round is reversed, so that none always has the place behind the other.
fn order(sides: usize, round: usize) -> Vec<usize> {
    let forward = 0..sides;
    if round.is_multiple_of(2) { forward.collect() } else { forward.rev().collect() }
}

fn describe(round: &Round) -> String {
    let reading = match round {
        Ok(reading) => reading,
        Err(error) => return format!("failed: {error}"),
    };
    let mut parts: Vec<String> = reading.values.iter().map(|(metric, value)| metric.show(*value)).collect();
    if reading.generator_micros > 0.0 {
        parts.push(format!("generator {:.2} µs", reading.generator_micros));
    }
    if reading.faults.any() {
        parts.push(reading.faults.to_string());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::all;

    fn round(cpu: f64) -> Round {
        Ok(Reading { values: [(Metric::CpuPerMessage, cpu)].into(), ..Reading::default() })
    }

    #[test]
    fn the_ratio_is_taken_round_by_round() {
        let rounds = vec![vec![round(1.0), round(3.0)], vec![round(10.0), round(30.0)]];
        let comparison = Comparison { load: all(false)[0], rounds };
        let ratio = comparison.ratio(Metric::CpuPerMessage).unwrap();
        assert!((ratio.low - 0.1).abs() < 1e-9 && (ratio.high - 0.1).abs() < 1e-9, "{ratio:?}");
    }

    #[test]
    fn a_round_that_failed_on_either_side_has_no_ratio() {
        let failed = || Err("cut off".to_owned());
        let rounds = vec![vec![round(1.0), failed()], vec![failed(), round(2.0)]];
        let comparison = Comparison { load: all(false)[0], rounds };
        assert_eq!(comparison.ratio(Metric::CpuPerMessage), None);
        assert_eq!(comparison.spread(0, Metric::CpuPerMessage).unwrap().median, 1.0);
        assert_eq!(comparison.failures(0).collect::<Vec<_>>(), ["cut off"]);
    }

    #[test]
    fn a_missing_second_server_leaves_its_cells_empty() {
        let comparison = Comparison { load: all(false)[0], rounds: vec![vec![round(1.0)]] };
        assert_eq!(
            (comparison.spread(1, Metric::CpuPerMessage), comparison.ratio(Metric::CpuPerMessage)),
            (None, None)
        );
        assert!(!comparison.faults(1).any());
    }

    #[test]
    fn the_order_of_servers_alternates() {
        assert_eq!((order(2, 0), order(2, 1), order(2, 2)), (vec![0, 1], vec![1, 0], vec![0, 1]));
    }
}
