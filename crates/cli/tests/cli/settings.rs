//! What stands around a command: the file with its keys, warnings, completions and manual pages.

use crate::server::{Installation, Ran, type_in};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

async fn run(line: &str, variables: BTreeMap<String, String>) -> Ran {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    type_in(&words, variables, "", false).await
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone_and_others_are_warned_of() {
    let installation = Installation::new().await;
    let kept = run("postfleet login", installation.variables()).await;
    assert_eq!(kept.code, 0, "{kept:?}");
    let path = installation.home.path().join("postfleet/cli.toml");
    let mode = |path| fs::metadata(path).expect("file").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert!(fs::read_to_string(&path).expect("text").contains(&installation.acme.api_key));

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mode");
    let warned = run("postfleet agent list", installation.variables()).await;
    assert!(warned.stderr.contains("chmod 600") && warned.code == 0, "{warned:?}");
    let warned = run("postfleet agent list --json", installation.variables()).await;
    let json: serde_json::Value = serde_json::from_str(warned.stderr.trim()).expect("JSON");
    assert!(json["warning"].as_str().is_some_and(|text| text.contains("chmod 600")), "{warned:?}");
    // Writing it again makes it private again.
    assert_eq!(run("postfleet login", installation.variables()).await.code, 0);
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn a_damaged_file_is_named_and_its_keys_are_not_shown() {
    let installation = Installation::new().await;
    let folder = installation.home.path().join("postfleet");
    fs::create_dir(&folder).expect("folder");
    fs::write(folder.join("cli.toml"), "key = pf_live_secret\n").expect("file");
    let refused = run("postfleet agent list", installation.variables()).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("cli.toml") && !refused.stderr.contains("secret"), "{refused:?}");
}

#[tokio::test]
async fn a_key_in_the_clear_is_warned_of_but_for_this_machine() {
    let installation = Installation::new().await;
    // Refused before anything is asked.
    let far = run("postfleet agent update a@acme.test --url http://mail.example.com", installation.variables()).await;
    assert!(far.stderr.contains("warning: the key goes to http://mail.example.com unencrypted"), "{far:?}");
    for near in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://mail.example.com"] {
        let ran = run(&format!("postfleet agent update a@acme.test --url {near}"), installation.variables()).await;
        assert!(ran.code == 2 && !ran.stderr.contains("unencrypted"), "{ran:?}");
    }
}

#[tokio::test]
async fn what_is_not_this_interface_is_told_apart() {
    let installation = Installation::new().await;
    let elsewhere =
        run(&format!("postfleet agent list --url {}/health", installation.url), installation.variables()).await;
    assert!(elsewhere.stderr.contains("--url is not that of a postfleet server"), "{elsewhere:?}");
    assert_eq!(elsewhere.code, 1);
}

#[tokio::test]
async fn completions_and_manual_pages_have_every_command() {
    let folder = tempfile::tempdir().expect("folder");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&format!("postfleet completions {shell}"), BTreeMap::new()).await;
        assert!(
            script.code == 0 && script.stdout.contains("workspace") && script.stdout.contains("evaluations"),
            "{shell}"
        );
    }
    let pages = folder.path().join("man1");
    let made = run(&format!("postfleet man {}", pages.display()), BTreeMap::new()).await;
    assert_eq!(made.code, 0, "{made:?}");
    let page = fs::read_to_string(pages.join("postfleet-agent-create.1")).expect("a page for each verb");
    assert!(page.contains("app\\-password"), "{page}");
    assert!(!pages.join("postfleet-agent-account.1").exists(), "what is hidden has no page");
}

#[tokio::test]
async fn lists_are_read_to_the_end_page_by_page() {
    let installation = Installation::new().await;
    let file = installation.home.path().join("fleet.csv");
    let lines: String = (0..1_203).map(|index| format!("a{index}@acme.test\n")).collect();
    fs::write(&file, lines).expect("file");
    let import = format!("postfleet agent import -f {}", file.display());
    let made = run(&import, installation.variables()).await;
    assert_eq!(made.stdout, "1203 created, 0 existing, 0 failed\n", "{made:?}");
    let again: serde_json::Value =
        serde_json::from_str(&run(&format!("{import} --json"), installation.variables()).await.stdout).expect("JSON");
    assert_eq!((&again["existing"], &again["results"][1_202]["index"]), (&1_203.into(), &1_202.into()));

    let rows = async |flags: &str| {
        let ran = run(&format!("postfleet agent list {flags}"), installation.variables()).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        (ran.stdout.lines().count() - 1, ran.stderr.contains("of more"))
    };
    assert_eq!(rows("--all").await, (1_203, false));
    assert_eq!(rows("").await, (200, true));
    assert_eq!(rows("--limit 201").await, (201, true));
    assert_eq!(rows("--limit 1203").await, (1_203, false), "that many, and no more");
    let tree = run("postfleet overview", installation.variables()).await;
    assert!(tree.stdout.contains("mailboxes: 1203\n"), "{tree:?}");
}

#[tokio::test]
async fn lists_with_a_cursor_are_read_to_the_end() {
    let installation = Installation::new().await;
    let file = installation.home.path().join("bad.txt");
    let lines: String = (0..401).map(|index| format!("bad{index}.test\n")).collect();
    fs::write(&file, lines).expect("file");
    let create = format!("postfleet list create --name Bad --type domain -f {}", file.display());
    assert_eq!(run(&create, installation.variables()).await.code, 0);
    let ran = run("postfleet list items Bad --all --json", installation.variables()).await;
    let items: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let values: BTreeSet<&str> =
        items.as_array().expect("list").iter().filter_map(|item| item["value"].as_str()).collect();
    assert_eq!(values.len(), 401, "{ran:?}");
    let first = run("postfleet list items Bad", installation.variables()).await;
    assert!(first.stdout.lines().count() == 201 && first.stderr.contains("of more"), "{first:?}");
}
