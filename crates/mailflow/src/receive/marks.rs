//! What kind of mail a message is for a mailbox. A mark calls for care; none is no reason to trust.

use super::Arrival;
use postfleet_core::marks::{Marks, NameMismatch};
use postfleet_core::{Domain, Problem};
use postfleet_mail::display_name;
use postfleet_mail::message::MessageView;
use postfleet_store::acquaintance::Acquaintance;
use postfleet_store::grants::Mailbox;
use postfleet_store::{Reader, domains};

/// What the names of the authors show, whoever gets the message.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// How they mislead by themselves.
    mismatch: Option<NameMismatch>,
    /// The name that somebody here might have, as it is looked for.
    pub(super) typed: Option<String>,
}

/// Looks at the names of the authors. What a mailbox here wrote has the name that it was given.
pub(super) fn names(arrival: &Arrival, view: &MessageView) -> Names {
    if arrival.is_local() {
        return Names::default();
    }
    let mismatch = display_name::mismatch(&view.from);
    let is_worse = matches!(mismatch, Some(NameMismatch::Address | NameMismatch::Domain));
    let shown = view.from.iter().find(|author| !author.name.is_empty()).filter(|_| !is_worse);
    Names { mismatch, typed: shown.map(|author| display_name::as_typed(&author.name)) }
}

/// Marks a message for one mailbox.
pub(super) async fn mark(
    reader: &mut Reader<'_>,
    view: &MessageView,
    names: &Names,
    (mailbox, acquaintance): (&Mailbox, &Acquaintance),
) -> Result<Marks, Problem> {
    let automation = &view.automation;
    let namesake = acquaintance.namesake.as_deref();
    let is_borrowed = names.typed.is_some() && borrows(reader, view, mailbox, namesake).await?;
    Ok(Marks {
        is_first_contact: !acquaintance.knows_all,
        is_automated: automation.auto_submitted.is_some(),
        is_list: automation.is_list,
        is_bulk: automation.is_bulk,
        display_name_mismatch: if is_borrowed { Some(NameMismatch::Impersonation) } else { names.mismatch },
    })
}

/// Whether somebody from elsewhere shows the name of a mailbox or of the organization.
async fn borrows(
    reader: &mut Reader<'_>,
    view: &MessageView,
    mailbox: &Mailbox,
    namesake: Option<&str>,
) -> Result<bool, Problem> {
    if !display_name::borrows(&view.from, mailbox.names.iter().map(String::as_str).chain(namesake)) {
        return Ok(false);
    }
    let shown = view.from.iter().find(|author| !author.name.is_empty());
    let domain =
        shown.and_then(|author| author.email.rsplit_once('@')).and_then(|(_, domain)| Domain::parse(domain).ok());
    Ok(match domain {
        Some(domain) => !domains::is_ours(reader, &domain).await?,
        None => true,
    })
}
