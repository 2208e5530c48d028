//! The shape of the workspace, held by tests: which crate may import which, where a library may be used, and which
//! calls belong to one place. Rules are functions of a description, so that each can be shown a violation.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every crate and its layer. A crate may import strictly lower layers only.
const LAYERS: &[(&str, u32)] = &[
    ("postfleet-core", 0),
    ("postfleet-mail", 1),
    ("postfleet-wire", 1),
    ("postfleet-schema", 1),
    ("postfleet-trace", 1),
    ("postfleet-store", 2),
    ("postfleet-net", 2),
    ("postfleet-bus", 2),
    ("postfleet-mailbox", 3),
    ("postfleet-fleet", 3),
    ("postfleet-mailflow", 4),
    ("postfleet-api", 5),
    ("postfleet-smtp", 5),
    ("postfleet-cli", 5),
    ("postfleet", 6),
];

/// Crates that are used by tests alone and so stand outside the layers.
const TEST_CRATES: &[&str] = &["postfleet-testkit"];

/// Crates without a runtime, a clock or I/O.
const PURE: &[&str] = &["postfleet-core", "postfleet-mail", "postfleet-wire", "postfleet-schema"];

/// What would make a pure crate impure.
const RUNTIMES: &[&str] = &[
    "tokio",
    "tokio-util",
    "tokio-rustls",
    "futures",
    "async-std",
    "smol",
    "mio",
    "hyper",
    "hyper-util",
    "axum",
    "reqwest",
    "rusqlite",
    "tokio-postgres",
    "object_store",
    "hickory-resolver",
    "rand",
];

/// Libraries that belong to one place each, with the reason.
const HOMES: &[(&[&str], &[&str], &str)] = &[
    (
        &["rusqlite", "tokio-postgres", "sqlx"],
        &["postfleet-store"],
        "only store speaks SQL: add a command or a read there",
    ),
    (&["object_store"], &["postfleet-store"], "only store keeps bodies: use Store::blobs()"),
    (&["async-nats"], &["postfleet-bus"], "the message bus is spoken to by bus: add to its trait Bus"),
    (
        &["axum", "axum-extra", "tokio-tungstenite", "tungstenite"],
        &["postfleet-api"],
        "HTTP and WebSockets are answered by api: add a route there",
    ),
    (
        &["hyper", "hyper-util", "hyper-rustls"],
        &["postfleet-api", "postfleet-net"],
        "HTTP is answered by api, and spoken to targets by net",
    ),
    (&["hickory-resolver"], &["postfleet-net"], "names are resolved by net: use the Resolver of the platform"),
    (
        &["reqwest", "ureq"],
        // cli reaches the interface that it is pointed at, wherever that is.
        &["postfleet-net", "postfleet-cli"],
        "other servers are reached by net, which guards the address: use WebhookHttp",
    ),
    (
        &["tokio-rustls"],
        // smtp accepts TLS after STARTTLS; it opens no connection of its own.
        &["postfleet-net", "postfleet-smtp"],
        "TLS is begun by net, and accepted by the listeners",
    ),
    (&["rand", "getrandom"], &["postfleet-net"], "chance comes from the Entropy of the platform"),
    (
        &["opentelemetry-otlp", "opentelemetry_sdk", "opentelemetry-appender-tracing", "tonic"],
        &["postfleet"],
        "where telemetry goes is decided by the binary: make spans with postfleet-trace, count in mailflow's Metrics",
    ),
    (&["anyhow"], &["postfleet"], "libraries have their own error types; anyhow is for the binary"),
];

/// A crate as cargo describes it.
#[derive(Debug)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    is_dev: bool,
}

impl Package {
    fn shipped(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().filter(|dependency| !dependency.is_dev).map(|dependency| dependency.name.as_str())
    }
}

fn layer(name: &str) -> Option<u32> {
    LAYERS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, layer)| *layer)
}

fn is_test_crate(name: &str) -> bool {
    TEST_CRATES.contains(&name)
}

/// Rule 1: every crate has a layer, imports strictly lower ones, and uses test crates in tests only.
fn layer_violations(packages: &[Package]) -> Vec<String> {
    let mut violations = Vec::new();
    for package in packages.iter().filter(|package| !is_test_crate(&package.name)) {
        let name = &package.name;
        let Some(own) = layer(name) else {
            violations.push(format!(
                "{name} has no layer: give it one in LAYERS of crates/postfleet/tests/layers.rs and in ARCHITECTURE.md"
            ));
            continue;
        };
        for dependency in package.shipped() {
            match layer(dependency) {
                Some(other) if other >= own => violations.push(format!(
                    "{name} (layer {own}) imports {dependency} (layer {other}): import strictly lower layers only; move \
                     what is shared down, or pass it in as a value"
                )),
                _ if is_test_crate(dependency) => violations
                    .push(format!("{name} ships with {dependency}: move it to [dev-dependencies], it is for tests")),
                _ => {}
            }
        }
    }
    violations
}

/// Rule 2: libraries stay at home.
fn home_violations(packages: &[Package]) -> Vec<String> {
    let mut violations = Vec::new();
    for package in packages.iter().filter(|package| !is_test_crate(&package.name)) {
        for (libraries, homes, instead) in HOMES {
            let strays = package.shipped().filter(|name| libraries.contains(name));
            let is_home = homes.contains(&package.name.as_str());
            violations.extend(strays.filter(|_| !is_home).map(|library| {
                format!("{} depends on {library}, which belongs to {}: {instead}", package.name, homes.join(", "))
            }));
        }
    }
    violations
}

/// Rule 3: pure crates stay pure.
fn purity_violations(packages: &[Package]) -> Vec<String> {
    let pure = packages.iter().filter(|package| PURE.contains(&package.name.as_str()));
    pure.flat_map(|package| {
        let impure = package.shipped().filter(|name| RUNTIMES.contains(name));
        impure.map(|library| {
            format!(
                "{} must stay a crate of pure functions and depends on {library}: take the time, the bytes or the facts \
                 as arguments, and do the effect in net, store or mailflow",
                package.name
            )
        })
    })
    .collect()
}

/// A source file: its path from the workspace's root, and what of it is shipped.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
}

/// What stands in one place only.
struct CallRule {
    what: &'static [&'static str],
    /// Paths or folders where it may stand, each with the reason.
    allowed: &'static [(&'static str, &'static str)],
    instead: &'static str,
}

const CALLS: &[CallRule] = &[
    CallRule {
        what: &[
            "SystemTime::now",
            "Instant::now",
            "tokio::time::sleep",
            "tokio::time::timeout",
            "time::sleep(",
            "thread::sleep",
        ],
        allowed: &[
            ("crates/net/src/clock.rs", "the clock itself"),
            ("crates/net/src/mx_transport", "deadlines of sockets to other servers, which live in real time"),
            (
                "crates/net/src/webhook_http",
                "deadlines of requests to others and how long connections to them are kept, which are real time",
            ),
            ("crates/net/src/resolver/authenticated.rs", "times to live of answers that are kept, which are real time"),
            ("crates/net/src/resolver/memory.rs", "times to live of answers that are kept, which are real time"),
            ("crates/cli/src/surroundings.rs", "a command that waits for a server lives in real time"),
            ("crates/postfleet/src/roles.rs", "the limit on draining at the end, when no clock is simulated any more"),
            ("crates/postfleet/src/dev/tour.rs", "times the visible round trip for the people who look at it"),
            ("crates/testkit/", "servers for tests have no platform"),
        ],
        instead: "take `now` as an argument, or ask the platform's Clock; waiting is clock.sleep_until",
    },
    CallRule {
        what: &[
            "tokio::spawn",
            ".spawn(",
            "task::spawn",
            "thread::spawn",
            "thread::Builder",
            "spawn_blocking",
            "spawn_local",
            ".on_upgrade(",
        ],
        allowed: &[
            ("crates/postfleet/src/roles.rs", "the roles: the only place with loops and tasks"),
            ("crates/postfleet/src/dev/", "the simulated internet and the receiver of `dev`"),
            ("crates/smtp/src/listener.rs", "a task for each connection, bounded and drained"),
            ("crates/store/src/engine/", "the writers"),
            ("crates/store/src/blobs/", "large bodies are compressed and hashed beside the runtime"),
            ("crates/store/src/db/postgres.rs", "the driver's connection wants a task of its own"),
            ("crates/api/src/server.rs", "a task for each connection, bounded and drained"),
            (
                "crates/api/src/routes/event_stream.rs",
                "a task for each WebSocket, which has its place and ends with the node",
            ),
            ("crates/api/src/call.rs", "a request that was accepted is carried out even if its client goes away"),
            ("crates/fleet/src/app_password.rs", "hashing a password is slow on purpose"),
            ("crates/fleet/src/service_accounts.rs", "making an RSA key is slow"),
            ("crates/fleet/src/domains/signing.rs", "making an RSA key takes a tenth of a second"),
            ("crates/testkit/", "servers for tests"),
        ],
        instead: "write a function that does one round and call it from a loop in crates/postfleet/src/roles.rs",
    },
    CallRule {
        what: &["\"SELECT ", "\"INSERT INTO", "\"DELETE FROM", "\"UPDATE ", "\"CREATE TABLE", "\"WITH "],
        allowed: &[
            ("crates/store/", "the only SQL"),
            ("crates/testkit/src/postgres.rs", "starts the server for store's tests"),
        ],
        instead: "add a command or a read to the module of that concept in crates/store",
    },
    CallRule {
        what: &["postfleet_store::db"],
        allowed: &[],
        instead: "rows and parameters stay inside store: give the concept's module a typed function",
    },
    CallRule {
        what: &["process::exit", "process::abort", "env::set_var", "env::remove_var"],
        allowed: &[],
        instead: "return an error to main; pass settings as values",
    },
    CallRule {
        what: &["env::var"],
        allowed: &[
            ("crates/postfleet/src/config/", "configuration has one door"),
            ("crates/cli/src/surroundings.rs", "the one door of the command line, which tests replace"),
            ("crates/testkit/src/postgres.rs", "where the server for tests is installed"),
        ],
        instead: "add a key to the configuration",
    },
];

/// Rule 4: calls stay where they belong.
fn call_violations(rules: &[CallRule], sources: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for source in sources {
        for rule in rules {
            if rule.allowed.iter().any(|(place, _)| source.path.starts_with(place)) {
                continue;
            }
            for (line, what) in occurrences(rule, source) {
                violations.push(format!("{}:{line} has {what}: {}", source.path, rule.instead));
            }
        }
    }
    violations
}

/// Places on the lists where nothing stands any more: an open door that nobody needs.
fn idle_permissions(rules: &[CallRule], sources: &[Source]) -> Vec<String> {
    let places = rules.iter().flat_map(|rule| rule.allowed.iter().map(move |(place, _)| (rule, *place)));
    let is_idle = |(rule, place): &(&CallRule, &str)| {
        let there = sources.iter().filter(|source| source.path.starts_with(place));
        there.flat_map(|source| occurrences(rule, source)).next().is_none()
    };
    let idle = places.filter(is_idle);
    idle.map(|(rule, place)| format!("{place} may have {:?} and has none: take it off the list", rule.what)).collect()
}

fn occurrences<'a>(rule: &'a CallRule, source: &'a Source) -> Vec<(usize, &'static str)> {
    let lines = source.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|(index, line)| {
            rule.what.iter().filter(move |what| line.contains(**what)).map(move |what| (index + 1, *what))
        })
        .collect()
}

/// What of a file is shipped: everything before its tests, which stand last. A declaration of tests that have a file
/// of their own ends nothing.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("workspace")
}

fn workspace() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    packages(&serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn packages(metadata: &Value) -> Vec<Package> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let dependency = |value: &Value| Dependency { name: text(&value["name"]), is_dev: value["kind"] == "dev" };
    let list = |value: &Value| value.as_array().expect("list").clone();
    let package = |value: &Value| Package {
        name: text(&value["name"]),
        dependencies: list(&value["dependencies"]).iter().map(dependency).collect(),
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join("crates")).expect("crates") {
        collect(&entry.expect("entry").path().join("src"), &mut files);
    }
    let is_test = |path: &Path| path.file_name().is_some_and(|name| name == "tests.rs");
    let read = |path: &PathBuf| Source {
        path: path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned(),
        text: shipped(&std::fs::read_to_string(path).expect("text")).to_owned(),
    };
    files.iter().filter(|path| !is_test(path)).map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

// The workspace as it is.

#[test]
fn crates_import_strictly_lower_layers_only() {
    assert_none(&layer_violations(&workspace()));
}

#[test]
fn every_listed_crate_exists() {
    let packages = workspace();
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let listed = LAYERS.iter().map(|(name, _)| *name).chain(TEST_CRATES.iter().copied());
    let gone: Vec<&str> = listed.filter(|name| !names.contains(name)).collect();
    assert!(gone.is_empty(), "{gone:?} have a layer and do not exist: take them off the list");
}

#[test]
fn libraries_stay_at_home() {
    assert_none(&home_violations(&workspace()));
}

#[test]
fn pure_crates_stay_pure() {
    assert_none(&purity_violations(&workspace()));
}

#[test]
fn calls_stay_where_they_belong() {
    assert_none(&call_violations(CALLS, &sources()));
}

#[test]
fn no_permission_is_left_over() {
    assert_none(&idle_permissions(CALLS, &sources()));
}

// The rules themselves: each turns red when it should.

/// Packages from `name: dependency dependency`; a dev-dependency has a leading `~`.
fn plant(lines: &[&str]) -> Vec<Package> {
    let mut packages = BTreeMap::new();
    for line in lines {
        let (name, rest) = line.split_once(':').expect("name: dependencies");
        let dependency =
            |word: &str| Dependency { name: word.trim_start_matches('~').to_owned(), is_dev: word.starts_with('~') };
        packages.insert(name.to_owned(), rest.split_whitespace().map(dependency).collect::<Vec<_>>());
    }
    packages.into_iter().map(|(name, dependencies)| Package { name, dependencies }).collect()
}

fn check(violations: &[String], expected: &[&str]) {
    assert_eq!(violations.len(), expected.len(), "{violations:#?}");
    for (violation, part) in violations.iter().zip(expected) {
        assert!(violation.contains(part), "{violation:?} does not say {part:?}");
    }
}

#[test]
fn an_import_upwards_is_found() {
    check(
        &layer_violations(&plant(&["postfleet-store: postfleet-mailflow serde"])),
        &["imports postfleet-mailflow (layer 4)"],
    );
}

#[test]
fn an_import_sideways_is_found() {
    check(&layer_violations(&plant(&["postfleet-api: postfleet-smtp"])), &["imports postfleet-smtp (layer 5)"]);
}

#[test]
fn an_import_downwards_and_a_dev_dependency_are_well() {
    let packages = plant(&[
        "postfleet-api: postfleet-core ~postfleet-smtp ~postfleet-testkit",
        "postfleet-testkit: postfleet-mailflow",
    ]);
    check(&layer_violations(&packages), &[]);
}

#[test]
fn a_crate_without_a_layer_is_found() {
    check(&layer_violations(&plant(&["postfleet-common: serde"])), &["postfleet-common has no layer"]);
}

#[test]
fn a_test_crate_that_ships_is_found() {
    check(&layer_violations(&plant(&["postfleet-api: postfleet-testkit"])), &["move it to [dev-dependencies]"]);
}

#[test]
fn a_stray_library_is_found() {
    let planted = [
        ("postfleet-fleet: rusqlite", "only store speaks SQL"),
        ("postfleet-mailflow: tokio-postgres", "only store speaks SQL"),
        ("postfleet-mailflow: object_store", "only store keeps bodies"),
        ("postfleet-mailflow: axum", "add a route"),
        ("postfleet-mailflow: hickory-resolver", "use the Resolver"),
        ("postfleet-api: reqwest", "use WebhookHttp"),
        ("postfleet-api: tokio-rustls", "accepted by the listeners"),
        ("postfleet-core: rand", "Entropy"),
        ("postfleet-api: anyhow", "their own error types"),
        ("postfleet-mailflow: opentelemetry-otlp", "make spans with postfleet-trace"),
    ];
    for (line, part) in planted {
        check(&home_violations(&plant(&[line])), &[part]);
    }
    let at_home = ["postfleet-store: rusqlite object_store", "postfleet-smtp: tokio-rustls", "postfleet-api: ~reqwest"];
    check(&home_violations(&plant(&at_home)), &[]);
}

#[test]
fn a_runtime_in_a_pure_crate_is_found() {
    for pure in PURE {
        for runtime in ["tokio", "rusqlite", "reqwest"] {
            check(&purity_violations(&plant(&[&format!("{pure}: {runtime}")])), &["pure functions"]);
        }
        check(&purity_violations(&plant(&[&format!("{pure}: serde ~tokio")])), &[]);
    }
}

fn source(path: &str, text: &str) -> Vec<Source> {
    vec![Source { path: path.to_owned(), text: shipped(text).to_owned() }]
}

/// Tests with a file of their own are declared at the top, and what follows is shipped.
#[test]
fn a_call_behind_a_declaration_of_tests_is_found() {
    let text = "#[cfg(test)]\nmod tests;\n\nfn now() { SystemTime::now() }";
    let violations = call_violations(CALLS, &source("crates/fleet/src/grants.rs", text));
    assert!(violations.iter().any(|violation| violation.contains("grants.rs:4")), "{violations:?}");
}

#[test]
fn a_call_out_of_place_is_found() {
    let planted = [
        ("let now = SystemTime::now();", "ask the platform's Clock"),
        ("let now = std::time::Instant::now();", "ask the platform's Clock"),
        ("tokio::time::sleep(second).await;", "clock.sleep_until"),
        ("tokio::spawn(async {});", "does one round"),
        ("tasks.spawn(async {});", "does one round"),
        ("const FIND: &str = \"SELECT id FROM grants\";", "crates/store"),
        ("const NEW: &str = \"INSERT INTO grants\";", "crates/store"),
        ("use postfleet_store::db::Row;", "typed function"),
        ("std::process::exit(1);", "return an error"),
        ("std::env::set_var(\"A\", \"b\");", "pass settings as values"),
        ("std::env::var(\"HOME\")", "add a key"),
    ];
    for (line, part) in planted {
        let violations = call_violations(CALLS, &source("crates/fleet/src/grants.rs", &format!("// first\n{line}\n")));
        assert!(!violations.is_empty(), "{line}");
        assert!(
            violations[0].starts_with("crates/fleet/src/grants.rs:2 ") && violations[0].contains(part),
            "{violations:?}"
        );
    }
}

#[test]
fn a_call_in_its_place_in_a_comment_or_in_a_test_is_well() {
    check(&call_violations(CALLS, &source("crates/net/src/clock.rs", "SystemTime::now()")), &[]);
    check(&call_violations(CALLS, &source("crates/fleet/src/keys.rs", "/// Not SystemTime::now.\n")), &[]);
    check(
        &call_violations(CALLS, &source("crates/fleet/src/keys.rs", "#[cfg(test)]\nmod tests { tokio::spawn }")),
        &[],
    );
}

#[test]
fn a_permission_that_nobody_needs_is_found() {
    let rules = [CallRule { what: &["x("], allowed: &[("crates/a/", "because")], instead: "y" }];
    check(&idle_permissions(&rules, &source("crates/a/src/lib.rs", "y()")), &["crates/a/ may have"]);
    check(&idle_permissions(&rules, &source("crates/a/src/lib.rs", "x()")), &[]);
}
