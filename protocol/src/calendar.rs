//! Dates, as servers tell each other and monitoring of past times.

/// RFC 3339 in UTC, with as many digits after the second as it needs.
pub(crate) fn rfc3339(unix_nanos: u64) -> String {
    rfc3339_of(unix_nanos / 1_000_000_000, unix_nanos % 1_000_000_000)
}

/// The same of seconds, and nanoseconds within one.
pub(crate) fn rfc3339_of(seconds: u64, nanos: u64) -> String {
    let (year, month, day) = civil_date(seconds / DAY_SECONDS);
    let of_day = seconds % DAY_SECONDS;
    let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
    let mut time = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", of_day % 60);
    if nanos > 0 {
        time.push_str(format!(".{nanos:09}").trim_end_matches('0'));
    }
    time.push('Z');
    time
}

/// The date of a day, counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March on, so that the leap day is the last of its year, in cycles of 400 years.
pub(crate) fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_FROM_0000_03_01: u64 = 719_468;
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_FROM_0000_03_01;
    let (cycle, day_of_cycle) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    // Takes out the leap days before the division: one in 4 years, none in 100, one in 400.
    let leap_days = day_of_cycle / 1_460 + day_of_cycle / 146_096 - day_of_cycle / 36_524;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // From March on, five months have 153 days.
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = if months_since_march < 10 { months_since_march + 3 } else { months_since_march - 9 };
    let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
    (year, month, day)
}

pub(crate) const DAY_SECONDS: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_zeros_at_the_end_of_a_second() {
        let at = |seconds: u64, nanos: u64| rfc3339(seconds * 1_000_000_000 + nanos);
        assert_eq!(rfc3339_of(67_090_118_400, 0), "4096-01-01T00:00:00Z");
        assert_eq!(at(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399, 1), "2000-02-28T23:59:59.000000001Z");
        assert_eq!(at(951_782_400, 500_000_000), "2000-02-29T00:00:00.5Z");
        assert_eq!(at(1_709_251_199, 0), "2024-02-29T23:59:59Z");
        assert_eq!(at(1_795_330_732, 332_412_650), "2026-11-22T06:58:52.33241265Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let lengths = |year: u64| {
            let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let mut expected = (1970, 1, 1);
        for day in 0..146_097 {
            assert_eq!(civil_date(day), expected);
            let (year, month, of_month) = expected;
            expected = match lengths(year)[month as usize - 1] {
                length if of_month < length => (year, month, of_month + 1),
                _ if month < 12 => (year, month + 1, 1),
                _ => (year + 1, 1, 1),
            };
        }
    }
}
