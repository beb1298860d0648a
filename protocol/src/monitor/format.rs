//! Times, durations, numbers and JSON as nats-server writes them.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::Facts;
use crate::calendar;
use crate::time::Instant;

impl Facts<'_> {
    /// What is known without asking a runtime: the time, as the wall clock was at the start. The rest is zero, `pending_size`
    /// of connections too.
    pub(crate) fn of_core(now: Instant, start: Instant, unix_nanos_at_zero: u64) -> Self {
        Self {
            now,
            start,
            unix_nanos_at_zero,
            memory_bytes: 0,
            cpu_percent: 0.0,
            cores: 0,
            workers: 0,
            http_host: "",
            http_port: 0,
            config_digest: "",
            pending_bytes: &|_| 0,
            longest_turns: &[],
        }
    }

    /// A moment as RFC 3339 in UTC, to the nanosecond.
    pub(super) fn time(&self, at: Instant) -> String {
        calendar::rfc3339(self.unix_nanos_at_zero.saturating_add(at.as_nanos()))
    }

    /// The moment of the request, likewise.
    pub(crate) fn time_now(&self) -> String {
        self.time(self.now)
    }
}

/// Indented JSON, with the characters escaped that Go escapes for the sake of HTML. They occur within strings only.
pub(super) fn pretty_json(value: &impl Serialize) -> String {
    // Plain structs with text keys always have a JSON form.
    escaped(serde_json::to_string_pretty(value).unwrap_or_default())
}

/// JSON without blanks, likewise escaped.
pub(super) fn compact_json(value: &impl Serialize) -> String {
    escaped(serde_json::to_string(value).unwrap_or_default())
}

fn escaped(json: String) -> String {
    // Most have none of them. The last two begin with this byte.
    if !json.bytes().any(|byte| matches!(byte, b'<' | b'>' | b'&' | b'\xe2')) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)))
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Whether an optional number, text, list or flag is left out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Text that came over the network.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A number that has no decimal point unless it needs one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Float(pub(super) f64);

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = self.0 as i64;
        if whole as f64 == self.0 {
            serializer.serialize_i64(whole)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl From<Duration> for Float {
    /// In seconds.
    fn from(duration: Duration) -> Self {
        Self(duration.as_secs_f64())
    }
}

/// A duration as a number of nanoseconds.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration as monitoring shows ages: `1d2h3m4s`, in whole seconds, from the largest unit that is needed to the
/// smallest.
pub(super) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / calendar::DAY_SECONDS);
    let (years, of_year) = (days / 365, days % 365);
    let (of_day, of_hour, of_minute) = (hours % 24, minutes % 60, seconds % 60);
    match () {
        () if years > 0 => format!("{years}y{of_year}d{of_day}h{of_hour}m{of_minute}s"),
        () if days > 0 => format!("{days}d{of_day}h{of_hour}m{of_minute}s"),
        () if hours > 0 => format!("{hours}h{of_hour}m{of_minute}s"),
        () if minutes > 0 => format!("{minutes}m{of_minute}s"),
        () => format!("{seconds}s"),
    }
}

/// A round-trip time: below a millisecond it is shown in whole microseconds.
pub(super) fn round_trip(rtt: Duration) -> String {
    let (micro, milli) = (Duration::from_micros(1), Duration::from_millis(1));
    if rtt > micro && rtt < milli {
        return go_duration(Duration::from_micros(u64::from(rtt.subsec_micros())));
    }
    go_duration(rtt)
}

/// A duration as Go writes it: `341µs`, `1.5ms`, `2m0.5s`, `0s`.
fn go_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), u64::from(duration.subsec_nanos()));
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}µs", decimal(nanos / 1_000, nanos % 1_000, 3)),
            _ => format!("{}ms", decimal(nanos / 1_000_000, nanos % 1_000_000, 6)),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let below = decimal(seconds % 60, nanos, 9);
    match (hours, minutes) {
        (0, 0) => format!("{below}s"),
        (0, _) => format!("{minutes}m{below}s"),
        _ => format!("{hours}h{minutes}m{below}s"),
    }
}

/// A number with a fraction of `digits` digits, without zeros at its end.
fn decimal(whole: u64, fraction: u64, digits: usize) -> String {
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:0digits$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_begin_with_the_largest_unit_that_is_needed() {
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 93_784, 365 * 86_400, 400 * 86_400 + 3_600]
            .map(|seconds| age(Duration::from_secs(seconds)));
        let expected =
            ["0s", "59s", "1m0s", "59m59s", "1h0m0s", "23h59m59s", "1d2h3m4s", "1y0d0h0m0s", "1y35d1h0m0s"];
        assert_eq!(shown, expected);
        assert_eq!(age(Duration::from_millis(1999)), "1s");
    }

    #[test]
    fn round_trips_are_written_as_go_writes_durations() {
        let shown = [
            0,
            1,
            999,
            1_000,
            341_567,
            999_999,
            1_000_000,
            1_500_000,
            2_047_132_579,
            60_000_000_000,
            90_500_000_000,
            7_200_000_000_000,
        ]
        .map(|nanos| round_trip(Duration::from_nanos(nanos)));
        let expected = [
            "0s",
            "1ns",
            "999ns",
            "1µs",
            "341µs",
            "999µs",
            "1ms",
            "1.5ms",
            "2.047132579s",
            "1m0s",
            "1m30.5s",
            "2h0m0s",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn json_is_escaped_and_indented_as_go_does_it() {
        #[derive(Serialize)]
        struct Page {
            a: &'static str,
            b: Vec<u8>,
            c: [Float; 3],
        }
        let page = Page { a: "<a&b>\u{2028}\"é", b: Vec::new(), c: [Float(0.0), Float(-2.0), Float(0.25)] };
        let expected = "{\n  \"a\": \"\\u003ca\\u0026b\\u003e\\u2028\\\"é\",\n  \"b\": [],\n  \"c\": [\n    0,\n    -2,\n    0.25\n  ]\n}";
        assert_eq!(pretty_json(&page), expected);
        assert_eq!(compact_json(&[Float(1.5)]), "[1.5]");
    }
}
