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

/// What is shown as an example can be typed: the command line takes it.
#[test]
fn every_example_of_the_page_is_taken() {
    let lines = PAGE.lines().filter(|line| line.starts_with("postfleet "));
    let mut count = 0;
    for line in lines {
        let words = crate::transcript::words(
            line.split(" #")
                .next()
                .unwrap_or_default()
                .split(" | ")
                .next()
                .unwrap_or_default()
                .split(" > ")
                .next()
                .unwrap_or_default(),
        );
        let taken = program().try_get_matches_from(&words);
        assert!(taken.is_ok(), "{line}: {}", taken.err().map(|error| error.to_string()).unwrap_or_default());
        count += 1;
    }
    assert!(count > 40, "examples are not found any more: {count}");
}
