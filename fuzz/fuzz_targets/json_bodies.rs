//! What a client sends as JSON. Reading it must never panic; what is accepted as a message must compose, or be refused
//! with a field, and never gain a header field that the server did not write.

#![no_main]

use libfuzzer_sys::fuzz_target;
use postfleet_core::UnixMicros;
use postfleet_mail::compose::{Compose, compose};
use postfleet_mail::{Participant, message};
use postfleet_schema::grant::CreateGrant;
use postfleet_schema::message as schema;
use postfleet_schema::rule::{CreateRule, UpdateRule};
use postfleet_schema::send::SendRequest;
use postfleet_schema::webhook::{CreateWebhook, UpdateWebhook};

fn people(people: Vec<schema::Participant>) -> Vec<Participant> {
    people.into_iter().map(|person| Participant { name: person.name, email: person.email }).collect()
}

fuzz_target!(|octets: &[u8]| {
    let _ = serde_json::from_slice::<CreateGrant>(octets);
    let _ = serde_json::from_slice::<CreateRule>(octets);
    let _ = serde_json::from_slice::<UpdateRule>(octets);
    let _ = serde_json::from_slice::<CreateWebhook>(octets);
    let _ = serde_json::from_slice::<UpdateWebhook>(octets);
    let Ok(request) = serde_json::from_slice::<SendRequest>(octets) else { return };
    let subject = request.subject.unwrap_or_default();
    let composed = compose(&Compose {
        from: Participant { name: "Agent".into(), email: "agent@acme.test".into() },
        to: people(request.to),
        cc: people(request.cc),
        bcc: people(request.bcc),
        reply_to: people(request.reply_to),
        subject: subject.clone(),
        body: request.body.unwrap_or_default(),
        is_plaintext: request.is_plaintext.unwrap_or(false),
        attachments: Vec::new(),
        in_reply_to: None,
        references: Vec::new(),
        custom_headers: request.custom_headers.into_iter().map(|header| (header.name, header.value)).collect(),
        date: UnixMicros::from_seconds(1_772_445_600),
        message_id: "id@acme.test".into(),
        boundary_seed: [7; 16],
    });
    match composed {
        Err(error) => assert!(!error.field.is_empty() && !error.reason.is_empty()),
        Ok(raw) => {
            let count = |name: &str| {
                message::headers(&raw).iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).count()
            };
            assert_eq!((count("From"), count("Subject"), count("Message-ID")), (1, 1, 1));
            assert_eq!(count("Bcc"), 0);
            assert_eq!(message::view(&raw).from[0].email, "agent@acme.test");
        }
    }
});
