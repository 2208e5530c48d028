//! Two nodes of the real program on one PostgreSQL: what one is told about rules and lists holds for the very next message
//! that the other is asked to send, whatever it has in memory and however far its loop has come in reading it; and what
//! may be sent in a second they have together.

use postfleet_testkit::postgres::PostgresServer;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use tempfile::TempDir;

/// A node that runs until it is dropped.
struct Node {
    process: Child,
    address: SocketAddr,
    key: String,
    /// Held open, so that the node can go on writing its log.
    _log: BufReader<ChildStderr>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.kill().expect("the node runs until now");
        self.process.wait().expect("an end");
    }
}

/// The program with a data directory of its own, a database and body files that it shares.
fn program(verb: &str, name: &str, folder: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postfleet"));
    command.arg(verb).arg("--data-dir").arg(folder.join(name)).stdin(Stdio::null());
    let bodies = format!("file:{}", folder.join("bodies").display());
    for (key, value) in [("STORAGE__URL", url), ("STORAGE__BLOBS", &bodies), ("SERVER__NODE", name)] {
        command.env(format!("POSTFLEET_{key}"), value);
    }
    command
}

/// Makes the organization; answers its key.
fn init(folder: &Path, url: &str, plan: &str) -> String {
    let mut command = program("init", "one", folder, url);
    command.args(["--organization", "Acme", "--domain", "acme.test", "--trust-domains", "--json", "--plan", plan]);
    let output = command.output().expect("postfleet init");
    assert!(output.status.success(), "{output:?}");
    let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    made["api_key"].as_str().expect("a key").to_owned()
}

impl Node {
    fn start(name: &str, folder: &Path, url: &str, key: &str) -> Self {
        let mut command = program("serve", name, folder, url);
        command.args(["--http", "127.0.0.1:0", "--roles", "api"]).stderr(Stdio::piped());
        let mut process = command.spawn().expect("postfleet serve");
        let mut log = BufReader::new(process.stderr.take().expect("a log"));
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(log.read_line(&mut line).expect("a line") > 0, "{name} ended before it listened");
            if let Some((_, address)) = line.split_once("interface listens address=") {
                break address.trim().parse().expect("an address");
            }
        };
        Self { process, address, key: key.to_owned(), _log: log }
    }

    /// Status and body of the answer to a request.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        let (key, body) = (&self.key, body.to_string());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, serde_json::from_str(body).expect("JSON"))
    }

    fn data(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, mut answer) = self.ask(method, path, &body);
        assert!(matches!(status, 200 | 201), "{method} {path}: {status} {answer}");
        answer["data"].take()
    }

    /// Sends; "" if that is accepted, otherwise the code of the refusal.
    fn send(&self, grant: &str, to: &str) -> String {
        let body = json!({"to": [{"email": to}], "subject": "Hello", "body": "Hello", "allow_duplicate": true});
        let (status, answer) = self.ask("POST", &format!("/v3/grants/{grant}/messages/send"), &body);
        match status {
            200 => String::new(),
            403 => answer["error"]["code"].as_str().expect("a code").to_owned(),
            _ => panic!("{status} {answer}"),
        }
    }
}

/// Two nodes of a new organization.
fn nodes(folder: &Path, url: &str, plan: &str) -> (Node, Node) {
    let key = init(folder, url, plan);
    std::fs::create_dir(folder.join("two")).expect("a folder");
    std::fs::copy(folder.join("one/secret"), folder.join("two/secret")).expect("the secret");
    (Node::start("one", folder, url, &key), Node::start("two", folder, url, &key))
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

#[test]
fn what_one_node_is_told_holds_for_the_next_message_of_the_other() {
    let Some(server) = PostgresServer::shared() else { return };
    let url = server.create_database("nodes");
    let folder = TempDir::new().expect("a folder");
    let (one, two) = nodes(folder.path(), &url, "self_hosted");

    let mailbox = json!({"provider": "nylas", "settings": {"email": "agent@acme.test"}});
    let grant = text(&one.data("POST", "/v3/connect/custom", mailbox)["id"]);
    let list = text(&one.data("POST", "/v3/lists", json!({"name": "Bad", "type": "domain"}))["id"]);
    let items = format!("/v3/lists/{list}/items");
    let condition = json!({"field": "recipient.domain", "operator": "in_list", "value": [list]});
    let rule = json!({"name": "Block", "trigger": "outbound", "match": {"conditions": [condition]},
        "actions": [{"type": "block"}]});
    let rule = text(&one.data("POST", "/v3/rules", rule)["id"]);
    let application = one.data("GET", "/v3/applications", json!({}));
    let workspace = format!("/v3/workspaces/{}", text(&application["default_workspace_id"]));

    assert_eq!(two.send(&grant, "ada@bad.test"), "", "no rule is in use");
    one.data("PATCH", &workspace, json!({"rule_ids": [rule]}));
    assert_eq!(two.send(&grant, "ada@bad.test"), "", "the list is empty");
    // Often enough to meet the other's loop before, while and after it reads.
    for round in 0..25 {
        one.data("POST", &items, json!({"items": ["bad.test"]}));
        assert_eq!(two.send(&grant, "ada@bad.test"), "blocked_by_rule", "round {round}");
        assert_eq!(one.send(&grant, "ada@bad.test"), "blocked_by_rule", "round {round}");
        assert_eq!(two.send(&grant, "ada@good.test"), "", "round {round}");
        two.data("DELETE", &items, json!({"items": ["bad.test"]}));
        assert_eq!(one.send(&grant, "ada@bad.test"), "", "round {round}");
    }
    one.data("POST", &items, json!({"items": ["bad.test"]}));
    for (enabled, expected) in [(false, ""), (true, "blocked_by_rule"), (false, "")] {
        one.data("PUT", &format!("/v3/rules/{rule}"), json!({"enabled": enabled}));
        assert_eq!(two.send(&grant, "ada@bad.test"), expected, "enabled: {enabled}");
    }
    one.data("PUT", &format!("/v3/rules/{rule}"), json!({"enabled": true}));
    one.data("PATCH", &workspace, json!({"rule_ids": null}));
    assert_eq!(two.send(&grant, "ada@bad.test"), "", "the workspace has no rules");
}

#[test]
fn nodes_share_what_may_be_sent_in_a_second() {
    let Some(server) = PostgresServer::shared() else { return };
    let url = server.create_database("rates");
    let folder = TempDir::new().expect("a folder");
    let (one, two) = nodes(folder.path(), &url, "full_platform");
    let mailbox = json!({"provider": "nylas", "settings": {"email": "agent@acme.test"}});
    let grant = text(&one.data("POST", "/v3/connect/custom", mailbox)["id"]);
    let path = format!("/v3/grants/{grant}/messages/send");
    let body =
        json!({"to": [{"email": "ada@good.test"}], "subject": "Hello", "body": "Hello", "allow_duplicate": true});
    // As fast as both can, from four sides.
    let accepted: usize = std::thread::scope(|scope| {
        let senders: Vec<_> = [&one, &two, &one, &two]
            .into_iter()
            .map(|node| {
                scope.spawn(|| {
                    let mut accepted = 0;
                    for _ in 0..25 {
                        match node.ask("POST", &path, &body) {
                            (200, _) => accepted += 1,
                            (429, answer) => assert_eq!(answer["error"]["code"], "per_second_rate_limit_exceeded"),
                            (status, answer) => panic!("{status} {answer}"),
                        }
                    }
                    accepted
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().expect("a sender")).sum()
    });
    assert!((5..100).contains(&accepted), "{accepted}");
    // The id of a message begins with the milliseconds at which it was accepted.
    let sent = one.data("GET", &format!("/v3/grants/{grant}/messages?in=sent&limit=200"), json!({}));
    let time = |message: &Value| i64::from_str_radix(&text(&message["id"]).replace('-', "")[..12], 16).expect("an id");
    let mut times: Vec<i64> = sent.as_array().expect("a list").iter().map(time).collect();
    times.sort_unstable();
    assert_eq!(times.len(), accepted);
    assert!(times.windows(6).all(|six| six[5] - six[0] >= 999), "{times:?}");
}

/// Commits of either node, read on either: each message once, however the two interleave.
#[test]
fn who_waits_on_one_node_is_told_of_what_the_other_commits() {
    const MESSAGES: usize = 40;
    let Some(server) = PostgresServer::shared() else { return };
    let url = server.create_database("waiting");
    let folder = TempDir::new().expect("a folder");
    let (one, two) = nodes(folder.path(), &url, "self_hosted");
    let mailbox = json!({"provider": "nylas", "settings": {"email": "agent@acme.test"}});
    let grant = text(&one.data("POST", "/v3/connect/custom", mailbox)["id"]);
    let wait = |node: &Node, query: &str| {
        let path = format!("/v3/grants/{grant}/messages/wait?direction=outbound&{query}");
        let (status, answer) = node.ask("GET", &path, &json!({}));
        assert_eq!(status, 200, "{answer}");
        let ids: Vec<_> =
            answer["data"].as_array().expect("a list").iter().map(|message| text(&message["id"])).collect();
        (ids, text(&answer["next_cursor"]))
    };
    let (_, start) = wait(&one, "timeout=0");
    let read = |node: &Node| {
        let (mut seen, mut after) = (Vec::new(), start.clone());
        while seen.len() < MESSAGES {
            let (ids, next) = wait(node, &format!("timeout=60&select=id&after={after}"));
            seen.extend(ids);
            after = next;
        }
        seen
    };
    let seen: Vec<Vec<String>> = std::thread::scope(|scope| {
        let read = &read;
        let readers: Vec<_> = [&one, &two].into_iter().map(|node| scope.spawn(move || read(node))).collect();
        for round in 0..MESSAGES {
            assert_eq!(if round % 3 == 0 { &one } else { &two }.send(&grant, "ada@good.test"), "", "round {round}");
        }
        readers.into_iter().map(|reader| reader.join().expect("a reader")).collect()
    });
    let sent = one.data("GET", &format!("/v3/grants/{grant}/messages?in=sent&limit=200&select=id"), json!({}));
    let mut sent: Vec<_> = sent.as_array().expect("a list").iter().map(|message| text(&message["id"])).collect();
    sent.sort_unstable();
    assert_eq!(sent.len(), MESSAGES);
    for (node, mut seen) in seen.into_iter().enumerate() {
        seen.sort_unstable();
        assert_eq!(seen, sent, "node {node}");
    }
}
