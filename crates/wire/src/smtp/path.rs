//! The arguments of MAIL and RCPT (RFC 5321 §4.1.2): a path in angle brackets, then parameters.
//!
//! Percent signs and exclamation marks in a local part mean nothing: `a%b@c` is the mailbox `a%b` at `c`, and nothing
//! is ever relayed because of how an address is spelled.

use postfleet_core::{EmailAddress, ReversePath};

use super::command::parse_digits;
use super::reply::Reply;

/// What MAIL says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// Where failures are reported to.
    pub reverse_path: ReversePath,
    /// SIZE (RFC 1870): what the client thinks that the message measures.
    pub size: Option<u64>,
    /// BODY=8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// REQUIRETLS (RFC 8689 §2): the message may only travel over verified TLS.
    pub require_tls: bool,
    /// AUTH (RFC 4954 §5), which is read and not believed: who signs in is the one who sends.
    pub has_auth: bool,
    /// Whether there was any parameter, which only EHLO permits.
    pub has_parameters: bool,
    /// Whether the path was spelled without non-ASCII characters.
    pub is_ascii: bool,
}

/// Whom RCPT names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recipient {
    /// A mailbox.
    Mailbox {
        /// Its address.
        address: EmailAddress,
        /// Whether it was spelled without non-ASCII characters.
        is_ascii: bool,
    },
    /// `<postmaster>` without a domain, which every server must know (RFC 5321 §4.5.1).
    Postmaster,
}

/// Parses what follows `MAIL `.
pub fn parse_mail(arguments: &str) -> Result<Mail, Reply> {
    let (path, parameters) = split(arguments, "FROM:").map_err(Reply::bad_sender)?;
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Mailbox(parse_address(path).map_err(Reply::bad_sender)?),
    };
    let mail = Mail {
        reverse_path,
        size: None,
        eight_bit: false,
        smtputf8: false,
        require_tls: false,
        has_auth: false,
        has_parameters: !parameters.is_empty(),
        is_ascii: path.is_ascii(),
    };
    apply_parameters(mail, parameters)
}

/// Parses what follows `RCPT `.
pub fn parse_rcpt(arguments: &str) -> Result<Recipient, Reply> {
    let (path, parameters) = split(arguments, "TO:").map_err(Reply::bad_recipient)?;
    if !parameters.is_empty() {
        return Err(Reply::unknown_parameter());
    }
    if path.eq_ignore_ascii_case("postmaster") {
        return Ok(Recipient::Postmaster);
    }
    let address = parse_address(path).map_err(Reply::bad_recipient)?;
    Ok(Recipient::Mailbox { address, is_ascii: path.is_ascii() })
}

/// The text between the brackets, and what follows them. Space after the colon is wrong and common.
fn split<'a>(arguments: &'a str, keyword: &str) -> Result<(&'a str, &'a str), &'static str> {
    const SYNTAX: &str = "say FROM:<address> or TO:<address>";
    let (head, rest) = arguments.split_at_checked(keyword.len()).ok_or(SYNTAX)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(SYNTAX);
    }
    let rest = rest.trim_ascii_start().strip_prefix('<').ok_or("the address must be in angle brackets")?;
    let end = closing_bracket(rest).ok_or("the address must be in angle brackets")?;
    let (path, rest) = (&rest[..end], &rest[end + 1..]);
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(SYNTAX);
    }
    Ok((path, rest.trim_ascii()))
}

/// Where the bracket closes: inside a quoted local part `>` is a character like any other.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|b| {
        let closes = b == b'>' && !quoted;
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        closes
    })
}

fn parse_address(path: &str) -> Result<EmailAddress, &'static str> {
    // RFC 5321 §3.6.1 lets a server refuse source routes; following them is relaying, dropping them is guessing.
    if path.starts_with('@') {
        return Err("source routes are not accepted");
    }
    // RFC 5321 §4.5.3.1.3 counts 256 octets with the brackets; international addresses are longer on the wire.
    if path.len() > 1_024 {
        return Err("address is too long");
    }
    EmailAddress::parse(path).map_err(|_| "not a mailbox address")
}

fn apply_parameters(mut mail: Mail, parameters: &str) -> Result<Mail, Reply> {
    let (mut size, mut body, mut smtputf8, mut require_tls, mut auth) = (false, false, false, false, false);
    for parameter in parameters.split_ascii_whitespace() {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (parameter, None),
        };
        let seen = match name.to_ascii_uppercase().as_str() {
            "SIZE" => {
                mail.size = Some(parse_size(value)?);
                &mut size
            }
            "BODY" => {
                mail.eight_bit = is_eight_bit(value)?;
                &mut body
            }
            "SMTPUTF8" if value.is_none() => {
                mail.smtputf8 = true;
                &mut smtputf8
            }
            "REQUIRETLS" if value.is_none() => {
                mail.require_tls = true;
                &mut require_tls
            }
            "AUTH" => {
                check_auth(value)?;
                mail.has_auth = true;
                &mut auth
            }
            "SMTPUTF8" | "REQUIRETLS" => return Err(Reply::bad_arguments("that parameter has no value")),
            _ => return Err(Reply::unknown_parameter()),
        };
        if std::mem::replace(seen, true) {
            return Err(Reply::bad_arguments("parameter given twice"));
        }
    }
    Ok(mail)
}

/// RFC 1870 §5 allows 20 digits, which is more than 64 bits hold; all of those are too large anyway.
fn parse_size(value: Option<&str>) -> Result<u64, Reply> {
    let value = value.unwrap_or_default();
    if !(1..=20).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Reply::bad_arguments("SIZE needs a number"));
    }
    Ok(parse_digits(value).unwrap_or(u64::MAX))
}

/// `<>` or an address in xtext (RFC 3461 §4), at most 500 octets (RFC 4954 §3).
fn check_auth(value: Option<&str>) -> Result<(), Reply> {
    let value = value.unwrap_or_default();
    let is_xtext = value.bytes().all(|b| (33..=126).contains(&b) && b != b'=');
    let is_valid = (1..=500).contains(&value.len()) && is_xtext;
    if is_valid { Ok(()) } else { Err(Reply::bad_arguments("AUTH needs <> or an address")) }
}

fn is_eight_bit(value: Option<&str>) -> Result<bool, Reply> {
    match value.unwrap_or_default().to_ascii_uppercase().as_str() {
        "8BITMIME" => Ok(true),
        "7BIT" => Ok(false),
        // BINARYMIME (RFC 3030 §3) is known and not offered.
        "BINARYMIME" => Err(Reply::unknown_parameter()),
        _ => Err(Reply::bad_arguments("BODY is 7BIT or 8BITMIME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sender(arguments: &str) -> Result<String, u16> {
        parse_mail(arguments).map(|mail| mail.reverse_path.to_string()).map_err(|reply| reply.code())
    }

    #[test]
    fn senders() {
        assert_eq!(sender("FROM:<>"), Ok(String::new()));
        assert_eq!(sender("from: <a@example.com>"), Ok("a@example.com".into()));
        assert_eq!(sender("FROM:<\"a>b\"@example.com> SIZE=1"), Ok("\"a>b\"@example.com".into()));
        assert_eq!(sender("FROM:<\"a\\\">b\"@example.com>"), Ok("\"a\\\">b\"@example.com".into()));
        for bad in [
            "",
            "FROM",
            "FROM:",
            "FROM:a@example.com",
            "FROM:<a@example.com",
            "FROM:<a>",
            "TO:<a@example.com>",
            "FROM:<a@example.com>SIZE=1",
            "FROM:<@x:a@example.com>",
            "FROM:<<a@example.com>>",
            "FRÖM:<>",
            "FROM:<a@[::1]>",
        ] {
            assert_eq!(sender(bad), Err(501), "{bad}");
        }
    }

    #[test]
    fn parameters() {
        let mail = parse_mail("FROM:<> size=10 BODY=8bitmime smtputf8").unwrap();
        assert_eq!((mail.size, mail.eight_bit, mail.smtputf8, mail.has_parameters), (Some(10), true, true, true));
        assert!(!mail.require_tls && parse_mail("FROM:<> requiretls").unwrap().require_tls);
        assert!(parse_mail("FROM:<> AUTH=e+3Dmc2@example.com").unwrap().has_auth);
        assert_eq!(parse_mail("FROM:<> SIZE=99999999999999999999").unwrap().size, Some(u64::MAX));
        for (text, code) in [
            ("SIZE", 501),
            ("SIZE=", 501),
            ("SIZE=-1", 501),
            ("SIZE=+1", 501),
            ("SIZE=1x", 501),
            ("SIZE=111111111111111111111", 501),
            ("SIZE=1 SIZE=1", 501),
            ("BODY=", 501),
            ("BODY=9BIT", 501),
            ("BODY=BINARYMIME", 555),
            ("SMTPUTF8=1", 501),
            ("REQUIRETLS=", 501),
            ("REQUIRETLS REQUIRETLS", 501),
            ("RET=FULL", 555),
            ("AUTH", 501),
            ("AUTH=", 501),
            ("AUTH=a=b", 501),
            ("AUTH=<> AUTH=<>", 501),
            ("X", 555),
        ] {
            assert_eq!(sender(&format!("FROM:<> {text}")), Err(code), "{text}");
        }
    }

    #[test]
    fn recipients() {
        let recipient = |arguments: &str| match parse_rcpt(arguments) {
            Ok(Recipient::Mailbox { address, .. }) => Ok(address.to_string()),
            Ok(Recipient::Postmaster) => Ok("POSTMASTER".into()),
            Err(reply) => Err(reply.code()),
        };
        assert_eq!(recipient("TO:<a@Example.COM>"), Ok("a@example.com".into()));
        assert_eq!(recipient("TO:<PostMaster>"), Ok("POSTMASTER".into()));
        // Not relayed, only looked up: see the head of the file.
        assert_eq!(recipient("TO:<a%b@example.com>"), Ok("a%b@example.com".into()));
        assert_eq!(recipient("TO:<b!a@example.com>"), Ok("b!a@example.com".into()));
        assert_eq!(recipient("TO:<\"a@b\"@example.com>"), Ok("\"a@b\"@example.com".into()));
        assert_eq!(recipient("TO:<a@example.com> NOTIFY=NEVER"), Err(555));
        for bad in [
            "TO:<>",
            "TO:<a>",
            "TO:<@x,@y:a@example.com>",
            "TO:<a@b@example.com>",
            "TO:<a@127.0.0.1 >",
            "TO:<a@[127.0.0.1]>",
            "TO:a@example.com",
            "TO:<a@example.com>,<b@example.com>",
        ] {
            assert_eq!(recipient(bad), Err(501), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arguments_never_panic(text in "(FROM:|TO:)?[<>@\"\\\\a.é= ]{0,30}") {
            let _ = (parse_mail(&text), parse_rcpt(&text));
        }
    }
}
