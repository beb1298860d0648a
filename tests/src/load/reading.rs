//! What one round of one load on one server gives.

use std::collections::BTreeMap;
use std::fmt;

/// Something that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// CPU time of the servers, in microseconds per delivered message.
    CpuPerMessage,
    /// Delivered messages per second.
    MessagesPerSecond,
    /// CPU time of the server, in microseconds per request with its reply.
    CpuPerRequest,
    /// Half of the requests were answered within so many microseconds.
    LatencyP50,
    /// 99 of 100 requests were answered within so many microseconds.
    LatencyP99,
    /// Resident memory: in all, or per connection or subscription, in bytes.
    Memory,
    /// Bytes between two servers, per message that crosses.
    RouteBytes,
    /// Until the first client is served, in milliseconds from the start of the process.
    StartUp,
}

impl Metric {
    /// What heads the columns of a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::CpuPerMessage => "CPU µs/message",
            Self::MessagesPerSecond => "messages/s",
            Self::CpuPerRequest => "CPU µs/request",
            Self::LatencyP50 => "p50 µs",
            Self::LatencyP99 => "p99 µs",
            Self::Memory => "resident",
            Self::RouteBytes => "route bytes/message",
            Self::StartUp => "ready ms",
        }
    }

    /// The value with as many digits as mean something, without its unit where the title has it.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::CpuPerMessage
            | Self::CpuPerRequest
            | Self::LatencyP50
            | Self::LatencyP99
            | Self::RouteBytes
            | Self::StartUp => digits(value),
            Self::MessagesPerSecond if value >= 1e6 => format!("{} M", digits(value / 1e6)),
            Self::MessagesPerSecond => format!("{} k", digits(value / 1e3)),
            Self::Memory if value >= 1e6 => format!("{} MB", digits(value / 1e6)),
            Self::Memory if value >= 1e3 => format!("{} KB", digits(value / 1e3)),
            Self::Memory => format!("{value:.0} B"),
        }
    }

    /// The value with its title, for a line of text.
    pub fn show(self, value: f64) -> String {
        format!("{} {}", self.title(), self.format(value))
    }
}

/// Three significant digits, but never fewer than all before the point.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        size if size < 1.0 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// What went wrong with messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Deliveries that were due and did not come.
    pub lost: u64,
    /// Deliveries out of order or repeated.
    pub misordered: u64,
    /// Deliveries with a wrong subject, size or content.
    pub foreign: u64,
}

impl Faults {
    /// Whether anything went wrong.
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            misordered: self.misordered + other.misordered,
            foreign: self.foreign + other.foreign,
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [(self.lost, "lost"), (self.misordered, "misordered"), (self.foreign, "foreign")];
        let named = kinds.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = named.map(|(count, name)| format!("{count} {name}")).collect();
        formatter.write_str(if parts.is_empty() { "0".to_owned() } else { parts.join(", ") }.as_str())
    }
}

/// The outcome of one round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The measured values.
    pub values: BTreeMap<Metric, f64>,
    /// What went wrong.
    pub faults: Faults,
    /// CPU time of the load generator itself, in microseconds per message or request; 0 where it does not matter.
    pub generator_micros: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_with_three_digits_and_their_unit() {
        assert_eq!(Metric::CpuPerMessage.format(0.0987), "0.099");
        assert_eq!(Metric::CpuPerMessage.format(1.234), "1.23");
        assert_eq!(Metric::LatencyP99.format(3141.5), "3142");
        assert_eq!(Metric::MessagesPerSecond.format(812_345.0), "812 k");
        assert_eq!(Metric::MessagesPerSecond.format(9_870_000.0), "9.87 M");
        assert_eq!(Metric::Memory.format(210.4), "210 B");
        assert_eq!(Metric::Memory.show(47_000.0), "resident 47.0 KB");
    }

    #[test]
    fn faults_name_only_what_happened() {
        assert_eq!(Faults::default().to_string(), "0");
        assert_eq!(Faults { lost: 3, misordered: 0, foreign: 1 }.to_string(), "3 lost, 1 foreign");
    }
}
