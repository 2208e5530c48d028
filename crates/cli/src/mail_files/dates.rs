//! When a message was received, as its file says it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Octets of a message in which its header is looked for.
const HEADER_OCTETS_MAX: usize = 256 << 10;

/// The time of a line that begins a message in an mbox file, `From sender Mon Mar  2 10:00:00 2026`, in UTC as is usual.
/// `None` if it is not such a line.
pub fn of_from_line(line: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(line.strip_prefix(b"From ")?).ok()?;
    let words: Vec<&str> = text.split_ascii_whitespace().take(32).collect();
    let place = words.iter().rposition(|word| MONTHS.contains(word))?;
    if place == 0 || !WEEKDAYS.contains(&words[place - 1]) {
        return None;
    }
    let month = MONTHS.iter().position(|month| *month == words[place])? as i8 + 1;
    let day: i8 = words.get(place + 1)?.parse().ok()?;
    let mut clock = words.get(place + 2)?.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next().unwrap_or(Some(0))?);
    let year: i16 = words[place + 3..].iter().find(|word| word.len() == 4)?.parse().ok()?;
    let time = DateTime::new(year, month, day, hour, minute, second.min(59), 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// The line that begins a message in an mbox file.
pub fn from_line(received_at: i64) -> String {
    let time = Timestamp::from_second(received_at).unwrap_or_default().to_zoned(TimeZone::UTC);
    format!("From MAILER-DAEMON {}\n", time.strftime("%a %b %e %H:%M:%S %Y"))
}

/// When its header says that a message was received: the newest `Received` field, or when it says that it was written.
pub fn of_header(raw: &[u8]) -> Option<i64> {
    let received = field(raw, b"received").and_then(|value| value.rsplit_once(';').and_then(|(_, date)| parse(date)));
    received.or_else(|| field(raw, b"date").and_then(|value| parse(&value)))
}

fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    let without_comment = text.split('(').next().unwrap_or_default().trim();
    [text, without_comment].into_iter().find_map(|text| Some(rfc2822::parse(text).ok()?.timestamp().as_second()))
}

/// The first field of a name, unfolded.
pub fn field(raw: &[u8], name: &[u8]) -> Option<String> {
    let mut found: Option<Vec<u8>> = None;
    for line in raw[..raw.len().min(HEADER_OCTETS_MAX)].split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_folded = line.first().is_some_and(|octet| matches!(octet, b' ' | b'\t'));
        match (&mut found, is_folded) {
            (Some(value), true) => value.extend_from_slice(line),
            (Some(_), false) => break,
            (None, true) => {}
            (None, false) if line.is_empty() => break,
            (None, false) => {
                let (key, value) = line.split_at(line.iter().position(|octet| *octet == b':').unwrap_or(0));
                if key.eq_ignore_ascii_case(name) {
                    found = Some(value[1..].to_vec());
                }
            }
        }
    }
    found.map(|value| String::from_utf8_lossy(&value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_a_message_have_a_time() {
        for (line, time) in [
            ("From ada@example.com Mon Mar  2 10:00:05 2026\n", Some(1_772_445_605)),
            ("From MAILER-DAEMON Mon Mar  2 10:00:05 2026\r\n", Some(1_772_445_605)),
            ("From - Mon Mar 02 10:00:05 2026", Some(1_772_445_605)),
            ("From ada@example.com Mon Mar  2 10:00:05 UTC 2026\n", Some(1_772_445_605)),
            ("From ada@example.com Mon Mar  2 10:00 2026\n", Some(1_772_445_600)),
            ("From \"a b\"@example.com Mon Mar  2 10:00:05 2026 +0000\n", Some(1_772_445_605)),
            ("From here on it is easy.\n", None),
            ("From Mar 2 on\n", None),
            ("From May\n", None),
            ("From x Mon Mar 32 10:00:05 2026\n", None),
            ("From x Mon Mar 2 25:00:05 2026\n", None),
            (">From ada@example.com Mon Mar  2 10:00:05 2026\n", None),
            ("From: ada@example.com\n", None),
        ] {
            assert_eq!(of_from_line(line.as_bytes()), time, "{line}");
        }
        assert_eq!(of_from_line(from_line(1_772_445_605).as_bytes()), Some(1_772_445_605));
    }

    #[test]
    fn the_newest_hop_says_when_a_message_was_received() {
        for (raw, time) in [
            (
                "Received: from a\r\n by b; Mon, 2 Mar 2026 10:00:05 +0000\r\nReceived: x; Sun, 1 Mar 2026 10:00:05 +0000\r\n\r\n",
                Some(1_772_445_605),
            ),
            ("Received: x; Mon, 2 Mar 2026 11:00:05 +0100 (CET)\n\n", Some(1_772_445_605)),
            ("DATE: Mon, 2 Mar 2026 10:00:05 GMT\n\n", Some(1_772_445_605)),
            ("Received: no date\nDate: Mon, 2 Mar 2026 10:00:05 +0000\n\n", Some(1_772_445_605)),
            ("Subject: x\n\nDate: Mon, 2 Mar 2026 10:00:05 +0000\n", None),
            ("Date: yesterday\n\n", None),
            ("", None),
            ("no header at all", None),
        ] {
            assert_eq!(of_header(raw.as_bytes()), time, "{raw:?}");
        }
    }
}
