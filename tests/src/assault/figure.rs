//! What an attack did to a server, in figures that two servers can be compared by.

use std::time::Duration;

/// How much worse than the other server's a figure may be before it counts: runs differ by more than a little.
const TOLERANCE: f64 = 1.1;

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Things per second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// Which values of a figure are the harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The more, the worse.
    Much,
    /// The less, the worse.
    Little,
    /// Neither: it says how hard the attack was.
    Neither,
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What was measured; the same of every server.
    pub name: &'static str,
    /// How much it was; infinite is never, and no number is what the server does not tell.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// Which values are the harm.
    pub harm: Harm,
}

impl Figure {
    /// So many things that must happen: the fewer, the worse.
    pub fn done(name: &'static str, count: usize) -> Self {
        Self { name, value: count as f64, unit: Unit::Count, harm: Harm::Little }
    }

    /// So many things that must not happen.
    pub fn broken(name: &'static str, count: usize) -> Self {
        Self { harm: Harm::Much, ..Self::done(name, count) }
    }

    /// How large the attack was.
    pub fn effort(name: &'static str, count: usize) -> Self {
        Self { harm: Harm::Neither, ..Self::done(name, count) }
    }

    /// How long something took; `None` if it never happened.
    pub fn wait(name: &'static str, time: Option<Duration>) -> Self {
        let value = time.map_or(f64::INFINITY, |time| time.as_secs_f64());
        Self { name, value, unit: Unit::Seconds, harm: Harm::Much }
    }

    /// The same as a server counts it itself; `None` if it does not.
    pub fn told(name: &'static str, time: Option<Duration>) -> Self {
        Self { value: time.map_or(f64::NAN, |time| time.as_secs_f64()), ..Self::wait(name, time) }
    }

    /// Which of several things a server counts so; `None` if it does not.
    pub fn which(name: &'static str, number: Option<usize>) -> Self {
        Self { value: number.map_or(f64::NAN, |number| number as f64), ..Self::effort(name, 0) }
    }

    /// What something took of the memory or of the disk.
    pub fn bytes(name: &'static str, bytes: u64) -> Self {
        Self { name, value: bytes as f64, unit: Unit::Bytes, harm: Harm::Much }
    }

    /// How many things were done in each second of `time`.
    pub fn rate(name: &'static str, count: usize, time: Duration) -> Self {
        Self { name, value: count as f64 / time.as_secs_f64(), unit: Unit::PerSecond, harm: Harm::Little }
    }

    /// Whether this is more harm than `other`, beyond what two runs of one server differ by. What one of them does not tell
    /// is not compared.
    pub fn is_worse_than(&self, other: &Self) -> bool {
        if self.value.is_nan() || other.value.is_nan() {
            return false;
        }
        let slack = if self.unit == Unit::Count { 1.0 } else { TOLERANCE };
        match self.harm {
            Harm::Much => self.value > (other.value * slack).max(self.unit.negligible()),
            Harm::Little => self.value * slack < other.value,
            Harm::Neither => false,
        }
    }

    /// The value with its unit.
    pub fn show(&self) -> String {
        self.unit.show(self.value)
    }
}

impl Unit {
    /// What of this nobody minds.
    fn negligible(self) -> f64 {
        match self {
            Self::Count | Self::PerSecond => 0.0,
            Self::Seconds => 0.05,
            Self::Bytes => 64.0 * 1024.0,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            _ if value.is_nan() => String::new(),
            Self::Seconds if value.is_infinite() => "never".to_owned(),
            Self::Count => format!("{value:.0}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Seconds if value >= 10.0 => format!("{value:.1} s"),
            Self::Seconds => format!("{value:.3} s"),
            Self::Bytes if value >= 1e9 => format!("{:.2} GB", value / 1e9),
            Self::Bytes if value >= 1e6 => format!("{:.1} MB", value / 1e6),
            Self::Bytes => format!("{:.1} KB", value / 1e3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_worse_by_one_and_a_wait_only_by_more_than_runs_differ() {
        assert!(Figure::done("arrived", 9).is_worse_than(&Figure::done("arrived", 10)));
        assert!(Figure::broken("lost", 1).is_worse_than(&Figure::broken("lost", 0)));
        let wait = |millis| Figure::wait("wait", Some(Duration::from_millis(millis)));
        assert!(!wait(105).is_worse_than(&wait(100)));
        assert!(wait(120).is_worse_than(&wait(100)));
        assert!(!wait(40).is_worse_than(&wait(1)), "nobody minds that");
    }

    #[test]
    fn what_never_happened_is_worse_than_what_did_and_not_than_what_did_not_either() {
        let (never, late) = (Figure::wait("x", None), Figure::wait("x", Some(Duration::from_secs(100))));
        assert!(never.is_worse_than(&late) && !late.is_worse_than(&never) && !never.is_worse_than(&never));
        assert_eq!(never.show(), "never");
    }

    #[test]
    fn what_a_server_does_not_tell_is_neither_shown_nor_compared() {
        let told = |seconds: Option<u64>| Figure::told("turn", seconds.map(Duration::from_secs));
        assert!(!told(None).is_worse_than(&told(Some(1))) && !told(Some(1)).is_worse_than(&told(None)));
        assert!(told(Some(2)).is_worse_than(&told(Some(1))));
        assert_eq!((told(None).show(), told(Some(2)).show()), (String::new(), "2.000 s".to_owned()));
    }

    #[test]
    fn how_hard_an_attack_was_is_no_harm() {
        assert!(!Figure::effort("asked", 1).is_worse_than(&Figure::effort("asked", 2)));
        assert!(!Figure::effort("asked", 2).is_worse_than(&Figure::effort("asked", 1)));
    }
}
