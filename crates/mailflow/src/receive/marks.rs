//! What kind of mail a message is for a mailbox. A mark calls for care; none is no reason to trust.

use super::Arrival;
use crate::platform::Platform;
use postfleet_core::marks::{Marks, NameMismatch};
use postfleet_core::{Domain, Problem};
use postfleet_mail::display_name;
use postfleet_mail::message::MessageView;
use postfleet_store::grants::Mailbox;
use postfleet_store::{Reader, correspondents, domains, grants};

/// Marks a message for one mailbox.
pub(super) async fn mark(
    platform: &Platform,
    arrival: &Arrival,
    view: &MessageView,
    mailbox: &Mailbox,
) -> Result<Marks, Problem> {
    let mut reader = platform.store.reader().await?;
    let authors: Vec<String> = view.from.iter().map(|author| author.email.clone()).collect();
    let automation = &view.automation;
    Ok(Marks {
        is_first_contact: !correspondents::knows(&mut reader, mailbox.grant_id, &authors).await?,
        is_automated: automation.auto_submitted.is_some(),
        is_list: automation.is_list,
        is_bulk: automation.is_bulk,
        display_name_mismatch: name_mismatch(&mut reader, arrival, view, mailbox).await?,
    })
}

/// How the name of the author misleads. What a mailbox here wrote has the name that it was given.
async fn name_mismatch(
    reader: &mut Reader<'_>,
    arrival: &Arrival,
    view: &MessageView,
    mailbox: &Mailbox,
) -> Result<Option<NameMismatch>, Problem> {
    if arrival.is_local() {
        return Ok(None);
    }
    let found = display_name::mismatch(&view.from);
    if matches!(found, Some(NameMismatch::Address | NameMismatch::Domain)) {
        return Ok(found);
    }
    Ok(if borrows(reader, view, mailbox).await? { Some(NameMismatch::Impersonation) } else { found })
}

/// Whether somebody from elsewhere shows the name of a mailbox or of the organization.
async fn borrows(reader: &mut Reader<'_>, view: &MessageView, mailbox: &Mailbox) -> Result<bool, Problem> {
    let Some(shown) = view.from.iter().find(|author| !author.name.is_empty()) else { return Ok(false) };
    let typed = display_name::as_typed(&shown.name);
    let names = grants::names_around(reader, mailbox.application_id, mailbox.grant_id, &typed).await?;
    if !display_name::borrows(&view.from, names.iter().map(String::as_str)) {
        return Ok(false);
    }
    let domain = shown.email.rsplit_once('@').and_then(|(_, domain)| Domain::parse(domain).ok());
    Ok(match domain {
        Some(domain) => !domains::is_ours(reader, &domain).await?,
        None => true,
    })
}
