//! Every command is on the page about the command line, and every command on the page exists.

use postfleet_cli::program;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../../../../docs/cli.md");

fn commands(command: &clap::Command, name: &str, found: &mut BTreeSet<String>) {
    let verbs: Vec<_> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    if verbs.is_empty() {
        found.insert(name.to_owned());
    }
    for verb in verbs {
        commands(verb, &format!("{name} {}", verb.get_name()), found);
    }
}

fn all() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    commands(&program(), "postfleet", &mut found);
    found
}

#[test]
fn every_command_is_on_the_page() {
    let missing: Vec<String> = all().into_iter().filter(|name| !PAGE.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/cli.md does not show {missing:?}");
    assert!(all().len() > 50, "commands are not found any more");
}

#[test]
fn every_flag_is_on_the_page() {
    fn flags(command: &clap::Command, found: &mut BTreeSet<String>) {
        let long = command.get_arguments().filter(|flag| !flag.is_hide_set()).filter_map(|flag| flag.get_long());
        found.extend(long.map(|flag| format!("--{flag}")));
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).for_each(|verb| flags(verb, found));
    }
    let mut found = BTreeSet::new();
    flags(&program(), &mut found);
    let missing: Vec<String> = found.into_iter().filter(|flag| !PAGE.contains(flag.as_str())).collect();
    assert!(missing.is_empty(), "docs/cli.md does not show {missing:?}");
}

/// Commands of the program that ask no server through its interface, and are not looked at here.
const OF_THE_SERVER: [&str; 4] = ["config", "dev", "init", "serve"];

/// The commands in the blocks of a document that are typed into a shell; one over several lines is one.
fn examples(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_shell = false;
    let mut before = String::new();
    for line in document.lines() {
        let line = line.trim_start();
        if line.starts_with("```") {
            is_shell = line == "```sh";
            continue;
        }
        if !is_shell {
            continue;
        }
        before.push_str(line.trim_end_matches('\\'));
        if line.ends_with('\\') {
            continue;
        }
        let whole = std::mem::take(&mut before);
        let is_of_server = |word: &str| OF_THE_SERVER.contains(&word);
        if whole.starts_with("postfleet ") && !whole.split(' ').nth(1).is_some_and(is_of_server) {
            found.push(whole);
        }
    }
    found
}

/// Why the command line does not take a line; nothing if it does.
fn objection(line: &str) -> Option<String> {
    let command = [" #", " | ", " > "].iter().fold(line, |line, end| line.split(end).next().unwrap_or_default());
    let taken = program().try_get_matches_from(crate::transcript::words(command));
    taken.err().map(|error| error.to_string())
}

fn documents() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = vec![("README.md".to_owned(), std::fs::read_to_string(root.join("README.md")).expect("README.md"))];
    for folder in ["docs", "docs/reference"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder of documents") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|end| end == "md") {
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                found.push((format!("{folder}/{name}"), std::fs::read_to_string(&path).expect("a document")));
            }
        }
    }
    found
}

/// What is shown as an example can be typed: the command line takes it.
#[test]
fn every_example_of_the_documents_is_taken() {
    let mut count = 0;
    for (name, document) in documents() {
        for line in examples(&document) {
            if let Some(objection) = objection(&line) {
                panic!("{name}: {line}: {objection}");
            }
            count += 1;
        }
    }
    assert!(count > 200, "examples are not found any more: {count}");
}

#[test]
fn an_example_that_cannot_be_typed_is_found() {
    let document =
        "```sh\npostfleet alert add \\\n    --nothing\npostfleet serve --nothing\n```\n```text\npostfleet none\n```\n";
    let found = examples(document);
    assert_eq!(found, ["postfleet alert add --nothing"]);
    assert!(objection(&found[0]).is_some_and(|text| text.contains("--nothing")));
}
