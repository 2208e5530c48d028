//! Dates of header fields (RFC 5322 §3.3).

use mail_parser::DateTime;
use postfleet_core::UnixMicros;
use std::panic::catch_unwind;

/// Octets of a Date value that are read.
const DATE_MAX: usize = 128;

/// Reads a date; `None` for what is none.
pub(crate) fn parse(text: &str) -> Option<UnixMicros> {
    let text = &text[..text.floor_char_boundary(DATE_MAX)];
    // Third-party arithmetic on hostile digits: should it panic, there is no date.
    let date = catch_unwind(|| DateTime::parse_rfc822(text)).ok()??;
    date.is_valid().then(|| UnixMicros::from_seconds(date.to_timestamp()))
}

/// Writes a date in UTC; years outside 1900 to 9999 have no RFC 5322 form and are clamped.
pub(crate) fn format(at: UnixMicros) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = at.as_seconds().clamp(-2_208_988_800, 253_402_300_799);
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!(
        "{}, {day} {} {year:04} {:02}:{:02}:{:02} +0000",
        DAYS[days.rem_euclid(7) as usize],
        MONTHS[month],
        time / 3_600,
        time / 60 % 60,
        time % 60
    )
}

/// Year, month (from 0) and day of a number of days since 1970-01-01, in the Gregorian calendar. Counts from the
/// first of March of a year divisible by 400, so that a leap day is the last day of its cycle.
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let (cycle, in_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (in_cycle - in_cycle / 1_460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12;
    (cycle * 400 + year + i64::from(month < 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, seconds) in [
            ("Fri, 21 Nov 1997 09:55:06 -0600", Some(880_127_706)),
            ("21 Nov 97 09:55:06 GMT", Some(880_106_106)),
            ("Thu, 1 Jan 1970 00:00:00 +0000 (UTC)", Some(0)),
            ("yesterday", None),
            ("", None),
            ("99 Foo 2020 99:99:99 +9999", None),
        ] {
            assert_eq!(parse(text), seconds.map(UnixMicros::from_seconds), "{text}");
        }
        assert_eq!(format(UnixMicros::from_seconds(880_127_706)), "Fri, 21 Nov 1997 15:55:06 +0000");
        assert_eq!(format(UnixMicros::from_seconds(951_782_400)), "Tue, 29 Feb 2000 00:00:00 +0000");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0_i64..32_000_000_000) {
            proptest::prop_assert_eq!(parse(&format(UnixMicros::from_seconds(seconds))), Some(UnixMicros::from_seconds(seconds)));
        }

        #[test]
        fn any_text(text in "\\PC{0,140}", digits in "[0-9A-Za-z:+ ,();-]{0,140}") {
            parse(&text);
            parse(&digits);
        }
    }
}
