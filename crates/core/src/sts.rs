//! MTA-STS (RFC 8461): what a domain publishes about the encryption of mail to it, read and matched.

use crate::Domain;
use std::time::Duration;

/// The longest time that a policy may be kept (RFC 8461 §3.2).
const MAX_AGE_MAX: u64 = 31_557_600;

/// Servers of one policy that are kept; nobody has as many.
const PATTERNS_MAX: usize = 100;

/// What a policy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StsMode {
    /// Mail goes to servers of the policy alone, over verified TLS, or not at all.
    Enforce,
    /// Mail goes as it would without a policy; what would have failed is counted.
    Testing,
    /// There is no policy any more.
    None,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsPolicy {
    /// What it asks for.
    pub mode: StsMode,
    /// Names of servers; one that begins with `*.` stands for any one label there.
    pub mx: Vec<String>,
    /// How long it may be kept.
    pub max_age: Duration,
}

/// Why a text is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSts {
    /// It does not say `version: STSv1`.
    #[error("version must be STSv1")]
    Version,
    /// The mode is missing or none of the three.
    #[error("mode must be enforce, testing or none")]
    Mode,
    /// How long it may be kept is missing or not a number.
    #[error("max_age must be a number of seconds")]
    MaxAge,
    /// A policy that asks for something names no server.
    #[error("mx must name at least one server")]
    NoServer,
    /// What stands for a server is not the name of one.
    #[error("mx must be a domain name, or one after \"*.\"")]
    Server,
}

/// Reads the TXT records of `_mta-sts.<domain>`: the id of the policy, if exactly one record announces one.
pub fn policy_id(records: &[String]) -> Option<&str> {
    let mut announced = records.iter().filter(|record| is_announcement(record));
    let (record, None) = (announced.next()?, announced.next()) else { return None };
    let mut fields = record.split(';').skip(1).filter_map(|field| field.split_once('='));
    let (_, id) = fields.find(|(name, _)| name.trim() == "id")?;
    let id = id.trim();
    ((1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric())).then_some(id)
}

fn is_announcement(record: &str) -> bool {
    let (version, _) = record.split_once(';').unwrap_or((record, ""));
    version.trim_end() == "v=STSv1"
}

impl StsPolicy {
    /// Reads a policy as it is served. Of a field that stands there twice, the first counts; those that nobody knows are
    /// passed over.
    pub fn parse(text: &str) -> Result<Self, InvalidSts> {
        let fields: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let first = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        if first("version") != Some("STSv1") {
            return Err(InvalidSts::Version);
        }
        let mode = match first("mode") {
            Some("enforce") => StsMode::Enforce,
            Some("testing") => StsMode::Testing,
            Some("none") => StsMode::None,
            _ => return Err(InvalidSts::Mode),
        };
        let max_age = first("max_age").filter(|text| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()));
        // More digits than a number can have are more than the longest time.
        let max_age = max_age.ok_or(InvalidSts::MaxAge)?.parse().unwrap_or(MAX_AGE_MAX).min(MAX_AGE_MAX);
        let patterns = fields.iter().filter(|(name, _)| *name == "mx").take(PATTERNS_MAX);
        let mx = patterns.map(|(_, value)| pattern(value)).collect::<Option<Vec<_>>>().ok_or(InvalidSts::Server)?;
        if mx.is_empty() && mode != StsMode::None {
            return Err(InvalidSts::NoServer);
        }
        Ok(Self { mode, mx, max_age: Duration::from_secs(max_age) })
    }

    /// The lines of the policy, as reports quote them.
    pub fn lines(&self) -> Vec<String> {
        let mode = match self.mode {
            StsMode::Enforce => "enforce",
            StsMode::Testing => "testing",
            StsMode::None => "none",
        };
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {mode}")];
        lines.extend(self.mx.iter().map(|pattern| format!("mx: {pattern}")));
        lines.push(format!("max_age: {}", self.max_age.as_secs()));
        lines
    }

    /// Whether a server is one of the policy's (RFC 8461 §4.1).
    pub fn names(&self, host: &Domain) -> bool {
        let parent = host.as_str().split_once('.').map(|(_, parent)| parent);
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(suffix) => parent == Some(suffix),
            None => pattern == host.as_str(),
        })
    }
}

fn pattern(text: &str) -> Option<String> {
    let (prefix, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
    Some(format!("{prefix}{}", Domain::parse(name).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_announced_once() {
        for (records, expected) in [
            (vec!["v=STSv1; id=20260301T000000;"], Some("20260301T000000")),
            (vec!["v=STSv1;id=a"], Some("a")),
            (vec!["v=STSv1 ; x=y ; id=a1 ; z=1"], Some("a1")),
            (vec!["v=spf1 -all", "v=STSv1; id=b;"], Some("b")),
            (vec!["v=STSv1; id=12345678901234567890123456789012"], Some("12345678901234567890123456789012")),
            (vec!["v=STSv1; id=123456789012345678901234567890123"], None),
            (vec!["v=STSv1; id=a", "v=STSv1; id=b"], None),
            (vec!["v=STSv1; id=a", "v=STSv1; id=a"], None),
            (vec!["v=STSv2; id=a"], None),
            (vec!["v=STSv10; id=a"], None),
            (vec!["id=a; v=STSv1"], None),
            (vec!["v=STSv1"], None),
            (vec!["v=STSv1; id="], None),
            (vec!["v=STSv1; id=a-b"], None),
            (vec![], None),
        ] {
            let records: Vec<String> = records.into_iter().map(str::to_owned).collect();
            assert_eq!(policy_id(&records), expected, "{records:?}");
        }
    }

    #[test]
    fn a_policy_is_read_whatever_its_line_ends() {
        let text = "version: STSv1\nmode: enforce\nmx: MX.example.test\nmx: *.example.test\nmax_age: 604800\n";
        let expected = StsPolicy {
            mode: StsMode::Enforce,
            mx: vec!["mx.example.test".to_owned(), "*.example.test".to_owned()],
            max_age: Duration::from_secs(604_800),
        };
        for text in [text.to_owned(), text.replace('\n', "\r\n"), text.trim_end().replace(": ", ":")] {
            assert_eq!(StsPolicy::parse(&text), Ok(expected.clone()), "{text:?}");
        }
        assert_eq!(StsPolicy::parse(&expected.lines().join("\n")), Ok(expected));
        // Of two, the first; unknown ones do not matter.
        let twice =
            "mode: testing\nversion: STSv1\nmode: enforce\nx-new: 1\nno field\nmx: a.test\nmax_age: 1\nmax_age: 2";
        let policy = StsPolicy::parse(twice).expect("policy");
        assert_eq!((policy.mode, policy.max_age.as_secs()), (StsMode::Testing, 1));
    }

    #[test]
    fn what_is_no_policy() {
        for (text, error) in [
            ("", InvalidSts::Version),
            ("<html>not here</html>", InvalidSts::Version),
            ("version: STSv2\nmode: none\nmax_age: 1", InvalidSts::Version),
            ("version: STSv1\nmode: strict\nmax_age: 1\nmx: a.test", InvalidSts::Mode),
            ("version: STSv1\nmax_age: 1\nmx: a.test", InvalidSts::Mode),
            ("version: STSv1\nmode: enforce\nmx: a.test", InvalidSts::MaxAge),
            ("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1", InvalidSts::MaxAge),
            ("version: STSv1\nmode: enforce\nmx: a.test\nmax_age:", InvalidSts::MaxAge),
            ("version: STSv1\nmode: enforce\nmax_age: 1", InvalidSts::NoServer),
            ("version: STSv1\nmode: testing\nmax_age: 1", InvalidSts::NoServer),
            ("version: STSv1\nmode: enforce\nmax_age: 1\nmx: a b.test", InvalidSts::Server),
            ("version: STSv1\nmode: enforce\nmax_age: 1\nmx: *", InvalidSts::Server),
            ("version: STSv1\nmode: enforce\nmax_age: 1\nmx: a.*.test", InvalidSts::Server),
        ] {
            assert_eq!(StsPolicy::parse(text), Err(error), "{text:?}");
        }
        let none = StsPolicy::parse("version: STSv1\nmode: none\nmax_age: 99999999999999999999999").expect("policy");
        assert_eq!((none.mode, none.max_age.as_secs()), (StsMode::None, MAX_AGE_MAX));
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let policy = |mx: &str| {
            StsPolicy::parse(&format!("version: STSv1\nmode: enforce\nmx: {mx}\nmax_age: 1")).expect("policy")
        };
        for (mx, host, expected) in [
            ("mx.example.test", "mx.example.test", true),
            ("mx.example.test", "MX.Example.Test", true),
            ("mx.example.test", "other.example.test", false),
            ("mx.example.test", "a.mx.example.test", false),
            ("*.example.test", "mx.example.test", true),
            ("*.example.test", "example.test", false),
            ("*.example.test", "a.b.example.test", false),
            ("*.example.test", "mx.badexample.test", false),
            ("*.example.test", "mxexample.test", false),
        ] {
            assert_eq!(policy(mx).names(&Domain::parse(host).expect("domain")), expected, "{mx} {host}");
        }
    }
}
