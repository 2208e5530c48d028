//! A message that comes in, as a request describes it: the message itself or what it would have, its envelope, and the client
//! that brings it.

use postfleet_core::id::ApplicationId;
use postfleet_core::{EmailAddress, Problem, ReversePath, UnixMicros};
use postfleet_mail::compose::{self, Attachment, Compose};
use postfleet_mail::trace::Protocol;
use postfleet_mail::{Participant, message};
use postfleet_mailflow::Platform;
use postfleet_mailflow::receive::Arrival;
use postfleet_mailflow::receive::foresee::Question;
use postfleet_mailflow::submit::files::unpack;
use postfleet_schema::foresight::{ExplainInbound, InboundFile, InboundMessage};
use postfleet_schema::message as schema;
use postfleet_store::grants::{self, Grant};
use std::net::{IpAddr, Ipv4Addr};

/// Files that a message may be described to have, and octets of all of them.
const FILES_MAX: usize = 100;
const FILES_OCTETS_MAX: u64 = 10 << 20;

/// Characters of what a client calls itself (RFC 5321 §4.5.3.1.2).
const HELO_CHARS_MAX: usize = 255;

/// Reads what is asked about.
pub(crate) async fn question(
    platform: &Platform,
    application: ApplicationId,
    grant: &Grant,
    request: ExplainInbound,
) -> Result<Question, Problem> {
    let ExplainInbound { raw, message, mail_from, ip, helo, size } = request;
    let now = platform.clock.now();
    let message = match (raw, message) {
        (Some(raw), None) => transferred(&raw)?,
        (None, Some(message)) => written(message, grant, now)?,
        _ => return Err(Problem::invalid("message", "message or raw must be given, and not both")),
    };
    let reverse_path = reverse_path(mail_from, &message)?;
    let is_extended = true;
    let (ip, helo, protocol) = match ip {
        Some(ip) => {
            let ip = ip.parse::<IpAddr>().map_err(|_| Problem::invalid("ip", "ip must be an IPv4 or IPv6 address"))?;
            (ip, greeting(helo, ip)?, Protocol { is_extended, ..Protocol::default() })
        }
        None => {
            check_local(platform, application, &reverse_path).await?;
            let protocol = Protocol { is_extended, is_authenticated: true, ..Protocol::default() };
            (IpAddr::V4(Ipv4Addr::LOCALHOST), platform.settings.hostname.to_string(), protocol)
        }
    };
    let octets = size.unwrap_or(0).max(message.len() as u64);
    let arrival = Arrival { reverse_path, recipients: Vec::new(), helo, ip, protocol, message };
    Ok(Question { arrival, grant_id: grant.id, recipient: grant.email.clone(), octets })
}

/// Without the address of a client, a mailbox of the application sends it.
async fn check_local(platform: &Platform, application: ApplicationId, sender: &ReversePath) -> Result<(), Problem> {
    let found = match sender.mailbox() {
        Some(sender) => grants::find_email(&mut platform.store.reader().await?, application, sender).await?,
        None => None,
    };
    let text = "ip must be given: mail_from is no mailbox of this application, so that a client brings the message";
    found.map(|_| ()).ok_or_else(|| Problem::invalid("ip", text))
}

/// What a client calls itself.
fn greeting(helo: Option<String>, ip: IpAddr) -> Result<String, Problem> {
    match helo.filter(|helo| !helo.is_empty()) {
        None if ip.is_ipv4() => Ok(format!("[{ip}]")),
        None => Ok(format!("[IPv6:{ip}]")),
        Some(helo) if helo.len() <= HELO_CHARS_MAX && helo.bytes().all(|octet| octet.is_ascii_graphic()) => Ok(helo),
        Some(_) => {
            let text = format!("helo must have at most {HELO_CHARS_MAX} printable ASCII characters, and no spaces");
            Err(Problem::invalid("helo", text))
        }
    }
}

/// The envelope sender: the one that is named, or the first author.
fn reverse_path(mail_from: Option<String>, raw: &[u8]) -> Result<ReversePath, Problem> {
    let parsed = match mail_from.as_deref() {
        Some("") => return Ok(ReversePath::Null),
        Some(text) => {
            EmailAddress::parse(text).map_err(|error| format!("mail_from must be an email address or empty: {error}"))
        }
        None => {
            let author = message::view(raw).from.into_iter().next();
            let address = author.and_then(|author| EmailAddress::parse(&author.email).ok());
            address
                .ok_or_else(|| "mail_from must be given: the message names no author with an email address".to_owned())
        }
    };
    parsed.map(ReversePath::Mailbox).map_err(|text| Problem::invalid("mail_from", text))
}

/// A message as it is transferred. A file from a disk may have lines that end with LF alone.
fn transferred(raw: &str) -> Result<Vec<u8>, Problem> {
    let octets = unpack(raw).map_err(|error| Problem::invalid("raw", format!("raw is not base64: {error}")))?;
    if octets.contains(&b'\r') {
        return Ok(octets);
    }
    let mut lines = Vec::with_capacity(octets.len() + octets.len() / 32);
    for octet in octets {
        match octet {
            b'\n' => lines.extend_from_slice(b"\r\n"),
            octet => lines.push(octet),
        }
    }
    Ok(lines)
}

/// A message of which it is said what it would have.
fn written(message: InboundMessage, grant: &Grant, now: UnixMicros) -> Result<Vec<u8>, Problem> {
    let InboundMessage { from, to, subject, body, is_plaintext, in_reply_to, attachments } = message;
    let domain = from.email.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let in_reply_to = in_reply_to.map(|id| id.trim_matches(['<', '>']).to_owned()).filter(|id| !id.is_empty());
    if in_reply_to.as_ref().is_some_and(|id| !id.bytes().all(|octet| octet.is_ascii_graphic())) {
        let text = "message.in_reply_to must be a Message-ID: printable ASCII without spaces";
        return Err(Problem::invalid("message.in_reply_to", text));
    }
    let to = match to.is_empty() {
        true => vec![Participant { name: String::new(), email: grant.email.to_string() }],
        false => to.into_iter().map(person).collect(),
    };
    let whole = Compose {
        message_id: format!("{}@{domain}", now.as_micros()),
        from: person(from),
        to,
        subject,
        body,
        is_plaintext,
        references: in_reply_to.iter().cloned().collect(),
        in_reply_to,
        attachments: files(attachments)?,
        date: now,
        ..Compose::default()
    };
    compose::compose(&whole).map_err(|error| {
        let field = format!("message.{}", error.field);
        Problem::invalid(&field, format!("{field}: {}", error.reason))
    })
}

fn person(one: schema::Participant) -> Participant {
    Participant { name: one.name, email: one.email }
}

fn files(files: Vec<InboundFile>) -> Result<Vec<Attachment>, Problem> {
    const FIELD: &str = "message.attachments";
    if files.len() > FILES_MAX {
        return Err(Problem::invalid(FIELD, format!("{FIELD} must have at most {FILES_MAX} files")));
    }
    let octets = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.size));
    if octets > FILES_OCTETS_MAX {
        return Err(Problem::invalid(FIELD, format!("{FIELD} must have at most {FILES_OCTETS_MAX} bytes together")));
    }
    let zeros = |file: InboundFile| Attachment {
        filename: file.filename,
        content_type: file.content_type,
        content: vec![0; file.size as usize],
        ..Attachment::default()
    };
    Ok(files.into_iter().map(zeros).collect())
}
