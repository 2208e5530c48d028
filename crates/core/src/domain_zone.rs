//! The records of a domain as lines of a zone file (RFC 1035 §5), to be pasted.

use crate::domain_records::{Record, RecordData, RecordKind};

/// How long answers may be kept, in seconds: short, so that a mistake heals soon.
const TIME_TO_LIVE: u32 = 3_600;

/// Octets of one string of a TXT record (RFC 1035 §3.3.14).
const STRING_OCTETS_MAX: usize = 255;

/// Writes records as a part of a zone file. Names are complete, so that it does not matter in which zone they end up.
pub fn write(domain: &str, records: &[Record]) -> String {
    let mut zone = format!("; Records of {domain}. Names end in a dot: they are complete.\n");
    for record in records {
        if record.kind == RecordKind::Spf {
            zone.push_str(
                "; If the domain has an SPF record already, add the mechanism to that one: two are an error.\n",
            );
        }
        let data = match &record.data {
            RecordData::Txt(text) => strings(text),
            RecordData::Mx { preference, host } => format!("{preference} {host}."),
        };
        zone.push_str(&format!("{}. {TIME_TO_LIVE} IN {} {data}\n", record.name, record.data.kind()));
    }
    zone
}

/// A text as strings in quotation marks. All of ours are ASCII; others are escaped octet by octet (RFC 1035 §5.1).
fn strings(text: &str) -> String {
    let quote = |string: &[u8]| {
        let mut quoted = String::from("\"");
        for octet in string {
            match octet {
                b'"' | b'\\' => quoted.extend(['\\', char::from(*octet)]),
                b' '..=b'~' => quoted.push(char::from(*octet)),
                other => quoted.push_str(&format!("\\{other:03}")),
            }
        }
        quoted + "\""
    };
    text.as_bytes().chunks(STRING_OCTETS_MAX).map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Domain;
    use crate::domain_records::{DomainSettings, Publisher, to_publish};

    #[test]
    fn a_zone_to_paste() {
        let domain = Domain::parse("a.test").unwrap();
        let keys = [("s1".to_owned(), format!("v=DKIM1; p={}", "k".repeat(400)))];
        let publisher = Publisher { domain: &domain, ownership_token: "t0k", keys: &keys };
        let records = to_publish(publisher, &DomainSettings::of(&Domain::parse("mx.fleet.test").unwrap()));
        let zone = write("a.test", &records);
        let lines: Vec<&str> = zone.lines().filter(|line| !line.starts_with(';')).collect();
        assert_eq!(lines.len(), records.len());
        assert_eq!(lines[0], "a.test. 3600 IN TXT \"nylas-ownership-verify=t0k\"");
        assert_eq!(lines[1], "a.test. 3600 IN MX 10 mx.fleet.test.");
        let (first, rest) = (format!("v=DKIM1; p={}", "k".repeat(255 - 11)), "k".repeat(400 - 244));
        assert_eq!(lines[3], format!("s1._domainkey.a.test. 3600 IN TXT \"{first}\" \"{rest}\""));
        assert_eq!(strings("a\"b\\c\u{7}"), "\"a\\\"b\\\\c\\007\"");
    }
}
