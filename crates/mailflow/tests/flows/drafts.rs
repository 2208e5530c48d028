//! Drafts that a mail client wrote: they are shown, sent as they stand, and may be changed through the interface.

use crate::support::Setting;
use postfleet_core::folder::SystemFolder;
use postfleet_core::id::{BlobId, EventId, MessageId, ThreadId};
use postfleet_core::{Patch, Problem};
use postfleet_mail::message as mail;
use postfleet_mailbox::summary::Summary;
use postfleet_mailbox::view::Fields;
use postfleet_mailbox::{drafts as mailbox, filing};
use postfleet_mailflow::drafts::{self, Dispatched, DraftChange};
use postfleet_mailflow::submit::Sent;
use postfleet_store::drafts::{CreateDraft, CreateOutcome};
use postfleet_store::messages::MailboxCopy;
use postfleet_testkit::world::WorldOptions;

/// Puts a draft into the mailbox as it stands, as a mail client does.
async fn put(setting: &Setting, raw: &str) -> MessageId {
    let platform = &setting.world.platform;
    let (now, entropy) = (platform.clock.now(), &platform.entropy);
    let blob = platform.store.blobs().prepare(BlobId::new(now, entropy.ten()), raw.as_bytes()).await.expect("body");
    let summary = Summary::of(&mail::view(raw.as_bytes()));
    let facts = filing::draft(summary, raw.len() as u64, now, false, SystemFolder::Drafts.id());
    let copy = MailboxCopy {
        grant_id: setting.agent.id,
        application_id: setting.agent.application_id,
        message_id: MessageId::new(now, entropy.ten()),
        new_thread_id: ThreadId::new(now, entropy.ten()),
        event_id: EventId::new(now, entropy.ten()),
    };
    let command = CreateDraft { blob, facts, copy, thread_id: None, starred: false, schedule: None, answer: None };
    let outcome = platform.store.run(command).await.expect("create");
    assert!(matches!(outcome, CreateOutcome::Created(_)), "{outcome:?}");
    copy.message_id
}

async fn send(setting: &Setting, id: MessageId) -> Result<Sent, Problem> {
    match drafts::send(&setting.world.platform, &setting.agent, id, (Fields::IncludeHeaders, None), None, None).await? {
        Dispatched::Sent(sent) => Ok(sent),
        Dispatched::Scheduled(scheduled) => panic!("{scheduled:?}"),
    }
}

const BY_A_CLIENT: &str = "From: Agent <agent@acme.test>\r\nTo: Ada <ada@null.test>\r\nBcc: dee@null.test\r\n\
    Date: Sun, 1 Mar 2026 08:00:00 +0000\r\nMessage-ID: <by-client@acme.test>\r\nX-Mailer: Client 7\r\n\
    Subject: By hand\r\n\r\nplain\r\ntext\r\n";

#[tokio::test]
async fn a_draft_of_a_mail_client_is_sent_as_it_stands() {
    let setting = Setting::with(WorldOptions::default()).await;
    let id = put(&setting, BY_A_CLIENT).await;
    let shown = mailbox::find(&setting.world.platform.store, setting.agent.id, id).await.expect("draft");
    assert_eq!((shown.object, shown.subject.as_str(), shown.bcc.len()), ("draft", "By hand", 1));
    let sent = send(&setting, id).await.expect("sent").message;
    let headers = sent.headers.as_ref().expect("headers");
    let value = |name: &str| headers.iter().find(|header| header.name == name).map(|header| header.value.as_str());
    assert_eq!((value("X-Mailer"), value("Message-ID")), (Some("Client 7"), Some("<by-client@acme.test>")));
    assert_eq!((value("Date"), value("Bcc")), (Some("Mon, 2 Mar 2026 10:00:00 +0000"), None));
    assert_eq!((sent.bcc.len(), sent.body.as_deref()), (1, Some("plain\r\ntext\r\n")));
    let mut recipients: Vec<_> = Vec::new();
    for delivery in postfleet_mailflow::deliver::claim(&setting.world.platform, 10).await.expect("claim") {
        recipients.push(format!("{delivery:?}"));
    }
    assert!(recipients.join("").contains("ada@null.test") && recipients.join("").contains("dee@null.test"));
}

#[tokio::test]
async fn it_is_changed_through_the_interface_and_stays_plain_text() {
    let setting = Setting::with(WorldOptions::default()).await;
    let id = put(&setting, BY_A_CLIENT).await;
    let change = DraftChange { subject: Patch::Set("Reviewed".into()), ..DraftChange::default() };
    let changed = drafts::update(&setting.world.platform, &setting.agent, id, change).await.expect("changed");
    assert_eq!((changed.subject.as_str(), changed.body.as_deref()), ("Reviewed", Some("plain\r\ntext\r\n")));
    assert_eq!((changed.to.len(), changed.bcc.len(), changed.from[0].name.as_str()), (1, 1, "Agent"));
    send(&setting, id).await.expect("sent");
}

#[tokio::test]
async fn a_draft_in_the_name_of_somebody_else_is_not_sent() {
    let setting = Setting::with(WorldOptions::default()).await;
    let id = put(&setting, &BY_A_CLIENT.replace("agent@acme.test", "boss@acme.test")).await;
    let refused = send(&setting, id).await.expect_err("refused");
    assert_eq!(refused.field.as_deref(), Some("from"), "{refused}");
    let id = put(&setting, &BY_A_CLIENT.replace("To: Ada <ada@null.test>", "To: x To: ada@null.test")).await;
    let refused = send(&setting, id).await.expect_err("refused");
    assert_eq!(refused.field.as_deref(), Some("draft"), "{refused}");
}
