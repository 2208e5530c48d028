//! The header fields by which a reader wants no more mail (RFC 2369, RFC 8058). They are signed with the rest.

use super::Outgoing;
use crate::platform::Platform;
use postfleet_core::id::MessageId;
use postfleet_core::{EmailAddress, Problem, ProblemKind};
use postfleet_fleet::unsubscribe::{self, Link};
use postfleet_store::grants::Grant;

/// Adds the fields, if the message asks for them. The link says who follows it, so there must be one recipient; and it
/// must lead somewhere, so the installation must know its own address.
pub(super) fn ask(
    platform: &Platform,
    grant: &Grant,
    message_id: MessageId,
    recipients: &[EmailAddress],
    outgoing: &mut Outgoing,
) -> Result<(), Problem> {
    if !outgoing.has_unsubscribe_link {
        return Ok(());
    }
    let refuse = |text: &str| Err(Problem::invalid("list_unsubscribe", format!("list_unsubscribe: {text}")));
    let Some(public_url) = &platform.settings.public_url else {
        let text = "list_unsubscribe: this installation has no public address (server.public_url) for the link";
        let problem = Problem::new(ProblemKind::Invalid, "public_url_not_configured", text);
        return Err(Problem { field: Some("list_unsubscribe".into()), ..problem });
    };
    let [recipient] = recipients else {
        return refuse("the message must have exactly one recipient over to, cc and bcc: the link is theirs alone");
    };
    let is_own =
        |name: &str| ["list-unsubscribe", "list-unsubscribe-post"].contains(&name.to_ascii_lowercase().as_str());
    if outgoing.custom_headers.iter().any(|(name, _)| is_own(name)) {
        return refuse("custom_headers must not have List-Unsubscribe as well");
    }
    let link =
        Link { application_id: grant.application_id, grant_id: grant.id, message_id, recipient: recipient.clone() };
    let token = unsubscribe::sign(&platform.keys, &link)?;
    let url = format!("<{public_url}/v3/unsubscribe/{token}>");
    outgoing.custom_headers.push(("List-Unsubscribe".to_owned(), url));
    outgoing.custom_headers.push(("List-Unsubscribe-Post".to_owned(), "List-Unsubscribe=One-Click".to_owned()));
    Ok(())
}
