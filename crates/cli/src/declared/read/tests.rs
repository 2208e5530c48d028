use super::*;
use proptest::prelude::*;

fn no_files(_: &str) -> Result<String, String> {
    Err("no such file".to_owned())
}

fn lines(text: &str) -> Vec<String> {
    read(text, &no_files).expect_err("faults").iter().map(|fault| fault.line("fleet.yaml")).collect()
}

#[test]
fn a_small_file_says_little() {
    let document = read("version: 1\naccounts:\n  - email: Bob@Acme.TEST\n", &no_files).unwrap();
    let entries = &document.sections[&Section::Accounts];
    assert_eq!((document.sections.len(), entries.len()), (1, 1));
    assert_eq!((entries[0].key.as_str(), entries[0].fields.len()), ("bob@acme.test", 0));
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let text = "version: 2
polices: []
policies:
  - name: no
    limits: {limit_storage_totl: 1, limit_count_daily_email_sent: -2, limit_size_total_mime: 99999999999999999999}
    spam_detection:
      use_list_dnsbl: yes
      spam_sensitivity: 7
  - name: no
  - nmae: x
workspaces:
  - name: 123
    rules: Block
  - name: Support
    auto_group: null
lists:
accounts:
  - email: nobody
    workspace: [a]
webhooks:
  - webhook_url: ftp://a.example/
    trigger_types: []
    status: on
";
    let expected = [
        "fleet.yaml:1:10: version: must be 1: the only shape of this file that there is",
        "fleet.yaml:2:1: polices: unknown field (did you mean policies?)",
        "fleet.yaml:5:14: policies[0].limits.limit_storage_totl: unknown field (did you mean limit_storage_total?)",
        "fleet.yaml:5:67: policies[0].limits.limit_count_daily_email_sent: must be a whole number of at least -1",
        "fleet.yaml:5:94: policies[0].limits.limit_size_total_mime: must be a whole number of at least -1",
        "fleet.yaml:7:23: policies[0].spam_detection.use_list_dnsbl: must be true or false; yes is a text in YAML 1.2",
        "fleet.yaml:8:25: policies[0].spam_detection.spam_sensitivity: must be a number from 0.1 to 5.0",
        "fleet.yaml:9:5: policies[1].name: there is a policy no already, at 4:5",
        "fleet.yaml:10:5: policies[2].name: missing: a policy is known by it",
        "fleet.yaml:10:5: policies[2].nmae: unknown field (did you mean name?)",
        "fleet.yaml:12:11: workspaces[0].name: must be a text, not a number; put it in quotes",
        "fleet.yaml:13:12: workspaces[0].rules: must be a list, not a text",
        "fleet.yaml:15:17: workspaces[1].auto_group: must be true or false, not nothing; leave it out to leave it as it is",
        "fleet.yaml:16:6: lists: is empty: write lists: [] if there are to be none, or leave it out",
        "fleet.yaml:18:12: accounts[0].email: must be an address such as support@agents.example.com",
        "fleet.yaml:19:16: accounts[0].workspace: must be a text, not a list",
        "fleet.yaml:21:18: webhooks[0].webhook_url: must begin with https://",
        "fleet.yaml:22:20: webhooks[0].trigger_types: must have 1 to 100 entries",
        "fleet.yaml:23:13: webhooks[0].status: must be one of active, pause",
    ];
    let lines = lines(text);
    assert_eq!(lines, expected);
}

#[test]
fn rules_are_checked_to_the_last_condition() {
    let text = "version: 1
rules:
  - name: A
    priority: 1001
    trigger: inbound
    match:
      operator: some
      conditions: [{field: from.domain, operator: is, value: a.test}]
    actions: [{type: block}, {type: trash}]
  - name: B
    trigger: inbound
    match:
      conditions:
        - {field: recipient.domain, operator: is, value: a.test}
    actions: [{type: assign_to_folder}]
  - name: C
    match:
      conditions:
        - {field: outbound.type, operator: contains, value: reply}
        - {field: outbound.type, operator: is, value: replay}
        - {field: from.adress, operator: is, value: 1, more: 2}
        - {field: from.tld, operator: in_list, value: com}
    actions: [{type: trash, value: x}]
";
    let expected = [
        "fleet.yaml:4:15: rules[0].priority: must be a whole number from 0 to 1000",
        "fleet.yaml:7:17: rules[0].match.operator: must be one of any, all",
        "fleet.yaml:9:14: rules[0].actions: block must be the only action of its rule",
        "fleet.yaml:14:19: rules[1].match.conditions[0].field: recipient.domain is for rules with trigger: outbound",
        "fleet.yaml:15:15: rules[1].actions[0].value: missing: the folder's id, name or path",
        "fleet.yaml:19:44: rules[2].match.conditions[0].operator: must be is or is_not for outbound.type",
        "fleet.yaml:20:55: rules[2].match.conditions[1].value: must be one of compose, reply (did you mean reply?)",
        "fleet.yaml:21:19: rules[2].match.conditions[2].field: must be one of from.address, from.domain, from.tld, \
         recipient.address, recipient.domain, recipient.tld, outbound.type, authentication.spf, authentication.dkim, \
         authentication.dmarc, spam.score, suspicion.kind, message.mark (did you mean from.address?)",
        "fleet.yaml:21:56: rules[2].match.conditions[2].more: unknown field; known are field, operator, value",
        "fleet.yaml:22:55: rules[2].match.conditions[3].value: must be a list, not a text",
        "fleet.yaml:23:36: rules[2].actions[0].value: must be absent: only assign_to_folder has a value",
    ];
    assert_eq!(lines(text), expected);
}

#[test]
fn items_stand_in_the_file_or_in_one_of_their_own() {
    let files = |path: &str| match path {
        "bad.txt" => Ok("# Bad ones\nSpam.test\n\n@other.test\r\nspam.test\n".to_owned()),
        "wrong.txt" => Ok("a.test\nno domain\n".to_owned()),
        _ => no_files(path),
    };
    let text = "version: 1\nlists:\n  - {name: A, type: domain, items_file: bad.txt}\n  - {name: B, type: tld, items: [.COM, com]}\n";
    let document = read(text, &files).unwrap();
    let items = |index: usize| document.sections[&Section::Lists][index].items.clone().unwrap();
    assert_eq!(items(0), ["other.test".to_owned(), "spam.test".to_owned()].into());
    assert_eq!(items(1), ["com".to_owned()].into());

    let text = "version: 1
lists:
  - {name: A, type: domain, items_file: wrong.txt}
  - {name: B, type: domain, items_file: gone.txt}
  - {name: C, type: address, items: [a@b.test, c.test]}
  - {name: D, type: tld, items: [], items_file: bad.txt}
";
    let faults: Vec<String> =
        read(text, &files).expect_err("faults").iter().map(|fault| fault.line("f.yaml")).collect();
    let expected = [
        "f.yaml:4:41: lists[1].items_file: cannot be read: no such file",
        "f.yaml:5:48: lists[2].items[1]: must be an address such as user@example.com, not a domain; a list of \
         type domain takes those",
        "f.yaml:6:49: lists[3].items_file: cannot go with items: choose one of the two",
        "wrong.txt:2:1: lists[0].items_file: must be a domain such as example.com, without wildcards: letters, \
         digits and inner hyphens between dots",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn limits_hold_at_the_limit_and_not_one_above() {
    let named = |length: usize| format!("version: 1\npolicies: [{{name: {}}}]\n", "ü".repeat(length));
    assert!(read(&named(256), &no_files).is_ok());
    assert_eq!(lines(&named(257)), ["fleet.yaml:2:19: policies[0].name: must be 1 to 256 characters"]);
    let described = |length: usize| format!("version: 1\nlists: [{{name: A, description: {}}}]\n", "x".repeat(length));
    assert!(read(&described(1_024), &no_files).is_ok());
    assert!(read(&described(1_025), &no_files).is_err());
}

proptest! {
    /// Whatever stands in a file, it is read or its faults are told.
    #[test]
    fn no_file_is_too_much(text in prop_oneof![
        any::<String>(),
        "(version: 1\n)?(accounts|rules|lists)?:?\n?([-?:,\\[\\]{}#&*!|>'\"%@ \n\t~a0<]|  - |email: |&a |\\*a |items: |match: ){0,40}",
    ]) {
        if let Err(faults) = read(&text, &no_files) {
            prop_assert!(!faults.is_empty());
        }
    }
}

#[test]
fn breakers_are_checked_where_they_stand() {
    let wrong = |breakers: &str| {
        let text = format!("version: 1\nworkspaces:\n  - name: W\n    breakers: {breakers}\n");
        let faults = read(&text, &|_| Err("no files".to_owned())).expect_err(breakers);
        faults.iter().map(|fault| fault.line("f")).collect::<Vec<_>>().join("\n")
    };
    let cases = [
        (
            "[{metric: bounces, threshold: 1, action: hold}]",
            "f:4:25: workspaces[0].breakers[0].metric: must be one of bounce_rate",
        ),
        ("[{metric: bounce_rate, threshold: 101, action: hold}]", "threshold: must be a number from 0.001 to 100.0"),
        (
            "[{metric: sends_per_hour, threshold: 2.5, action: hold}]",
            "threshold: must be a whole number from 0 to 1000000",
        ),
        (
            "[{metric: sends_per_hour, threshold: 2, action: stop}]",
            "action: must be one of alert, throttle, hold, pause",
        ),
        ("[{metric: sends_per_hour, threshold: 2, action: throttle}]", "throttle_to: missing"),
        ("[{metric: sends_per_hour, threshold: 2, action: hold, throttle_to: 2}]", "throttle_to: must be absent"),
        ("[{metric: sends_per_hour, threshold: 2, action: hold, min_volume: 2}]", "min_volume: must be absent"),
        ("[{metric: sends_per_hour, action: hold}]", "breakers[0].threshold: missing"),
        ("[{metric: sends_per_hour, threshold: 2, action: hold, to: 1}]", "breakers[0].to: unknown field"),
        (
            "[{metric: sends_per_hour, threshold: 2, action: hold}, {metric: sends_per_hour, threshold: 3, action: hold}]",
            "breakers[1].metric: there is one of this metric with this action already",
        ),
        ("2", "f:4:15: workspaces[0].breakers: must be a list"),
    ];
    for (breakers, expected) in cases {
        let told = wrong(breakers);
        assert!(told.contains(expected), "{breakers}: {told}");
    }
}
