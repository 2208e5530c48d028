//! The header fields by which a reader wants no more mail (RFC 2369, RFC 8058): a link and an address, both theirs alone.
//! They are signed with the rest.

use crate::platform::Platform;
use postfleet_core::id::MessageId;
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_fleet::unsubscribe::{self, Link};
use postfleet_store::grants::Grant;

/// The fields, which a message must not have otherwise.
const LINK: &str = "List-Unsubscribe";
const POST: &str = "List-Unsubscribe-Post";

/// Whether a message may have the fields. The link says who follows it, so there must be one recipient; and it must lead
/// somewhere, so the installation must know its own address.
pub(crate) fn check<'a>(
    platform: &Platform,
    recipients: &[EmailAddress],
    mut names: impl Iterator<Item = &'a str>,
) -> Result<(), Problem> {
    let refuse = |text: &str| Err(Problem::invalid("list_unsubscribe", format!("list_unsubscribe: {text}")));
    if platform.settings.public_url.is_none() {
        let text = "list_unsubscribe: this installation has no public address (server.public_url) for the link";
        let problem = Problem::new(ProblemKind::Invalid, "public_url_not_configured", text);
        return Err(Problem { field: Some("list_unsubscribe".into()), ..problem });
    }
    if recipients.len() != 1 {
        return refuse("the message must have exactly one recipient over to, cc and bcc: the link is theirs alone");
    }
    if names.any(|name| name.eq_ignore_ascii_case(LINK) || name.eq_ignore_ascii_case(POST)) {
        return refuse("custom_headers must not have List-Unsubscribe as well");
    }
    Ok(())
}

/// The fields of a message, in their order: the link first, for those who look at one only.
pub(crate) fn fields(
    platform: &Platform,
    grant: &Grant,
    message_id: MessageId,
    recipients: &[EmailAddress],
) -> Result<Vec<(String, String)>, Problem> {
    let ([recipient], Some(public_url)) = (recipients, &platform.settings.public_url) else { return Ok(Vec::new()) };
    let link =
        Link { application_id: grant.application_id, grant_id: grant.id, message_id, recipient: recipient.clone() };
    let token = unsubscribe::sign(&platform.keys, &link)?;
    let addresses = platform.keys.unsubscribe_addresses();
    let address = addresses.make(message_id, grant.email.domain()).ok_or_else(|| Problem::internal("no address"))?;
    let ways = format!("<{public_url}/v3/unsubscribe/{token}>, <mailto:{address}?subject=unsubscribe>");
    let post = "List-Unsubscribe=One-Click".to_owned();
    Ok(vec![(LINK.to_owned(), ways), (POST.to_owned(), post)])
}

/// A message that is written already, with the fields on top.
pub(crate) fn on_top(raw: &[u8], fields: &[(String, String)]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(raw.len() + 1_024);
    for (name, value) in fields {
        whole.extend_from_slice(format!("{name}: {}\r\n", value.replace(", ", ",\r\n ")).as_bytes());
    }
    whole.extend_from_slice(raw);
    whole
}
