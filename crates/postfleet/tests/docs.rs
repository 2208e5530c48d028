//! The documents say what the tree holds: every link leads somewhere, every name in a document exists in the code, and
//! nothing that has to be documented is missing.
//!
//! Each check is a function of texts that returns what is wrong; the tests at the end plant a fault for each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many rows each part of the checklist has: `000-01` to `000-56`, and so on.
const ROWS: &[(u32, u32)] = &[(0, 56), (1, 53), (2, 71), (3, 38), (4, 31)];

/// Folders at the root to which a document may refer by a path.
const ROOTS: &[&str] = &["crates/", "docs/", "tests/", "benches/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root of the repository")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of a file of the repository, if there is such a file.
fn file(path: &str) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// All documents, by their path below the root.
fn documents() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(&root(), &mut found);
    assert!(found.contains_key("README.md"), "there is no README.md among {} documents", found.len());
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("read a folder").map(|entry| entry.expect("entry")) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if entry.file_type().expect("kind of an entry").is_dir() {
            if !name.starts_with('.') && !["target", "bench-results", "node_modules"].contains(&name.as_str()) {
                collect(&path, found);
            }
        } else if name.ends_with(".md") {
            let below = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            found.insert(below, std::fs::read_to_string(&path).expect("a document is UTF-8"));
        }
    }
}

/// The sources of all crates.
fn sources() -> Vec<String> {
    let mut folders = vec![root().join("crates")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("read a folder").map(|entry| entry.expect("entry")) {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                sources.push(std::fs::read_to_string(path).expect("a source is UTF-8"));
            }
        }
    }
    sources
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

// The checks ----------------------------------------------------------------------------------------------------------

/// Every row of the checklist once, with a known status; every named test exists; whoever says `yes` names one.
fn check_conformance(table: &str, file: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    let mut lines = table.lines();
    if lines.next() != Some("row\tstatus\ttest\tnote") {
        wrong.push("the first line must name the columns row, status, test, note".to_owned());
    }
    for line in lines {
        let columns: Vec<&str> = line.split('\t').collect();
        let [row, status, tests, note] = columns[..] else {
            wrong.push(format!("{line:?} has {} columns, not 4", columns.len()));
            continue;
        };
        if !all_rows().iter().any(|known| known == row) {
            wrong.push(format!("{row:?} is not a row of the checklist"));
        }
        if !seen.insert(row) {
            wrong.push(format!("{row} is listed twice"));
        }
        match status {
            "yes" if tests.is_empty() => wrong.push(format!("{row} says yes and names no test")),
            "partial" if note.is_empty() => wrong.push(format!("{row} says partial and not what is missing")),
            "no" if !tests.is_empty() => wrong.push(format!("{row} says no and names a test")),
            "no" if note.is_empty() => wrong.push(format!("{row} says no and not why")),
            "yes" | "partial" | "no" => {}
            _ => wrong.push(format!("{row} has the unknown status {status:?}")),
        }
        for test in tests.split("; ").filter(|test| !test.is_empty()) {
            wrong.extend(check_test(test, &file).map(|cause| format!("{row}: {cause}")));
        }
    }
    let missing = all_rows().into_iter().filter(|row| !seen.contains(row.as_str()));
    wrong.extend(missing.map(|row| format!("{row} is missing")));
    wrong
}

fn all_rows() -> Vec<String> {
    ROWS.iter().flat_map(|(part, rows)| (1..=*rows).map(move |row| format!("{part:03}-{row:02}"))).collect()
}

/// What is wrong with `path::name` as the name of a test.
fn check_test(test: &str, file: impl Fn(&str) -> Option<String>) -> Option<String> {
    let Some((path, name)) = test.split_once("::") else { return Some(format!("{test:?} is not path::name")) };
    let Some(text) = file(path) else { return Some(format!("{path} does not exist")) };
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let has_attribute = |index: usize| {
        let above = lines[..index].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.into_iter().any(|line| line.starts_with("#[test") || line.starts_with("#[tokio::test"))
    };
    let is_test = |index| if path.ends_with(".py") { name.starts_with("test_") } else { has_attribute(index) };
    let heads = [format!("fn {name}("), format!("async fn {name}("), format!("def {name}(")];
    match lines.iter().position(|line| heads.iter().any(|head| line.starts_with(head))) {
        None => Some(format!("{path} has no function {name}")),
        Some(index) if !is_test(index) => Some(format!("{name} in {path} is not a test")),
        Some(_) => None,
    }
}

/// Relative links lead to files, and to headings in them.
fn check_links(documents: &BTreeMap<String, String>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (document, text) in documents {
        for target in links(text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() { document.clone() } else { beside(document, path) };
            if !exists(&path) {
                wrong.push(format!("{document} links to {target}, which does not exist"));
            } else if !heading.is_empty() && !documents.get(&path).is_some_and(|text| has_heading(text, heading)) {
                wrong.push(format!("{document} links to {target}, and {path} has no such heading"));
            }
        }
    }
    wrong
}

/// The targets of all links outside of code.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose(text) {
        let without_code: String = line.split('`').step_by(2).collect();
        let ends = without_code.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.extend(ends.map(|(target, _)| target.to_owned()));
    }
    targets
}

/// The lines that are not in a block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !is_fence && !in_block
    })
}

/// A relative path as seen from a document, from the root.
fn beside(document: &str, path: &str) -> String {
    let mut steps: Vec<&str> = document.split('/').collect();
    steps.pop();
    for step in path.split('/') {
        match step {
            "." | "" => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps.join("/")
}

fn has_heading(text: &str, wanted: &str) -> bool {
    let anchor = |heading: &str| -> String {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    prose(text).any(|line| line.starts_with('#') && anchor(line.trim_start_matches('#')) == wanted)
}

/// What documents name in the tree exists: `crates/…` is a file or a folder, and `path::name` a function, type or
/// constant in that file.
fn check_references(
    documents: &BTreeMap<String, String>,
    exists: impl Fn(&str) -> bool,
    file: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (document, text) in documents {
        for reference in references(text) {
            let (path, name) = reference.split_once("::").unwrap_or((&reference, ""));
            if !exists(path.trim_end_matches('/')) {
                wrong.push(format!("{document} names {path}, which does not exist"));
            } else if !name.is_empty() && !file(path).is_some_and(|text| defines(&text, name)) {
                wrong.push(format!("{document} names {name} in {path}, which defines no such thing"));
            }
        }
    }
    wrong
}

/// Words that begin with one of [`ROOTS`]. Those with a placeholder (`<concept>`, `*`) are for people.
fn references(text: &str) -> Vec<String> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "_-./:<>*".contains(c);
    let words = text.split(|c| !is_of_word(c)).map(|word| word.trim_end_matches(['.', ':']));
    let of_tree = words.filter(|word| ROOTS.iter().any(|root| word.starts_with(root) && word.len() > root.len()));
    of_tree.filter(|word| !word.contains(['<', '*'])).map(str::to_owned).collect()
}

fn defines(text: &str, name: &str) -> bool {
    const KINDS: [&str; 7] = ["fn", "struct", "enum", "trait", "const", "type", "def"];
    let continues = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    KINDS.iter().any(|kind| {
        let head = format!("{kind} {name}");
        text.match_indices(&head).any(|(at, _)| !continues(&text[at + head.len()..]))
    })
}

/// Every key of the configuration is described, and nothing is described that is no key.
fn check_configuration(defaults: &str, document: &str) -> Vec<String> {
    let keys = keys(defaults);
    let described: BTreeSet<&str> = first_cells(document).filter(|cell| cell.contains('.')).collect();
    let missing = keys.iter().filter(|key| !described.contains(key.as_str()));
    let missing = missing.map(|key| format!("{key} is not described"));
    let unknown = described.iter().filter(|cell| !keys.contains(**cell));
    missing.chain(unknown.map(|cell| format!("{cell} is described and no key"))).collect()
}

fn keys(defaults: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut keys = BTreeSet::new();
    for line in defaults.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

/// What stands in backticks at the beginning of a row of a table.
fn first_cells(document: &str) -> impl Iterator<Item = &str> {
    document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(cell, _)| cell))
}

/// Decisions are numbered without gaps, and each is in the list.
fn check_decisions(files: &[String], list: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let listed = links(list);
    for (index, name) in files.iter().enumerate() {
        if !name.starts_with(&format!("{:04}-", index + 1)) {
            wrong.push(format!("docs/adr/{name} is not number {:04}", index + 1));
        }
        if !listed.contains(name) {
            wrong.push(format!("docs/adr/README.md does not list {name}"));
        }
    }
    wrong
}

/// Every one of some texts stands in a document; `what` says which texts they are.
fn check_named(what: &str, wanted: &[String], path: &str, document: &str) -> Vec<String> {
    if wanted.is_empty() {
        return vec![format!("found no {what} to look for in {path}")];
    }
    let missing = wanted.iter().filter(|text| !document.contains(text.as_str()));
    missing.map(|text| format!("{path} has no {what} {text}")).collect()
}

/// What stands between quotation marks after each occurrence of `before`.
fn quoted_after(text: &str, before: &str) -> Vec<String> {
    let ends = text.split(before).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split_once('"'));
    ends.map(|(quoted, _)| quoted.to_owned()).collect()
}

/// The codes of all problems that a source makes: the word after each kind.
fn codes(source: &str) -> Vec<String> {
    let made = source.split("Problem::new(").flat_map(|rest| rest.split("Self::new(")).skip(1);
    let kinds = made.filter_map(|rest| rest.trim_start().strip_prefix("ProblemKind::")?.split_once(','));
    kinds.filter_map(|(_, rest)| Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned())).collect()
}

/// The rows of the table in a snapshot: what stands below its second `---`.
fn snapshot_rows(snapshot: &str) -> impl Iterator<Item = &str> {
    snapshot.splitn(3, "---\n").nth(2).unwrap_or_default().lines()
}

/// The beginning of the row of each kind, as the source of the HTTP table has it.
fn http_table(source: &str) -> Vec<String> {
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix("ProblemKind::")?.split_once(" => ("));
    arms.map(|(kind, rest)| {
        let (status, rest) = rest.split_once(", ").unwrap_or_default();
        format!("| `{kind}` | {status} | `{}` |", rest.split('"').nth(1).unwrap_or_default())
    })
    .collect()
}

/// The external crates that manifests use.
fn dependencies(manifests: &[String]) -> Vec<String> {
    let mut names = BTreeSet::new();
    for manifest in manifests {
        let mut of_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                of_dependencies = line.ends_with("dependencies]");
            } else if let Some((name, _)) = line.split_once(['.', ' ']).filter(|_| of_dependencies) {
                names.insert(name.to_owned());
            }
        }
    }
    names.into_iter().filter(|name| !name.starts_with("postfleet") && !name.starts_with('#')).collect()
}

// The tree ------------------------------------------------------------------------------------------------------------

#[test]
fn conformance_names_every_row_and_tests_that_exist() {
    assert_none(&check_conformance(&read("docs/conformance.tsv"), file));
    let rows: Vec<String> = all_rows().iter().map(|row| format!("| {row} |")).collect();
    let path = "docs/conformance.md";
    assert_none(&check_named("row", &rows, path, &read(path)));
}

#[test]
fn links_lead_somewhere() {
    assert_none(&check_links(&documents(), exists));
}

#[test]
fn what_documents_name_exists() {
    assert_none(&check_references(&documents(), exists, file));
}

#[test]
fn every_key_of_the_configuration_is_described() {
    let defaults = read("crates/postfleet/src/config/default.toml");
    assert_none(&check_configuration(&defaults, &read("docs/reference/configuration.md")));
}

#[test]
fn every_decision_is_listed() {
    let folder = std::fs::read_dir(root().join("docs/adr")).expect("docs/adr");
    let names = folder.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned());
    let mut decisions: Vec<String> = names.filter(|name| name.ends_with(".md") && name != "README.md").collect();
    decisions.sort();
    assert_none(&check_decisions(&decisions, &read("docs/adr/README.md")));
}

#[test]
fn every_route_and_trigger_is_described() {
    let path = "docs/reference/api.md";
    let routes: BTreeSet<String> = postfleet_api::table().into_iter().map(|(_, path)| path.to_owned()).collect();
    let routes: Vec<String> = routes.into_iter().collect();
    assert_none(&check_named("route", &routes, path, &read(path)));
    let names = quoted_after(&read("crates/core/src/event.rs"), "=>");
    let triggers: Vec<String> = names.into_iter().filter(|name| !name.starts_with('/')).collect();
    assert_none(&check_named("trigger", &triggers, path, &read(path)));
}

#[test]
fn every_metric_is_described() {
    let (path, source) = ("docs/operate.md", read("crates/mailflow/src/metrics.rs"));
    let mut names = quoted_after(&source, "counter(");
    names.extend(
        ["gauge(", "histogram(", "u64_observable_counter("].iter().flat_map(|kind| quoted_after(&source, kind)),
    );
    assert_none(&check_named("metric", &names, path, &read(path)));
}

#[test]
fn every_problem_is_described_as_both_tables_have_it() {
    let (path, smtp) = ("docs/reference/errors.md", "crates/wire/src/smtp/snapshots");
    let smtp = read(&format!("{smtp}/postfleet_wire__smtp__problem__tests__the_table.snap"));
    let http = http_table(&read("crates/schema/src/error.rs"));
    // "Invalid  554 5.6.0 message not acceptable"
    let smtp = snapshot_rows(&smtp).map(|row| {
        let mut words = row.split_whitespace();
        let mut word = || words.next().unwrap_or_default();
        let (kind, code, status) = (word(), word(), word());
        format!("| `{kind}` | {code} | {status} | {} |", words.collect::<Vec<_>>().join(" "))
    });
    assert_none(&check_named("reply", &smtp.collect::<Vec<_>>(), path, &read(path)));
    assert_none(&check_named("answer", &http, path, &read(path)));
    let submission =
        read("crates/wire/src/smtp/snapshots/postfleet_wire__smtp__problem__tests__the_table_of_submission.snap");
    // "Invalid  554 5.6.0 …", or "Invalid some_code 554 5.6.0 …"
    let submission = snapshot_rows(&submission).map(|row| {
        let words: Vec<&str> = row.split_whitespace().collect();
        let at = words.iter().position(|word| word.parse::<u16>().is_ok()).unwrap_or_default();
        format!("| `{}` | {} | {} |", words[at - 1], words[at], words[at + 1])
    });
    assert_none(&check_named("reply to mail clients", &submission.collect::<Vec<_>>(), path, &read(path)));
}

#[test]
fn every_code_of_a_problem_is_described() {
    let (path, mut made) = ("docs/reference/errors.md", BTreeSet::new());
    for source in sources() {
        made.extend(codes(&source).into_iter().map(|code| format!("`{code}`")));
    }
    assert!(made.len() > 10, "codes are not found any more: {made:?}");
    assert_none(&check_named("code", &made.into_iter().collect::<Vec<_>>(), path, &read(path)));
}

#[test]
fn every_dependency_has_its_reason() {
    let crates = std::fs::read_dir(root().join("crates")).expect("crates");
    let manifests = crates.map(|entry| entry.expect("entry").path().join("Cargo.toml"));
    let manifests: Vec<String> = manifests.filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    let rows: Vec<String> = dependencies(&manifests).iter().map(|name| format!("| `{name}` |")).collect();
    let path = "docs/adr/0013-dependencies-and-licences.md";
    assert_none(&check_named("dependency", &rows, path, &read(path)));
}

// Planted faults ------------------------------------------------------------------------------------------------------

mod planted {
    use super::*;

    /// Exactly these complaints, by a part of each.
    fn expect(wrong: &[String], parts: &[&str]) {
        assert_eq!(wrong.len(), parts.len(), "{wrong:#?}");
        for part in parts {
            assert!(wrong.iter().any(|text| text.contains(part)), "nothing says {part:?}: {wrong:#?}");
        }
    }

    fn documents(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
        texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    /// A table with every row, in which `lines` take the place of theirs.
    fn table(lines: &[&str]) -> String {
        let given: BTreeSet<&str> = lines.iter().filter_map(|line| line.split('\t').next()).collect();
        let rest = all_rows().into_iter().filter(|row| !given.contains(row.as_str()));
        let rest = rest.map(|row| format!("{row}\tno\t\tnot there yet"));
        let all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).chain(rest).collect();
        format!("row\tstatus\ttest\tnote\n{}\n", all.join("\n"))
    }

    fn tests_of(path: &str) -> Option<String> {
        let rust = "#[test]\nfn works() {}\n\n#[tokio::test(flavor = \"x\")]\n// Why.\nasync fn waits() {}\n\n\
            fn helper() {}\n";
        let python = "def test_works(server):\n    pass\n\ndef helper():\n    pass\n";
        match path {
            "a.rs" => Some(rust.to_owned()),
            "b.py" => Some(python.to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_whole_table_passes() {
        let lines = ["000-01\tyes\ta.rs::works; b.py::test_works\t", "000-02\tpartial\ta.rs::waits\tone of two"];
        expect(&check_conformance(&table(&lines), tests_of), &[]);
    }

    #[test]
    fn a_wrong_row_is_found() {
        let check = |lines: &[&str]| check_conformance(&table(lines), tests_of);
        expect(&check(&["000-01\tyes\t\t"]), &["names no test"]);
        expect(&check(&["000-01\tyes\ta.rs::work\t"]), &["000-01: a.rs has no function work"]);
        expect(&check(&["000-01\tpartial\ta.rs::works\t"]), &["not what is missing"]);
        expect(&check(&["000-01\tno\t\t"]), &["not why"]);
        expect(&check(&["000-01\tno\ta.rs::works\tlater"]), &["says no and names a test"]);
        expect(&check(&["000-01\tdone\ta.rs::works\t"]), &["unknown status"]);
        expect(&check(&["000-01\tyes\ta.rs::works"]), &["3 columns", "000-01 is missing"]);
        expect(&check(&["000-57\tno\t\tlater"]), &["\"000-57\" is not a row"]);
        expect(&check(&["0-1\tno\t\tlater"]), &["\"0-1\" is not a row"]);
        expect(&check(&["000-01\tno\t\tlater", "000-01\tno\t\tlater"]), &["listed twice"]);
        expect(&check_conformance(&table(&[]).replace("row\t", "id\t"), tests_of), &["must name the columns"]);
        let cut = table(&[]).replace("004-31\tno\t\tnot there yet\n", "");
        expect(&check_conformance(&cut, tests_of), &["004-31 is missing"]);
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        let check = |test: &str| check_test(test, tests_of).map_or(Vec::new(), |cause| vec![cause]);
        expect(&check("a.rs::works"), &[]);
        expect(&check("a.rs::waits"), &[]);
        expect(&check("b.py::test_works"), &[]);
        expect(&check("a.rs"), &["not path::name"]);
        expect(&check("c.rs::works"), &["does not exist"]);
        expect(&check("a.rs::work"), &["no function work"]);
        expect(&check("a.rs::helper"), &["is not a test"]);
        expect(&check("b.py::helper"), &["is not a test"]);
    }

    #[test]
    fn a_dead_link_is_found() {
        let a = "[b](docs/B.md) [c](docs/B.md#two-words) [x](https://example.com) `[no](link)` [self](#a)\n# A\n";
        let b = "[a](../A.md)\n```\n[no](link)\n# No heading\n```\n## Two words\n";
        let exists = |path: &str| ["A.md", "docs/B.md"].contains(&path);
        expect(&check_links(&documents(&[("A.md", a), ("docs/B.md", b)]), exists), &[]);
        let broken = "[b](docs/C.md) [c](docs/B.md#no-heading) [d](#b)";
        let wrong = check_links(&documents(&[("A.md", broken), ("docs/B.md", b)]), exists);
        expect(&wrong, &["docs/C.md, which does not", "docs/B.md#no-heading, and", "#b, and"]);
    }

    #[test]
    fn a_dead_reference_is_found() {
        let file = |path: &str| (path == "crates/a.rs").then(|| "pub async fn run() {}\nstruct Runner;\n".to_owned());
        let check = |text: &str| check_references(&documents(&[("A.md", text)]), |path| path == "crates/a.rs", file);
        expect(&check("`crates/a.rs::run`, crates/a.rs, crates/<name>, crates/*/src, `crates/a.rs::Runner`."), &[]);
        expect(&check("`crates/b.rs`"), &["crates/b.rs, which does not exist"]);
        expect(&check("```\ncrates/a.rs::runs   text\n```"), &["names runs in crates/a.rs"]);
        expect(&check("`crates/a.rs::Run`"), &["names Run in crates/a.rs"]);
    }

    #[test]
    fn an_undescribed_key_is_found() {
        let defaults = "[http]\n# Where.\n# no = key\nlisten = \"a\"\n[log]\nlevel = \"info\"\n";
        expect(&check_configuration(defaults, "| `http.listen` | x |\n| `log.level` | x |\n| Key |\n"), &[]);
        let wrong = check_configuration(defaults, "| `http.listen` | x |\n| `log.size` | x |\n");
        expect(&wrong, &["log.level is not described", "log.size is described"]);
    }

    #[test]
    fn an_unlisted_decision_is_found() {
        let files = ["0001-a.md", "0003-b.md"].map(str::to_owned);
        expect(&check_decisions(&files[..1], "[1](0001-a.md)"), &[]);
        expect(&check_decisions(&files, "[1](0001-a.md)"), &["is not number 0002", "does not list 0003-b.md"]);
    }

    #[test]
    fn an_undescribed_name_is_found() {
        let routes = quoted_after("x.route(\"/a\", y)\n.route(\n  \"/b/{c}\",\n)", ".route(");
        assert_eq!(routes, ["/a", "/b/{c}"]);
        expect(&check_named("route", &routes, "A.md", "`/a` and `/b/{c}`"), &[]);
        expect(&check_named("route", &routes, "A.md", "`/a`"), &["no route /b/{c}"]);
        expect(&check_named("route", &[], "A.md", "`/a`"), &["found no route"]);
    }

    #[test]
    fn sources_are_read_as_they_are_written() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\npostfleet-core.workspace = true\ntokio.workspace = true\n\
            [dev-dependencies]\ninsta = { workspace = true }\n[features]\nworld = []\n";
        assert_eq!(dependencies(&[manifest.to_owned()]), ["insta", "tokio"]);
        let source = "Problem::new(ProblemKind::Invalid, \"one\", x) Self::new(ProblemKind::NotFound,\n  \"two\", y) \
            Problem::new(kind, code, z) Problem::new(*kind, \"x\", \"x\")";
        assert_eq!(codes(source), ["one", "two"]);
        let arms = "    ProblemKind::NotFound => (404, \"not_found_error\"),\n";
        assert_eq!(http_table(arms), ["| `NotFound` | 404 | `not_found_error` |"]);
        let snapshot = "---\nsource: a\nexpression: \"b\"\n---\nInvalid: 400\nInternal: 500\n";
        assert_eq!(snapshot_rows(snapshot).collect::<Vec<_>>(), ["Invalid: 400", "Internal: 500"]);
    }
}
