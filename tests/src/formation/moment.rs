//! Times of day, as logs and pages write them.

use std::time::Duration;

/// A time of the day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// From a time with a date, such as `2026-01-31T12:00:00.5+02:00`.
    ///
    /// # Errors
    ///
    /// That it is none.
    pub fn of_page(text: &str) -> Result<Self, String> {
        let fault = || format!("{text:?} is no time");
        let (_, clock) = text.split_once('T').ok_or_else(fault)?;
        let end = clock.find(['Z', '+', '-']).ok_or_else(fault)?;
        let (clock, zone) = clock.split_at(end);
        let Self(local) = Self::of_clock(clock)?;
        let ahead = match zone.split_at(1) {
            (_, "") => Duration::ZERO,
            ("+", zone) => minutes(zone).ok_or_else(fault)?,
            (_, zone) => DAY - minutes(zone).ok_or_else(fault)?,
        };
        Ok(Self(wrapped(local + DAY - ahead)))
    }

    /// From a time without a date in UTC, such as `12:00:00.5`.
    ///
    /// # Errors
    ///
    /// That it is none.
    pub fn of_clock(text: &str) -> Result<Self, String> {
        let parse = || {
            let (minute, seconds) = text.rsplit_once(':')?;
            let seconds = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
            Some(Self(minutes(minute)? + seconds))
        };
        parse().ok_or_else(|| format!("{text:?} is no time of the day"))
    }

    /// The last of moments that are less than half a day apart.
    pub fn last(moments: &[Self]) -> Option<Self> {
        moments.iter().copied().reduce(|last, other| if other.follows(last) { other } else { last })
    }

    /// How long it is after another; nothing if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        if self.follows(earlier) { wrapped(self.0 + DAY - earlier.0) } else { Duration::ZERO }
    }

    fn follows(self, other: Self) -> bool {
        wrapped(self.0 + DAY - other.0) < DAY / 2
    }
}

/// `hours:minutes`.
fn minutes(text: &str) -> Option<Duration> {
    let (hours, minutes) = text.split_once(':')?;
    let minutes = hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?;
    Some(Duration::from_secs(minutes * 60)).filter(|time| *time < DAY)
}

fn wrapped(time: Duration) -> Duration {
    if time >= DAY { time - DAY } else { time }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_moment_is_the_same_wherever_it_is_told() {
        let told = ["2026-01-31T12:00:00.5Z", "2026-01-31T14:30:00.5+02:30", "2026-01-31T04:00:00.500-08:00"];
        for text in told {
            assert_eq!(Moment::of_page(text), Moment::of_clock("12:00:00.500000"), "{text}");
        }
        assert_eq!(Moment::of_page("2026-01-31T01:00:00+02:00"), Moment::of_clock("23:00:00"));
    }

    #[test]
    fn midnight_is_between_two_moments_as_any_other_time() {
        let moments = ["23:59:59.9", "00:00:00.2", "23:59:59.0"].map(|text| Moment::of_clock(text).unwrap());
        assert_eq!(Moment::last(&moments), Some(moments[1]));
        assert_eq!(moments[1].since(moments[0]).as_millis(), 300);
        assert_eq!(moments[0].since(moments[1]), Duration::ZERO);
    }

    #[test]
    fn what_is_no_time_is_said() {
        assert!(["", "x", "T1Z", "2026-01-31T12:00:00"].iter().all(|text| Moment::of_page(text).is_err()));
        assert!(["", "12", "1:2", "25:00:00", "a:b:c"].iter().all(|text| Moment::of_clock(text).is_err()));
    }
}
