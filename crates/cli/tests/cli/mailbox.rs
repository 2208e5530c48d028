//! Mail from files into mailboxes and back: the same octets, however often it is interrupted.

use crate::server::{Installation, Ran, type_in};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const MESSAGES: usize = 30;

/// An mbox file as the product writes it: CRLF, lines that begin with `From `, 8-bit octets.
fn mbox() -> Vec<u8> {
    let mut file = Vec::new();
    for number in 0..MESSAGES {
        // A second apart, the day before the world begins.
        let head = format!("From MAILER-DAEMON Sun Mar  1 10:00:{number:02} 2026\nSubject: {number}\r\n\r\n");
        file.extend_from_slice(head.as_bytes());
        file.extend_from_slice(
            b">From me\r\n>>From you\r\n\r\n>From a@b Mon Mar  2 10:00:05 2026\r\n\xe9\xff\x00\r\n\n",
        );
    }
    file
}

async fn run(installation: &Installation, words: &[&str]) -> Ran {
    let words: Vec<String> = ["postfleet", "mailbox"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    type_in(&words, installation.variables(), "", false).await
}

async fn done(installation: &Installation, words: &[&str]) -> Value {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    let ran = run(installation, &words).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.stdout).expect("JSON")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[tokio::test]
async fn mail_goes_round_through_every_format_octet_for_octet() {
    let installation = Installation::new().await;
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("inbox.mbox"), mbox()).expect("file");
    for name in ["one", "two", "three"] {
        installation.world.mailbox(&installation.acme, name).await;
    }
    let import = done(&installation, &["import", "one@acme.test", text(&at("inbox.mbox")), "--format", "mbox"]).await;
    assert_eq!((&import["state"], &import["imported_messages"]), (&json!("done"), &json!(MESSAGES)));
    let written = done(&installation, &["export", "one@acme.test", text(&at("maildir")), "--format", "maildir"]).await;
    assert_eq!(written["messages"], MESSAGES);
    done(&installation, &["import", "two@acme.test", text(&at("maildir")), "--format", "maildir"]).await;
    done(&installation, &["export", "two@acme.test", text(&at("eml")), "--format", "eml"]).await;
    done(&installation, &["import", "three@acme.test", text(&at("eml")), "--format", "eml"]).await;
    done(&installation, &["export", "two@acme.test", text(&at("back")), "--format", "mbox"]).await;
    assert!(fs::read(at("back/inbox.mbox")).expect("written") == mbox(), "the file is the same");
    let found = installation.list("grants/three@acme.test/messages?limit=200").await;
    assert_eq!(found.as_array().map(Vec::len), Some(MESSAGES));

    // The same again writes what has come since.
    let back = at("back");
    let again = ["export", "two@acme.test", text(&back), "--format", "mbox"];
    assert_eq!(done(&installation, &again).await["written_messages"], 0);
    installation.world.receive("a@b.test", "two@acme.test", "Subject: new\r\n\r\nHi\r\n").await.expect("taken");
    assert_eq!(done(&installation, &again).await["written_messages"], 1);
    let other = run(&installation, &["export", "one@acme.test", text(&at("back")), "--format", "mbox"]).await;
    assert_eq!(other.code, 1, "{other:?}");
}

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on() {
    let installation = Installation::new().await;
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("inbox.mbox");
    fs::write(&path, mbox()).expect("file");
    let source = format!("mbox: 1 files, {} bytes", mbox().len());
    installation.world.mailbox(&installation.acme, "agent").await;
    // As a command would have begun it that was killed after two messages.
    let import = installation.ask("grants/agent@acme.test/imports", &json!({"source": source})).await;
    let id = import["id"].as_str().expect("id");
    let sent = [json!({"raw_mime": "QTogYg0KDQpvbmU="}), json!({"raw_mime": "QTogYg0KDQp0d28="})];
    let request = format!("{}/v3/grants/agent@acme.test/imports/{id}/messages", installation.url);
    let request = reqwest::Client::new().post(request).bearer_auth(&installation.acme.api_key);
    let body = format!("{}\n{}\n", sent[0], sent[1]);
    request.header("content-type", "application/x-ndjson").body(body).send().await.expect("taken");
    let resume = ["import", "agent@acme.test", text(&path), "--format", "mbox", "--resume", id];
    let done = done(&installation, &resume).await;
    assert_eq!((&done["position"], &done["imported_messages"]), (&json!(MESSAGES), &json!(MESSAGES)));
    let found = installation.list("grants/agent@acme.test/messages?limit=200").await;
    assert_eq!(found.as_array().map(Vec::len), Some(MESSAGES));

    // Of a file that is not the same nobody knows where it stopped.
    fs::write(&path, [mbox(), mbox()].concat()).expect("file");
    let refused = run(&installation, &resume).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("the import was of"), "{}", refused.stderr);
    let missing = run(&installation, &["import", "agent@acme.test", "/nowhere", "--format", "eml"]).await;
    assert_eq!(missing.code, 1, "{missing:?}");
}
