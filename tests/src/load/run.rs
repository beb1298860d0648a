//! All loads on all servers, in interleaved rounds.

use std::time::{Duration, Instant};

use super::flow::Until;
use super::node::Binary;
use super::plan::Load;
use super::reading::{Faults, Metric, Reading};
use super::statistics::Spread;
use super::stop;

/// One of the servers that are compared: first the one or two of NATS that the tables set against each other, then others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// How the tables call it.
    pub name: String,
    /// What is started.
    pub binary: Binary,
}

/// One round: its reading, or why there is none.
pub type Round = Result<Reading, String>;

/// All rounds of one load; round number n of both servers ran one after the other, and of the others with them.
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

/// What is run: which loads on which servers, how often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Schedule<'a> {
    /// The servers.
    pub sides: &'a [Side],
    /// The loads.
    pub loads: &'a [Load],
    /// How often each load runs on each server that it suits.
    pub rounds: usize,
    /// How long each run publishes.
    pub until: Until,
}

impl Schedule<'_> {
    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.loads.iter().map(|&load| self.turns(load).count()).sum()
    }

    /// About how long all runs take; `None` where that is for the servers to say.
    pub fn expected(&self) -> Option<Duration> {
        let of_load = |&load: &Load| Some(load.expected(self.until)? * self.turns(load).count() as u32);
        self.loads.iter().map(of_load).sum()
    }

    /// Runs each load on each server, round by round, and tells `progress` of each run.
    ///
    /// When the program is to stop, what ran until then is returned; the run that is interrupted is no part of it.
    pub fn run(&self, mut progress: impl FnMut(&str)) -> Vec<Comparison> {
        let (start, total) = (Instant::now(), self.runs());
        let mut done = 0;
        let mut comparisons = Vec::new();
        for &load in self.loads {
            let mut comparison = Comparison { load, rounds: vec![Vec::new(); self.sides.len()] };
            for (round, index) in self.turns(load) {
                let side = &self.sides[index];
                let outcome = load.run(&side.binary, self.until).map_err(|error| error.to_string());
                if stop::requested() {
                    break;
                }
                done += 1;
                let left = start.elapsed().mul_f64((total - done) as f64 / done as f64);
                progress(&format!(
                    "[{done}/{total}, {} left] {}, round {}, {}: {}",
                    about(left),
                    load.name,
                    round + 1,
                    side.name,
                    describe(&outcome)
                ));
                comparison.rounds[index].push(outcome);
            }
            if comparison.rounds.iter().any(|rounds| !rounds.is_empty()) {
                comparisons.push(comparison);
            }
            if stop::requested() {
                break;
            }
        }
        comparisons
    }

    /// The runs of a load, as numbers of the round and the server. Every other round goes through the servers in reverse, so
    /// that none always has the place behind the same other.
    fn turns(&self, load: Load) -> impl Iterator<Item = (usize, usize)> {
        let suits = |index: &usize| load.suits(self.sides[*index].binary.dialect);
        let forward: Vec<usize> = (0..self.sides.len()).filter(suits).collect();
        (0..self.rounds).flat_map(move |round| {
            let mut order = forward.clone();
            if !round.is_multiple_of(2) {
                order.reverse();
            }
            order.into_iter().map(move |index| (round, index))
        })
    }
}

/// A time that is not known exactly.
pub fn about(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
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
    use crate::load::dialect::Dialect;
    use crate::load::plan::{all, choose};

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

    fn sides(dialects: &[Dialect]) -> Vec<Side> {
        let side = |&dialect: &Dialect| Side {
            name: format!("{dialect:?}"),
            binary: Binary { dialect, path: "x".into(), arguments: Vec::new() },
        };
        dialects.iter().map(side).collect()
    }

    fn schedule<'a>(sides: &'a [Side], loads: &'a [Load]) -> Schedule<'a> {
        Schedule { sides, loads, rounds: 2, until: Until::Elapsed(Duration::from_secs(2)) }
    }

    #[test]
    fn the_order_of_servers_alternates() {
        let (sides, loads) = (sides(&[Dialect::Nats; 2]), all(false));
        let turns: Vec<_> = schedule(&sides, &loads).turns(loads[0]).collect();
        assert_eq!(turns, [(0, 0), (0, 1), (1, 1), (1, 0)]);
    }

    #[test]
    fn a_server_has_no_turn_in_a_load_that_does_not_suit_it() {
        let sides = sides(&[Dialect::Nats, Dialect::Resp, Dialect::Copied]);
        let loads = choose(all(false), &["pairs-4".to_owned()]).unwrap();
        let schedule = schedule(&sides, &loads);
        assert_eq!(schedule.turns(loads[0]).collect::<Vec<_>>(), [(0, 0), (0, 1), (1, 1), (1, 0)]);
        assert_eq!(schedule.runs(), 4);
    }

    #[test]
    fn the_expected_time_grows_with_the_turns_and_is_unknown_for_a_number_of_messages() {
        let (one, two) = (sides(&[Dialect::Nats]), sides(&[Dialect::Nats; 2]));
        let loads = all(false);
        let expected = schedule(&one, &loads).expected().unwrap();
        assert!(expected > Duration::from_secs(2 * 2 * 12), "{expected:?}");
        assert_eq!(schedule(&two, &loads).expected(), Some(2 * expected));
        let counted = Schedule { until: Until::Messages(1000), ..schedule(&one, &loads) };
        assert_eq!(counted.expected(), None);
    }

    #[test]
    fn a_time_is_told_in_seconds_or_minutes() {
        assert_eq!(about(Duration::from_millis(2900)), "2 s");
        assert_eq!(about(Duration::from_secs(89)), "89 s");
        assert_eq!(about(Duration::from_secs(90)), "2 min");
        assert_eq!(about(Duration::from_secs(629)), "10 min");
    }
}
