//! `/v3/grants/{grant}/folders`.

use crate::support::{Harness, assert_shape, ids};
use serde_json::json;

pub(crate) const ROUTES: &[&str] = &["GET /v3/grants/{grant}/folders", "GET /v3/grants/{grant}/folders/{folder}"];

const FOLDER: &str = "id:string grant_id:string object:string name:string system_folder:boolean attributes:array \
    child_count:integer total_count:integer unread_count:integer";

#[tokio::test]
async fn the_six_folders_with_their_counts() {
    let harness = Harness::new().await;
    harness.receive_about("one").await;
    harness.receive_about("two").await;
    let send = json!({"to": [{"email": "a@b.test"}], "subject": "three"});
    harness.post(&harness.at("/messages/send"), &send).await.is_ok();
    let list = harness.get(&harness.at("/folders")).await;
    assert_eq!(ids(&list), ["inbox", "sent", "drafts", "trash", "junk", "archive"]);
    for folder in list.data().as_array().expect("list") {
        assert_shape(folder, FOLDER);
        assert_eq!((&folder["object"], &folder["name"]), (&json!("folder"), &folder["id"]));
        let counts = match folder["id"].as_str() {
            Some("inbox") => (2, 2),
            Some("sent") => (1, 0),
            _ => (0, 0),
        };
        assert_eq!((&folder["total_count"], &folder["unread_count"]), (&json!(counts.0), &json!(counts.1)));
    }
    assert_eq!(list.data()[4]["attributes"], json!(["\\Junk"]));
}

#[tokio::test]
async fn a_folder_is_found_in_every_spelling() {
    let harness = Harness::new().await;
    for (name, id) in [("inbox", "inbox"), ("INBOX", "inbox"), ("Sent", "sent"), ("spam", "junk"), ("%69nbox", "inbox")]
    {
        let answer = harness.get(&harness.at(&format!("/folders/{name}"))).await;
        assert_shape(answer.data(), FOLDER);
        assert_eq!(answer.data()["id"], id);
    }
    for name in ["in", "inbox%20", "%5CInbox", "clients"] {
        harness.get(&harness.at(&format!("/folders/{name}"))).await.refuses(404, "not_found", None);
    }
}
