//! Replies (RFC 5321 §4.2) with enhanced status codes (RFC 3463): ours, built from a severity so that the two codes
//! cannot disagree, and those of other servers, read piecemeal within limits.
//!
//! The text of another server is data: it is kept for people to read and never interpreted.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Lines of a reply: ours have no more, and of another server's no more are kept.
pub const REPLY_LINES_MAX: usize = 64;
/// Octets of a line of another server's reply that are kept. RFC 5321 §4.5.3.1.5 says 512; real ones exceed it.
pub const REPLY_LINE_OCTETS_MAX: usize = 2_048;
/// Another server's reply may not be longer than this as a whole. Below it the answer holds, however long-winded: one that
/// is not understood after the end of a message would have the message sent again.
pub const REPLY_OCTETS_MAX: usize = 64 * 1_024;
/// We keep to 512 octets with code and line end (RFC 5321 §4.5.3.1.5), so this much text fits.
const TEXT_LINE_OCTETS_MAX: usize = 490;

/// What a reply means for the command, and the first digit of both codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Severity {
    /// Done.
    Positive,
    /// Go on (354 only here).
    Intermediate,
    /// Not now.
    Transient,
    /// Never as it stands.
    Permanent,
}

impl Severity {
    const fn digit(self) -> u8 {
        match self {
            Self::Positive => 2,
            Self::Intermediate => 3,
            Self::Transient => 4,
            Self::Permanent => 5,
        }
    }

    const fn of_code(code: u16) -> Self {
        match code / 100 {
            2 => Self::Positive,
            3 => Self::Intermediate,
            4 => Self::Transient,
            _ => Self::Permanent,
        }
    }
}

/// An enhanced status code (RFC 3463 §2). Subject and detail have up to three digits each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct EnhancedStatus {
    /// 2, 4 or 5.
    pub class: u8,
    /// What it is about.
    pub subject: u16,
    /// What exactly.
    pub detail: u16,
}

impl std::fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// One reply. The class of the enhanced status always equals the first digit of the code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedStatus>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply of `severity` whose code ends in the two digits `detail_code`, with the subject and detail of its
    /// enhanced status. Intermediate replies have no enhanced status (RFC 2034 §4). `\n` in the text separates lines.
    pub fn new(
        severity: Severity,
        detail_code: u8,
        status: Option<(u16, u16)>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let class = severity.digit();
        let enhanced = match (severity, status) {
            (Severity::Intermediate, _) | (_, None) => None,
            (_, Some((subject, detail))) => Some(EnhancedStatus { class, subject, detail }),
        };
        Self { code: u16::from(class) * 100 + u16::from(detail_code % 100), enhanced, text: text.into() }
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }
    /// The enhanced status, where there is one.
    pub fn enhanced(&self) -> Option<EnhancedStatus> {
        self.enhanced
    }
    /// The text, lines separated by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }
    /// What it means.
    pub fn severity(&self) -> Severity {
        Severity::of_code(self.code)
    }
    /// Whether the other side did what was asked.
    pub fn is_positive(&self) -> bool {
        self.severity() == Severity::Positive
    }

    /// Appends the reply as it goes over the wire. Whatever is in the text, exactly one reply comes out: control
    /// characters become spaces and long lines are cut.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').take(REPLY_LINES_MAX).peekable();
        while let Some(line) = lines.next() {
            self.write_line(line, lines.peek().is_none(), out);
        }
    }

    fn write_line(&self, line: &str, last: bool, out: &mut Vec<u8>) {
        let code = self.code;
        out.extend([b'0' + (code / 100) as u8, b'0' + (code / 10 % 10) as u8, b'0' + (code % 10) as u8]);
        out.push(if last { b' ' } else { b'-' });
        if let Some(EnhancedStatus { class, subject, detail }) = self.enhanced {
            out.extend_from_slice(format!("{class}.{subject}.{detail} ").as_bytes());
        }
        // Non-ASCII text is only for clients that asked for SMTPUTF8 (RFC 6531 §3.7.4.2); ours is always ASCII.
        out.extend(line.bytes().take(TEXT_LINE_OCTETS_MAX).map(|b| match b {
            0x20..=0x7e => b,
            0x80.. => b'?',
            _ => b' ',
        }));
        out.extend_from_slice(b"\r\n");
    }
}

/// On one line, for logs and history: code, enhanced status, text.
impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        self.text.chars().try_for_each(|c| f.write_char(if c.is_control() { ' ' } else { c }))
    }
}

/// The replies of our server, by what they say.
impl Reply {
    fn positive(detail_code: u8, status: (u16, u16), text: &'static str) -> Self {
        Self::new(Severity::Positive, detail_code, Some(status), text)
    }
    fn transient(detail_code: u8, status: (u16, u16), text: &'static str) -> Self {
        Self::new(Severity::Transient, detail_code, Some(status), text)
    }
    fn permanent(detail_code: u8, status: (u16, u16), text: &'static str) -> Self {
        Self::new(Severity::Permanent, detail_code, Some(status), text)
    }

    /// The first words of a server. Greeting and EHLO have no enhanced status (RFC 2034 §3).
    pub fn greeting(hostname: &str) -> Self {
        Self::new(Severity::Positive, 20, None, format!("{hostname} ESMTP"))
    }
    /// The answer to EHLO or HELO: the host name, then one line for each extension.
    pub fn hello(lines: String) -> Self {
        Self::new(Severity::Positive, 50, None, lines)
    }
    /// Done.
    pub fn ok() -> Self {
        Self::positive(50, (0, 0), "ok")
    }
    /// MAIL accepted.
    pub fn sender_ok() -> Self {
        Self::positive(50, (1, 0), "sender ok")
    }
    /// RCPT accepted.
    pub fn recipient_ok() -> Self {
        Self::positive(50, (1, 5), "recipient ok")
    }
    /// A BDAT chunk that is not the last (RFC 3030 §2).
    pub fn chunk_ok() -> Self {
        Self::positive(50, (0, 0), "chunk received")
    }
    /// We took responsibility for the message; `reference` lets people find it again.
    pub fn accepted(reference: &str) -> Self {
        Self::new(Severity::Positive, 50, Some((6, 0)), format!("accepted as {reference}"))
    }
    /// A submission was accepted, and waits for its quota or for somebody to approve it.
    pub fn held(reference: &str, reason: &str) -> Self {
        Self::new(Severity::Positive, 50, Some((6, 0)), format!("held ({reason}) as {reference}"))
    }
    /// After STARTTLS (RFC 3207 §4).
    pub fn ready_for_tls() -> Self {
        Self::positive(20, (0, 0), "ready to start TLS")
    }
    /// After DATA.
    pub fn start_data() -> Self {
        Self::new(Severity::Intermediate, 54, None, "end with a dot on a line of its own")
    }
    /// After QUIT.
    pub fn goodbye() -> Self {
        Self::positive(21, (0, 0), "bye")
    }
    /// VRFY, which we do not answer (RFC 5321 §7.3).
    pub fn cannot_verify() -> Self {
        Self::positive(52, (5, 0), "send some mail, it will be tried")
    }
    /// HELP.
    pub fn help() -> Self {
        Self::positive(14, (0, 0), "see RFC 5321")
    }

    /// After a successful AUTH (RFC 4954 §4).
    pub fn authenticated() -> Self {
        Self::positive(35, (7, 0), "signed in")
    }
    /// What the client has to answer in an exchange, in base64.
    pub fn challenge(base64: &'static str) -> Self {
        Self::new(Severity::Intermediate, 34, None, base64)
    }
    /// The client ended the exchange with `*` (RFC 4954 §4).
    pub fn authentication_cancelled() -> Self {
        Self::permanent(1, (7, 0), "sign-in cancelled")
    }
    /// A response that is not base64, or not what the mechanism asks for (RFC 4954 §4).
    pub fn bad_authentication() -> Self {
        Self::permanent(1, (5, 2), "not a response of that mechanism in base64")
    }
    /// A mechanism that we do not have (RFC 4954 §4).
    pub fn unknown_mechanism() -> Self {
        Self::permanent(4, (5, 4), "mechanism not implemented")
    }
    /// Wrong in one way or another: which one is not said (RFC 4954 §6).
    pub fn authentication_failed() -> Self {
        Self::permanent(35, (7, 8), "sign-in failed, check the address and the password")
    }
    /// AUTH in the clear (RFC 4954 §6).
    pub fn authentication_needs_tls() -> Self {
        Self::permanent(38, (7, 11), "passwords are taken over TLS only, say STARTTLS first")
    }
    /// Too many have failed before; this one was not looked at (RFC 4954 §6).
    pub fn authentication_throttled() -> Self {
        Self::transient(54, (7, 0), "too many failed sign-ins, try again later")
    }
    /// More failed attempts than one connection may make.
    pub fn too_many_failed_authentications() -> Self {
        Self::transient(21, (7, 0), "too many failed sign-ins")
    }
    /// Mail in the clear where that is not allowed (RFC 3207 §4).
    pub fn needs_tls() -> Self {
        Self::permanent(30, (7, 0), "say STARTTLS first")
    }
    /// Mail without a sign-in (RFC 6409 §4.3).
    pub fn needs_authentication() -> Self {
        Self::permanent(30, (7, 0), "sign in first")
    }
    /// The password was changed or taken away, or the account was blocked or removed.
    pub fn no_longer_signed_in() -> Self {
        Self::transient(21, (7, 0), "the sign-in no longer holds, sign in again")
    }
    /// MAIL FROM somebody else (RFC 6409 §6.1).
    pub fn foreign_sender() -> Self {
        Self::permanent(53, (7, 1), "the sender must be the account's own address")
    }

    /// The service stops.
    pub fn shutting_down() -> Self {
        Self::transient(21, (3, 2), "shutting down, try again shortly")
    }
    /// More is under way than there is memory for; nothing was taken, so nothing is lost.
    pub fn overloaded() -> Self {
        Self::transient(21, (3, 2), "overloaded, try again shortly")
    }
    /// The client was silent too long.
    pub fn timed_out() -> Self {
        Self::transient(21, (4, 2), "timed out")
    }
    /// More errors than one connection may make.
    pub fn too_many_errors() -> Self {
        Self::transient(21, (7, 0), "too many errors")
    }
    /// More commands than one connection may give.
    pub fn too_many_commands() -> Self {
        Self::transient(21, (7, 0), "too many commands, connect again")
    }
    /// More messages than one connection may bring.
    pub fn too_many_transactions() -> Self {
        Self::transient(21, (7, 0), "too many messages, connect again")
    }
    /// More connections than there is room for.
    pub fn too_many_connections() -> Self {
        Self::transient(21, (7, 0), "too many connections, try again shortly")
    }
    /// More commands at once, without waiting for an answer, than anybody needs.
    pub fn too_many_pipelined() -> Self {
        Self::transient(21, (7, 0), "too many commands at once, wait for the answers")
    }
    /// More connections in a minute than one network may open.
    pub fn connecting_too_often() -> Self {
        Self::transient(21, (7, 0), "too many connections in a minute from your network, try again later")
    }
    /// More messages in an hour than one network may bring.
    pub fn too_many_messages() -> Self {
        Self::transient(50, (7, 1), "too many messages in an hour from your network, try again later")
    }
    /// More recipients in an hour than one network may name.
    pub fn too_many_recipients_in_an_hour() -> Self {
        Self::transient(50, (7, 1), "too many recipients in an hour from your network, try again later")
    }
    /// More recipients that do not exist than one network may name in an hour: it looks like a search for those that do.
    pub fn too_many_unknown_recipients() -> Self {
        Self::transient(50, (7, 1), "too many unknown recipients in an hour from your network, try again later")
    }
    /// More recipients than one message may have: the rest in another transaction (RFC 5321 §4.5.3.1.10).
    pub fn too_many_recipients() -> Self {
        Self::transient(52, (5, 3), "too many recipients, send the rest separately")
    }

    /// Not a command.
    pub fn unknown_command() -> Self {
        Self::permanent(0, (5, 1), "unknown command")
    }
    /// A command that we know and do not have.
    pub fn not_implemented() -> Self {
        Self::permanent(2, (5, 1), "command not implemented")
    }
    /// The command does not fit here.
    pub fn bad_sequence(text: &'static str) -> Self {
        Self::permanent(3, (5, 1), text)
    }
    /// The command's arguments are wrong.
    pub fn bad_arguments(text: &'static str) -> Self {
        Self::permanent(1, (5, 4), text)
    }
    /// A MAIL or RCPT parameter that we do not have (RFC 5321 §4.1.1.11).
    pub fn unknown_parameter() -> Self {
        Self::permanent(55, (5, 4), "parameter not implemented")
    }
    /// MAIL FROM without an address.
    pub fn bad_sender(text: &'static str) -> Self {
        Self::permanent(1, (1, 7), text)
    }
    /// RCPT TO without an address.
    pub fn bad_recipient(text: &'static str) -> Self {
        Self::permanent(1, (1, 3), text)
    }
    /// A non-ASCII address without SMTPUTF8 (RFC 6531 §3.5).
    pub fn needs_smtputf8() -> Self {
        Self::permanent(53, (6, 7), "a non-ASCII address needs SMTPUTF8")
    }
    /// No recipient was accepted.
    pub fn no_recipients() -> Self {
        Self::permanent(54, (5, 1), "no valid recipients")
    }
    /// More octets than a message may have (RFC 1870 §6.1).
    pub fn message_too_large() -> Self {
        Self::permanent(52, (3, 4), "message too large")
    }
    /// A command line longer than we read (RFC 5321 §4.5.3.1.9).
    pub fn line_too_long() -> Self {
        Self::permanent(0, (5, 2), "line too long")
    }
    /// A bare CR, a bare LF or a NUL among the commands.
    pub fn bad_line() -> Self {
        Self::permanent(0, (5, 2), "lines end with CRLF and hold no NUL")
    }
    /// A command that is not UTF-8.
    pub fn not_utf8() -> Self {
        Self::permanent(0, (5, 2), "command is not UTF-8")
    }
    /// A bare CR, a bare LF or a NUL in a message.
    pub fn bad_content() -> Self {
        Self::permanent(50, (6, 0), "message has a bare CR, a bare LF or a NUL")
    }
    /// The client spoke before it was its turn.
    pub fn spoke_too_early() -> Self {
        Self::permanent(54, (5, 1), "you spoke before it was your turn")
    }
}

/// Why what another server sent is not a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidReply {
    /// Not three digits from 200 to 599 and a space, hyphen or line end.
    #[error("reply has no valid code")]
    Code,
    /// The lines of one reply have different codes.
    #[error("lines of one reply have different codes")]
    CodeChanged,
    /// More than [`REPLY_OCTETS_MAX`].
    #[error("reply is longer than {REPLY_OCTETS_MAX} octets")]
    TooLong,
}

/// Reads replies of another server from pieces of any size.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// The line so far, as far as it is kept.
    line: Vec<u8>,
    /// Octets of the reply so far, kept or not.
    octets: usize,
    reply: Option<Partial>,
}

#[derive(Debug)]
struct Partial {
    code: u16,
    enhanced: Option<EnhancedStatus>,
    text: String,
    lines: usize,
}

impl ReplyReader {
    /// Takes octets from the front of `input` up to the end of one reply. `None` means that all was taken and more is
    /// needed. After an error the connection is of no further use.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, InvalidReply> {
        while let Some(line) = self.next_line(input)? {
            let parsed = Line::parse(&line)?;
            let last = parsed.last;
            self.add(parsed)?;
            if last {
                self.octets = 0;
                return Ok(self.reply.take().map(Partial::into_reply));
            }
        }
        Ok(None)
    }

    /// Whether part of a reply has come in.
    pub fn is_midway(&self) -> bool {
        self.reply.is_some() || !self.line.is_empty()
    }

    /// One line without its end. A bare LF also ends a line: nothing can be smuggled by a reply.
    fn next_line(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, InvalidReply> {
        let end = memchr::memchr(b'\n', input);
        let taken = end.map_or(input.len(), |at| at + 1);
        self.octets += taken;
        if self.octets > REPLY_OCTETS_MAX {
            return Err(InvalidReply::TooLong);
        }
        let (head, rest) = input.split_at(taken);
        let room = REPLY_LINE_OCTETS_MAX - self.line.len();
        self.line.extend_from_slice(&head[..taken.min(room)]);
        *input = rest;
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    fn add(&mut self, line: Line) -> Result<(), InvalidReply> {
        let Some(reply) = &mut self.reply else {
            self.reply = Some(Partial { code: line.code, enhanced: line.enhanced, text: line.text, lines: 1 });
            return Ok(());
        };
        if reply.code != line.code {
            return Err(InvalidReply::CodeChanged);
        }
        if reply.lines == REPLY_LINES_MAX {
            return Ok(());
        }
        reply.lines += 1;
        reply.enhanced = reply.enhanced.or(line.enhanced);
        reply.text.push('\n');
        reply.text.push_str(&line.text);
        Ok(())
    }
}

impl Partial {
    fn into_reply(self) -> Reply {
        Reply { code: self.code, enhanced: self.enhanced, text: self.text.into() }
    }
}

/// One line of a reply.
struct Line {
    code: u16,
    last: bool,
    enhanced: Option<EnhancedStatus>,
    text: String,
}

impl Line {
    fn parse(line: &[u8]) -> Result<Self, InvalidReply> {
        let (code, rest) = line.split_at_checked(3).ok_or(InvalidReply::Code)?;
        if !code.iter().all(u8::is_ascii_digit) {
            return Err(InvalidReply::Code);
        }
        let code = code.iter().fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        if !(200..=599).contains(&code) {
            return Err(InvalidReply::Code);
        }
        let (last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(InvalidReply::Code),
        };
        let text: String =
            String::from_utf8_lossy(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let (enhanced, text) = split_status(code, &text);
        Ok(Self { code, last, enhanced, text: text.to_owned() })
    }
}

/// Splits the enhanced status from the front of a line. One that contradicts the code stays in the text: it is not to
/// be believed.
fn split_status(code: u16, text: &str) -> (Option<EnhancedStatus>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match parse_status(word) {
        Some(status) if u16::from(status.class) == code / 100 => (Some(status), rest.trim_start()),
        _ => (None, text),
    }
}

fn parse_status(word: &str) -> Option<EnhancedStatus> {
    let mut numbers = word.split('.');
    let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
    if numbers.next().is_some() || !matches!(class, "2" | "4" | "5") {
        return None;
    }
    Some(EnhancedStatus { class: class.parse().ok()?, subject: up_to_999(subject)?, detail: up_to_999(detail)? })
}

fn up_to_999(digits: &str) -> Option<u16> {
    let valid = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn read(text: &str) -> Result<Option<Reply>, InvalidReply> {
        ReplyReader::default().read(&mut text.as_bytes())
    }

    #[test]
    fn one_line_and_several() {
        assert_eq!(written(&Reply::ok()), "250 2.0.0 ok\r\n");
        assert_eq!(written(&Reply::start_data()), "354 end with a dot on a line of its own\r\n");
        assert_eq!(
            written(&Reply::hello("mx.example\nSIZE 1\n8BITMIME".into())),
            "250-mx.example\r\n250-SIZE 1\r\n250 8BITMIME\r\n"
        );
    }

    #[test]
    fn text_cannot_make_a_second_reply() {
        let reply = Reply::new(Severity::Permanent, 50, Some((1, 1)), "no\r\n250 ok\u{0}é");
        assert_eq!(written(&reply), "550-5.1.1 no \r\n550 5.1.1 250 ok ??\r\n");
        let long = Reply::new(Severity::Permanent, 50, Some((111, 111)), "x".repeat(3_000));
        assert!(written(&long).len() <= 512);
        assert_eq!(
            written(&Reply::new(Severity::Positive, 50, None, "\n".repeat(200))).lines().count(),
            REPLY_LINES_MAX
        );
    }

    #[test]
    fn replies_are_read() {
        let reply = read("550-5.7.515 no\r\n550 5.7.515 entry\r\n").unwrap().unwrap();
        assert_eq!(reply.code(), 550);
        assert_eq!(reply.enhanced(), Some(EnhancedStatus { class: 5, subject: 7, detail: 515 }));
        assert_eq!(reply.text(), "no\nentry");
        assert_eq!(reply.to_string(), "550 5.7.515 no entry");
        assert_eq!(read("250\r\n").unwrap().unwrap().text(), "");
        assert_eq!(read("250 ok\n").unwrap().unwrap().text(), "ok");
        assert_eq!(read("250-ok\r\n"), Ok(None));
    }

    #[test]
    fn a_contradicting_status_is_only_text() {
        let reply = read("550 2.1.5 fine\r\n").unwrap().unwrap();
        assert_eq!((reply.enhanced(), reply.text()), (None, "2.1.5 fine"));
        for text in ["5.1", "5.1.1.1", "5.1.1000", "5..1", "5.+1.1", "3.1.1"] {
            assert_eq!(read(&format!("550 {text}\r\n")).unwrap().unwrap().enhanced(), None, "{text}");
        }
    }

    #[test]
    fn bad_replies() {
        for (text, error) in [
            ("25\r\n", InvalidReply::Code),
            ("\r\n", InvalidReply::Code),
            ("150 x\r\n", InvalidReply::Code),
            ("600 x\r\n", InvalidReply::Code),
            ("2x0 x\r\n", InvalidReply::Code),
            ("2500 x\r\n", InvalidReply::Code),
            ("250-a\r\n550 b\r\n", InvalidReply::CodeChanged),
        ] {
            assert_eq!(read(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn what_is_too_much_is_cut_and_the_answer_holds() {
        let line = |octets: usize| format!("550 5.1.1 {}\r\n", "x".repeat(octets - 12));
        let text = |octets| read(&line(octets)).unwrap().unwrap().text().len();
        assert_eq!([text(2_047), text(2_048), text(2_049), text(60_000)], [2_035, 2_036, 2_037, 2_038]);
        let lines = |count: usize| format!("{}250 x\r\n", "250-x\r\n".repeat(count - 1));
        let text = |count| read(&lines(count)).unwrap().unwrap().text().lines().count();
        assert_eq!([text(63), text(64), text(65), text(9_000)], [63, 64, 64, 64]);
        let two = format!("{}{}", lines(9_000), line(60_000));
        let (mut reader, mut rest) = (ReplyReader::default(), two.as_bytes());
        assert_eq!(reader.read(&mut rest).unwrap().unwrap().code(), 250);
        assert_eq!(reader.read(&mut rest).unwrap().unwrap().code(), 550, "each has the whole of it");
        let changed = lines(9_000).replace("250 x", "550 x");
        assert_eq!(read(&changed), Err(InvalidReply::CodeChanged));
    }

    #[test]
    fn a_reply_without_end_is_none() {
        let exactly = format!("250 {}\r\n", "x".repeat(REPLY_OCTETS_MAX - 6));
        assert!(read(&exactly).unwrap().is_some());
        assert_eq!(read(&format!("250 x{}", &exactly[4..])), Err(InvalidReply::TooLong));
        let mut reader = ReplyReader::default();
        let piece = b"250-x\r\n".repeat(1_000);
        let end = (0..100).find_map(|_| reader.read(&mut &piece[..]).err());
        assert_eq!(end, Some(InvalidReply::TooLong));
        assert!(reader.line.capacity() <= 2 * REPLY_LINE_OCTETS_MAX);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_in_any_pieces(code in 0_u8..60, status in proptest::option::of((0_u16..1000, 0_u16..1000)),
            text in "[a-z ]{0,20}(\n[a-z ]{0,20}){0,5}", cuts in proptest::collection::vec(1_usize..9, 1..40)) {
            let reply = Reply::new(Severity::Permanent, code, status, text);
            let mut wire = Vec::new();
            reply.write_to(&mut wire);
            let (mut reader, mut rest, mut got) = (ReplyReader::default(), &wire[..], None);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (mut piece, after) = rest.split_at((*cut).min(rest.len()));
                rest = after;
                got = got.or(reader.read(&mut piece).unwrap());
            }
            let got = got.unwrap();
            prop_assert_eq!((got.code(), got.enhanced()), (reply.code(), reply.enhanced()));
        }
    }
}
