//! One command line (RFC 5321 §4.1.1) as a value. What a command means where it stands is the session's business.

use super::path::{Mail, Recipient, parse_mail, parse_rcpt};
use super::reply::Reply;
use postfleet_core::Secret;

/// A command with its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// EHLO with the client's name.
    Ehlo(String),
    /// HELO with the client's name.
    Helo(String),
    /// MAIL.
    Mail(Mail),
    /// RCPT.
    Rcpt(Recipient),
    /// DATA.
    Data,
    /// BDAT (RFC 3030 §2).
    Bdat {
        /// Octets that follow the line.
        octets: u64,
        /// Whether the message ends with them.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954), with its arguments, among which a password may be.
    Auth(Secret<String>),
}

/// Why a line is not a command that can be carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rejected {
    /// Say so and go on.
    Reply(Reply),
    /// Say so and close: it is unknown where the next command begins.
    Close(Reply),
}

impl From<Reply> for Rejected {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

/// A chunk beyond this is not swallowed for the sake of refusing it politely; the connection ends instead.
pub const CHUNK_OCTETS_MAX: u64 = u32::MAX as u64;

impl Command {
    /// Parses a line without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, Rejected> {
        let line = std::str::from_utf8(line).map_err(|_| Reply::not_utf8())?;
        let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
        // Trailing space is tolerated (RFC 5321 §4.1.1).
        let arguments = arguments.trim_ascii();
        let is = |name: &str| verb.eq_ignore_ascii_case(name);
        if is("MAIL") {
            Ok(Self::Mail(parse_mail(arguments)?))
        } else if is("RCPT") {
            Ok(Self::Rcpt(parse_rcpt(arguments)?))
        } else if is("DATA") {
            without_arguments(Self::Data, arguments)
        } else if is("BDAT") {
            parse_bdat(arguments)
                .ok_or_else(|| Rejected::Close(Reply::bad_arguments("BDAT needs a size and may have LAST")))
        } else {
            Self::parse_other(&verb.to_ascii_uppercase(), arguments)
        }
    }

    /// The commands that do not come once a message.
    fn parse_other(verb: &str, arguments: &str) -> Result<Self, Rejected> {
        match verb {
            "EHLO" => Ok(Self::Ehlo(parse_client_name(arguments)?)),
            "HELO" => Ok(Self::Helo(parse_client_name(arguments)?)),
            "RSET" => without_arguments(Self::Rset, arguments),
            // NOOP, VRFY, EXPN and HELP may have an argument that nobody looks at.
            "NOOP" => Ok(Self::Noop),
            "QUIT" => without_arguments(Self::Quit, arguments),
            "VRFY" => Ok(Self::Vrfy),
            "EXPN" => Ok(Self::Expn),
            "HELP" => Ok(Self::Help),
            "STARTTLS" => without_arguments(Self::StartTls, arguments),
            "AUTH" => Ok(Self::Auth(Secret::new(arguments.to_owned()))),
            _ => Err(Reply::unknown_command().into()),
        }
    }
}

fn without_arguments(command: Command, arguments: &str) -> Result<Command, Rejected> {
    if arguments.is_empty() { Ok(command) } else { Err(Reply::bad_arguments("no arguments here").into()) }
}

/// `None` for anything whose octets could not be counted.
fn parse_bdat(arguments: &str) -> Option<Command> {
    let mut words = arguments.split_ascii_whitespace();
    let octets = parse_digits(words.next()?)?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    (words.next().is_none() && octets <= CHUNK_OCTETS_MAX).then_some(Command::Bdat { octets, last })
}

/// Digits only: no sign, no space, no overflow.
pub(super) fn parse_digits(text: &str) -> Option<u64> {
    let valid = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok())?
}

/// What a client calls itself. Far too many clients have no proper name for this to be checked closely; it only must
/// be one printable word of bounded length (RFC 5321 §4.5.3.1.2), since it goes into a trace header.
fn parse_client_name(name: &str) -> Result<String, Reply> {
    let printable = name.chars().all(|c| !c.is_control() && !c.is_whitespace());
    match name.len() {
        1..=255 if printable => Ok(name.to_owned()),
        _ => Err(Reply::bad_arguments("say your host name or address literal")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(line: &[u8]) -> Option<u16> {
        match Command::parse(line) {
            Ok(_) => None,
            Err(Rejected::Reply(reply)) => Some(reply.code()),
            Err(Rejected::Close(reply)) => Some(reply.code() + 1_000),
        }
    }

    #[test]
    fn commands_are_recognised_in_any_case() {
        for (line, command) in [
            ("ehlo [127.0.0.1]", Command::Ehlo("[127.0.0.1]".into())),
            ("HELO a", Command::Helo("a".into())),
            ("Data ", Command::Data),
            ("RSET", Command::Rset),
            ("noop whatever", Command::Noop),
            ("QUIT", Command::Quit),
            ("VRFY a", Command::Vrfy),
            ("EXPN a", Command::Expn),
            ("HELP", Command::Help),
            ("starttls", Command::StartTls),
            ("AUTH PLAIN x", Command::Auth(Secret::new("PLAIN x".into()))),
            ("BDAT 0 last", Command::Bdat { octets: 0, last: true }),
            ("BDAT 4294967295", Command::Bdat { octets: CHUNK_OCTETS_MAX, last: false }),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn bad_lines() {
        for (line, expected) in [
            (&b""[..], 500),
            (b"LHLO a", 500),
            (b"EHLO", 501),
            (b"EHLO a b", 501),
            (b"EHLO a\tb", 501),
            (b"DATA x", 501),
            (b"QUIT x", 501),
            (b"STARTTLS x", 501),
            (b"\xff\xfe", 500),
            (b"BDAT", 1_501),
            (b"BDAT -1", 1_501),
            (b"BDAT +1", 1_501),
            (b"BDAT 1 LAST LAST", 1_501),
            (b"BDAT 1 FIRST", 1_501),
            (b"BDAT 4294967296", 1_501),
            (b"BDAT 99999999999999999999999999", 1_501),
        ] {
            assert_eq!(code(line), Some(expected), "{}", line.escape_ascii());
        }
        assert_eq!(code(format!("EHLO {}", "a".repeat(255)).as_bytes()), None);
        assert_eq!(code(format!("EHLO {}", "a".repeat(256)).as_bytes()), Some(501));
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_is_not(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Command::parse(&line);
        }
    }
}
