//! `plan`, `apply` and `export` against a real server, through a wire that counts requests and breaks when it is told to.

use crate::server::{Installation, Ran, type_in};
use postfleet_testkit::http::{FakeHttp, HttpRequest, HttpResponse};
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const FLEET: &str = "version: 1
domains:
  - domain_address: acme.test
    name: Acme
lists:
  - name: Bad domains
    type: domain
    items: [spam.test, junk.test]
policies:
  - name: Strict
    limits:
      limit_count_daily_email_sent: 20
      limit_spam_retention_period: 7
      limit_inbox_retention_period: 30
    spam_detection: {use_list_dnsbl: true, spam_sensitivity: 1.5}
    options: {additional_folders: [\"a: b\"]}
rules:
  - name: Block bad domains
    match: {conditions: [{field: from.domain, operator: in_list, value: [Bad domains]}]}
    actions: [{type: block}]
  - name: File invoices
    description: |
      Two
      lines
    priority: 20
    match: {operator: any, conditions: [{field: from.address, operator: is, value: Bills@Shop.TEST}]}
    actions: [{type: assign_to_folder, value: Clients/Shop}, {type: mark_as_read}]
workspaces:
  - name: Support
    domain: acme.test
    policy: Strict
    rules: [File invoices, Block bad domains]
    breakers:
      - {metric: sends_per_hour, threshold: 60, action: throttle, throttle_to: 20}
      - {metric: bounce_rate, threshold: 2.5, min_volume: 50, action: hold}
      - {metric: bounce_rate, threshold: 4, action: pause, min_volume: 100, enabled: true}
  - name: Default
    policy: Strict
accounts:
  - email: Support@acme.test
    name: \"Support: the \\\"team\\\"\"
    workspace: Support
  - email: nowhere@acme.test
    workspace: null
  - email: third@acme.test
    workspace: Default
webhooks:
  - webhook_url: WEBHOOK
    trigger_types: [message.created, message.bounced]
    description: Told of everything
    notification_email_addresses: [ops@acme.test]
    status: pause
";

/// Everything that carries out [`FLEET`] on a new server.
const STEPS: usize = 15;

/// Somebody with a fleet file, and the wire to the server.
struct Fleet {
    installation: Installation,
    wire: Wire,
    receiver: FakeHttp,
}

/// A wire to a server.
#[derive(Clone)]
struct Wire {
    url: String,
    requests: Arc<AtomicUsize>,
    /// Requests after which nothing goes through any more.
    allowed: Arc<AtomicUsize>,
    /// Whether the first request after that goes through, and its answer does not.
    loses_answers: Arc<AtomicBool>,
}

impl Wire {
    async fn to(server: &str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}", socket.local_addr().expect("address"));
        let server = server.trim_start_matches("http://").to_owned();
        let (requests, allowed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let loses_answers = Arc::new(AtomicBool::new(false));
        let wire = Self { url, requests, allowed, loses_answers };
        let state = wire.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = socket.accept().await {
                let server = TcpStream::connect(&server).await.expect("the server");
                tokio::spawn(state.clone().carry(client, server));
            }
        });
        wire
    }
}

impl Wire {
    fn is_broken(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > self.allowed.load(Ordering::SeqCst)
    }

    async fn carry(self, client: TcpStream, server: TcpStream) {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let wire = self.clone();
        let back = async move {
            let mut octets = vec![0; 1 << 16];
            while let Ok(count @ 1..) = from_server.read(&mut octets).await {
                if wire.is_broken() || to_client.write_all(&octets[..count]).await.is_err() {
                    break;
                }
            }
        };
        let there = async move {
            let (mut octets, mut tail) = (vec![0; 1 << 16], Vec::new());
            while let Ok(count @ 1..) = from_client.read(&mut octets).await {
                tail.extend_from_slice(&octets[..count]);
                let heads = tail.windows(HEAD.len()).filter(|window| *window == HEAD).count();
                tail.drain(..tail.len().saturating_sub(HEAD.len() - 1));
                self.requests.fetch_add(heads, Ordering::SeqCst);
                let is_over = self.is_broken() && !self.loses_answers.load(Ordering::SeqCst);
                if is_over || to_server.write_all(&octets[..count]).await.is_err() {
                    break;
                }
            }
        };
        // When one direction ends, both do.
        tokio::select! { () = back => {}, () = there => {} }
    }
}

/// The end of the first line of a request.
const HEAD: &[u8] = b" HTTP/1.1\r\n";

impl Fleet {
    async fn new() -> Self {
        let installation = Installation::new().await;
        let wire = Wire::to(&installation.url).await;
        let echo = |request: &HttpRequest| {
            let challenge = request.path.split_once("challenge=").map(|(_, challenge)| challenge.to_owned());
            HttpResponse::new(200, &[], challenge.unwrap_or_default().as_bytes())
        };
        Self { installation, wire, receiver: FakeHttp::start(echo).await }
    }

    fn path(&self, name: &str) -> String {
        self.installation.home.path().join(name).display().to_string()
    }

    fn write(&self, text: &str) {
        fs::write(self.path("fleet.yaml"), text.replace("WEBHOOK", &self.receiver.url("/told"))).expect("written");
    }

    /// Runs a command; `FILE` is the fleet file. Answers what came of it, and how many requests it made.
    async fn run(&self, command: &str) -> (Ran, usize) {
        // `_` stands for a space within a word, and `~` for itself.
        let word = |word: &str| word.replace('_', " ").replace('~', "_").replace("FILE", &self.path("fleet.yaml"));
        let words = command.split(' ').map(word).collect::<Vec<_>>();
        let mut variables = self.installation.variables();
        variables.insert("POSTFLEET_URL".to_owned(), self.wire.url.clone());
        let before = self.wire.requests.load(Ordering::SeqCst);
        let words: Vec<String> = std::iter::once("postfleet".to_owned()).chain(words).collect();
        let ran = type_in(&words, variables, "", false).await;
        (ran, self.wire.requests.load(Ordering::SeqCst) - before)
    }

    async fn ok(&self, command: &str) -> String {
        let (ran, _) = self.run(command).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{command}: {ran:?}");
        ran.stdout
    }

    async fn json(&self, command: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{command} --json")).await).expect("JSON")
    }

    async fn assert_nothing_to_do(&self, command: &str) {
        let shown = self.ok(command).await;
        assert!(shown.starts_with("Nothing to do: the server has what the file says."), "{shown}");
    }
}

#[tokio::test]
async fn a_new_fleet_is_planned_applied_and_then_there_is_nothing_to_do() {
    let fleet = Fleet::new().await;
    fleet.write(FLEET);
    let (planned, _) = fleet.run("plan -f FILE --exit-code").await;
    assert_eq!(planned.code, 4, "{planned:?}");
    let applied = fleet.ok("apply -f FILE -y").await;
    assert!(applied.starts_with(&planned.stdout), "{applied}");
    assert!(applied.contains(&format!("Done: all {STEPS} steps.\n")), "{applied}");
    assert!(applied.contains("shown this once: "), "{applied}");
    fleet.assert_nothing_to_do("plan -f FILE --exit-code").await;
    fleet.assert_nothing_to_do("apply -f FILE -y").await;
    assert_eq!(fleet.json("plan -f FILE").await["summary"], serde_json::json!({"create": 0, "change": 0, "delete": 0}));
}

#[tokio::test]
async fn what_was_changed_by_others_is_drift_and_is_put_right() {
    let fleet = Fleet::new().await;
    fleet.write(FLEET);
    fleet.ok("apply -f FILE -y").await;
    let strict = fleet.json("policy list").await[0]["id"].as_str().expect("an id").to_owned();
    fleet.ok(&format!("policy update {strict} --daily-sends 50")).await;
    let planned = fleet.ok("plan -f FILE").await;
    let line =
        "~ policy Strict: limits.limit_count_daily_email_sent 50 → 20\n\n0 to create, 1 to change, 0 to delete.\n";
    assert_eq!(planned, line);
    fleet.ok("apply -f FILE -y").await;
    fleet.assert_nothing_to_do("plan -f FILE").await;

    // What the file does not say is nobody's drift, and what it says no more is left alone.
    fleet.write("version: 1\npolicies:\n  - name: Strict\nlists: []\nrules: []\n");
    let planned = fleet.ok("plan -f FILE").await;
    let text = "Nothing to do: the server has what the file says. Not in the file, and left alone: 1 list, 2 rules.\n";
    assert_eq!(planned, text);
}

/// Every kind of thing, changed by others.
#[tokio::test]
async fn drift_of_every_kind_is_seen_and_put_right() {
    let fleet = Fleet::new().await;
    fleet.write(FLEET);
    fleet.ok("apply -f FILE -y").await;
    for command in [
        "list add Bad_domains extra.test",
        "list update Bad_domains --description New",
        "rule update File_invoices --priority 30 --action trash",
        "workspace update Default --policy-id ",
        "breaker set Support sends~per~hour 90 --action alert",
        "breaker remove Support bounce~rate",
        "agent move third@acme.test --workspace Support",
        "agent update support@acme.test --name Else",
        "agent delete nowhere@acme.test -y",
        "rule delete Block_bad_domains -y",
    ] {
        let (ran, _) = fleet.run(command).await;
        assert_eq!(ran.code, 0, "{command}: {ran:?}");
    }
    let planned = fleet.ok("plan -f FILE").await;
    let expected = "~ list Bad domains: -1 item (extra.test)
~ rule File invoices: actions [trash] → [assign_to_folder Clients/Shop, mark_as_read], priority 30 → 20
+ rule Block bad domains: actions [block], match from.domain in_list [Bad domains]
~ workspace Support: breakers [sends_per_hour 90: alert, sends_per_hour 60: throttle to 20] → \
                    [bounce_rate 2.5 of 50: hold, bounce_rate 4: pause, sends_per_hour 60: throttle to 20], rules [File invoices] → [Block bad domains, File invoices]
~ workspace Default: policy none → Strict
~ account support@acme.test: name Else → Support: the \"team\"
+ account nowhere@acme.test
~ account nowhere@acme.test: workspace none
~ account third@acme.test: workspace Support → Default

2 to create, 7 to change, 0 to delete.
";
    let sorted = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(sorted(&planned), sorted(expected));
    fleet.ok("apply -f FILE -y").await;
    fleet.assert_nothing_to_do("plan -f FILE").await;
}

/// Who has nothing to say about breakers leaves them alone, and an empty list takes them away.
#[tokio::test]
async fn breakers_are_managed_where_the_file_speaks_of_them() {
    let fleet = Fleet::new().await;
    fleet.write("version: 1\nworkspaces:\n  - name: Sales\n    breakers: []\n  - name: Default\n");
    let applied = fleet.ok("apply -f FILE -y").await;
    assert!(applied.starts_with("+ workspace Sales\n\n1 to create, 0 to change"), "{applied}");
    fleet.ok("breaker set Sales bounce~rate 2.5 --action hold").await;
    fleet.ok("breaker set Default sends~per~hour 10 --action pause --disabled").await;
    let planned = fleet.ok("plan -f FILE").await;
    assert!(planned.starts_with("~ workspace Sales: breakers [bounce_rate 2.5: hold] → []\n"), "{planned}");
    fleet.ok("apply -f FILE -y").await;
    fleet.assert_nothing_to_do("plan -f FILE").await;
    assert_eq!(fleet.json("breaker list Sales").await["breakers"], serde_json::json!([]));
    let kept = "  - name: Default\n    policy: null\n    rules: []\n    breakers:\n      - metric: sends_per_hour\n        \
                threshold: 10\n        action: pause\n        enabled: false\n";
    let exported = fleet.ok("export").await;
    assert!(exported.contains(kept), "{exported}");
}

#[tokio::test]
async fn what_is_exported_changes_nothing_when_it_is_applied() {
    let fleet = Fleet::new().await;
    fleet.write(FLEET);
    fleet.ok("apply -f FILE -y").await;
    fleet.ok("export -o FILE").await;
    let exported = fs::read_to_string(fleet.path("fleet.yaml")).expect("an export");
    for part in [
        "domain_address: acme.test",
        "- spam.test",
        "name: Block bad domains",
        "policy: Strict",
        "status: pause",
        "metric: bounce_rate\n        threshold: 2.5\n",
    ] {
        assert!(exported.contains(part), "{part} is not in {exported}");
    }
    let (applied, requests) = fleet.run("apply -f FILE -y").await;
    assert!(applied.stdout.starts_with("Nothing to do"), "{applied:?}");
    // Domains, lists and the items of one, policies, rules, workspaces and the breakers of one, accounts, webhooks: all are
    // read, none is changed.
    assert_eq!((applied.code, requests), (0, 9));
    assert_eq!(fleet.ok("export").await, exported, "the same state is the same text");
}

/// A file has no ids: what was exported from one server makes the same fleet at another.
#[tokio::test]
async fn what_is_exported_makes_the_same_fleet_elsewhere() {
    let fleet = Fleet::new().await;
    fleet.write(FLEET);
    fleet.ok("apply -f FILE -y").await;
    let exported = fleet.ok("export").await;
    let elsewhere = Fleet::new().await;
    elsewhere.write(&exported);
    elsewhere.ok("apply -f FILE -y").await;
    assert_eq!(elsewhere.ok("export").await, exported);
}

/// Wherever the wire breaks, the next `apply` goes on from there.
#[tokio::test]
async fn an_interrupted_apply_is_completed_by_the_next() {
    interrupt_again_and_again(false).await;
}

/// So it does when the server did what it was asked for, and nobody was told.
#[tokio::test]
async fn an_apply_whose_answers_are_lost_is_completed_by_the_next() {
    interrupt_again_and_again(true).await;
}

async fn interrupt_again_and_again(loses_answers: bool) {
    let fleet = Fleet::new().await;
    fleet.wire.loses_answers.store(loses_answers, Ordering::SeqCst);
    fleet.write(FLEET);
    let (_, reading) = fleet.run("plan -f FILE").await;
    let mut steps_left = STEPS;
    // Each round gets a little further: it reads, makes some requests, and the wire breaks.
    for round in 0.. {
        assert!(round < 40, "it does not come to an end");
        let now = fleet.wire.requests.load(Ordering::SeqCst);
        fleet.wire.allowed.store(now + reading + 3 + round % 3, Ordering::SeqCst);
        let (ran, _) = fleet.run("apply -f FILE -y").await;
        fleet.wire.allowed.store(usize::MAX, Ordering::SeqCst);
        if ran.code == 0 {
            break;
        }
        assert_eq!(ran.code, 3, "{ran:?}");
        let left = fleet.json("plan -f FILE").await["changes"].as_array().expect("changes").len();
        assert!(left <= steps_left, "{left} of {steps_left}: {ran:?}");
        if ran.stdout.contains("Stopped: ") {
            assert!(ran.stdout.contains("Failed:   "), "{ran:?}");
        }
        steps_left = left;
    }
    fleet.assert_nothing_to_do("plan -f FILE").await;
}

#[tokio::test]
async fn pruning_deletes_what_the_file_does_not_name_and_nothing_precious_unless_it_is_named() {
    let fleet = Fleet::new().await;
    fleet.write(FLEET);
    fleet.ok("apply -f FILE -y").await;
    fleet.write("version: 1\nlists: []\npolicies: []\nrules: []\nworkspaces: []\naccounts: []\nwebhooks: []\n");
    let planned = fleet.ok("plan -f FILE --prune").await;
    let expected = format!(
        "- webhook {}\n- workspace Support\n- rule Block bad domains\n- rule File invoices\n- policy Strict\n\
         - list Bad domains\n\n0 to create, 0 to change, 6 to delete. Not in the file, and left alone: 3 accounts.\n",
        fleet.receiver.url("/told")
    );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&planned), sorted(&expected));
    fleet.ok("apply -f FILE --prune -y").await;
    let planned = fleet.ok("plan -f FILE --prune=accounts").await;
    assert_eq!(planned.lines().filter(|line| line.starts_with("- account ")).count(), 3, "{planned}");
    fleet.ok("apply -f FILE --prune=accounts -y").await;
    fleet.assert_nothing_to_do("plan -f FILE --prune=accounts").await;
    assert_eq!(fleet.json("agent list").await, serde_json::json!([]));
    let (refused, _) = fleet.run("plan -f FILE --prune=domains").await;
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("the file has no section domains"), "{refused:?}");
}

#[tokio::test]
async fn a_fleet_of_ten_thousand_accounts_is_planned_with_a_request_for_each_two_hundred() {
    const ACCOUNTS: usize = 10_000;
    let fleet = Fleet::new().await;
    let accounts: String = (0..ACCOUNTS)
        .map(|index| format!("  - email: agent-{index:05}@acme.test\n    name: Agent {index}\n    workspace: Agents\n"))
        .collect();
    fleet.write(&format!("version: 1\nworkspaces:\n  - name: Agents\naccounts:\n{accounts}"));
    let (planned, requests) = fleet.run("plan -f FILE").await;
    assert!(planned.stdout.ends_with("10001 to create, 0 to change, 0 to delete.\n"), "{:?}", planned.stderr);
    assert_eq!(requests, 2, "workspaces, and one page without accounts");
    let (applied, requests) = fleet.run("apply -f FILE -y").await;
    assert!(applied.stdout.ends_with("Done: all 10001 steps.\n"), "{:?}", applied.stderr);
    assert_eq!(requests, 2 + 1 + ACCOUNTS / 1_000);
    let (planned, requests) = fleet.run("plan -f FILE").await;
    assert!(planned.stdout.starts_with("Nothing to do"), "{:?}", planned.stderr);
    // Fifty full pages, and the one that says that there are no more.
    assert_eq!(requests, 1 + ACCOUNTS / 200 + 1);
}

#[tokio::test]
async fn a_refusal_stops_it_and_says_what_was_not_done() {
    let fleet = Fleet::new().await;
    fleet.write(
        "version: 1
accounts:
  - email: first@acme.test
  - email: second@elsewhere.test
  - email: third@acme.test
webhooks: [{webhook_url: 'http://192.0.2.1/', trigger_types: [message.created]}]
",
    );
    let (ran, _) = fleet.run("apply -f FILE -y").await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("domain is not registered: elsewhere.test"), "{ran:?}");
    let end = "Stopped: 2 of 4 steps done. Apply the file again to go on from here.\n\
               Failed:   + account second@elsewhere.test\n\
               Not done: + webhook http://192.0.2.1/: trigger_types [message.created]\n";
    assert!(ran.stdout.ends_with(end), "{ran:?}");
    let (ran, _) = fleet.run("apply -f FILE -y --json").await;
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let changes = told["changes"].as_array().expect("changes");
    let results: Vec<&str> = changes.iter().filter_map(|change| change["result"].as_str()).collect();
    assert_eq!((ran.code, results), (1, vec!["failed", "not_done"]));
    let refusal: Value = serde_json::from_str(&ran.stderr).expect("JSON");
    assert_eq!(refusal["code"], "domain_not_registered");
}

#[tokio::test]
async fn faults_of_a_file_are_told_with_their_places_before_anything_is_changed() {
    let fleet = Fleet::new().await;
    fs::write(fleet.path("bad.txt"), "spam.test\nno domain\n").expect("written");
    fleet
        .write("version: 1\nlists: [{name: L, type: domain, items_file: bad.txt}]\naccounts: [{emial: a@acme.test}]\n");
    let (ran, requests) = fleet.run("apply -f FILE -y").await;
    assert_eq!((ran.code, requests), (2, 0), "{ran:?}");
    let file = fleet.path("fleet.yaml");
    assert!(
        ran.stderr.contains(&format!("{file}:3:13: accounts[0].emial: unknown field (did you mean email?)\n")),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("bad.txt:2:1: lists[0].items_file: must be a domain"), "{ran:?}");

    fleet.write("version: 1\nworkspaces: [{name: W, policy: Strikt}]\n");
    let (ran, _) = fleet.run("plan -f FILE --json").await;
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let fault = &told["faults"][0];
    assert_eq!(
        (&fault["line"], &fault["column"], &fault["field"]),
        (&2.into(), &32.into(), &"workspaces[0].policy".into())
    );
    assert_eq!((ran.code, &fault["message"]), (2, &"no policy is named Strikt".into()));
}

#[tokio::test]
async fn names_that_are_not_unique_are_named() {
    let fleet = Fleet::new().await;
    for _ in 0..2 {
        assert_eq!(fleet.run("policy create --name Same").await.0.code, 0);
    }
    let (ran, _) = fleet.run("export --only policies").await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("names that the server has more than once cannot stand in a file: policy Same"),
        "{ran:?}"
    );
    fleet.write("version: 1\npolicies: [{name: Same}]\n");
    let (ran, _) = fleet.run("plan -f FILE").await;
    assert!(ran.stderr.contains("policies[0].name: the server has 2 policies named Same: rename one first"), "{ran:?}");
}
