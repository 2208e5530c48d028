//! YAML 1.2 as a tree in which every node knows its place. Built from the parser's events without recursion, with a limit
//! on depth and on size, so that no file is too clever for it. Plain words are read by the core schema alone: `no`, `on`
//! and dates are texts, and a number that other readers take for another one (`0100`) is no number.

use super::fault::{At, Fault, did_you_mean};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Octets of a fleet file. A session reads more than this and no further, so that a file is never cut off unseen.
pub const FILE_OCTETS_MAX: usize = 32 << 20;

/// Lists and mappings inside each other.
const DEPTH_MAX: usize = 32;

/// Nodes of a file, those that aliases repeat counted each time.
const NODES_MAX: usize = 4_000_000;

/// A node and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Its first character.
    pub at: At,
    /// What it is.
    pub value: Yaml,
}

/// What a node is.
#[derive(Clone, PartialEq, Debug)]
pub enum Yaml {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A number that is not whole.
    Decimal(f64),
    /// A number that has no room.
    Huge(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in its order.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// Where it stands.
    pub at: At,
    /// Its text.
    pub name: String,
}

impl Yaml {
    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "true or false",
            Self::Whole(_) | Self::Decimal(_) | Self::Huge(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// The same in the words of requests. What is no number there is a text.
    pub fn into_json(self) -> Value {
        match self.value {
            Yaml::Null => Value::Null,
            Yaml::Flag(flag) => json!(flag),
            Yaml::Whole(number) => json!(number),
            Yaml::Decimal(number) => json!(number),
            Yaml::Huge(text) | Yaml::Text(text) => Value::String(text),
            Yaml::List(nodes) => nodes.into_iter().map(Self::into_json).collect(),
            Yaml::Map(entries) => entries.into_iter().map(|(key, node)| (key.name, node.into_json())).collect(),
        }
    }
}

/// Reads the one document of a file.
pub fn parse(text: &str) -> Result<Node, Vec<Fault>> {
    let whole = |text: &str| vec![Fault { file: None, at: None, path: String::new(), text: text.to_owned() }];
    if text.len() > FILE_OCTETS_MAX {
        return Err(whole("the file is larger than 32 MiB; put long lists into items_file"));
    }
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let mut faults = std::mem::take(&mut builder.faults);
            faults.push(Fault::new(place(error.marker()), "", format!("no YAML: {}", error.info())));
            faults
        })?;
        if !builder.take(event, span) {
            break;
        }
    }
    match builder.root {
        Some(root) if builder.faults.is_empty() => Ok(root),
        None if builder.faults.is_empty() => Err(whole("the file is empty; it begins with version: 1")),
        _ => Err(builder.faults),
    }
}

fn place(marker: &saphyr_parser::Marker) -> At {
    At { line: marker.line(), column: marker.col() + 1 }
}

/// A list or mapping whose end has not come.
struct Open {
    at: At,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, known: BTreeMap<String, At>, key: Option<Key> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    /// Finished nodes that aliases may repeat, with how many nodes each is.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    faults: Vec<Fault>,
}

impl Builder {
    /// Takes an event; false if there is no use in going on.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        let at = place(&span.start);
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                return self.stop(at, "a fleet file has one document: take the second --- away");
            }
            Event::Scalar(text, style, anchor, tag) => {
                let value = self.scalar(at, text, style, tag.as_deref());
                return self.finished(Node { at, value }, anchor, 1);
            }
            Event::SequenceStart(anchor, tag) => {
                self.no_tag(at, tag.as_deref());
                return self.begin(Open { at, anchor, content: Content::List(Vec::new()) });
            }
            Event::MappingStart(anchor, tag) => {
                self.no_tag(at, tag.as_deref());
                let content = Content::Map { entries: Vec::new(), known: BTreeMap::new(), key: None };
                return self.begin(Open { at, anchor, content });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return true };
                let value = match open.content {
                    Content::List(list) => Yaml::List(list),
                    Content::Map { entries, .. } => Yaml::Map(entries),
                };
                let node = Node { at: open.at, value };
                let size = if open.anchor == 0 { 1 } else { size(&node) };
                return self.finished(node, open.anchor, size);
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return self.stop(at, "an alias must not stand inside of what it repeats");
                };
                self.nodes += size;
                return self.finished(node, 0, size);
            }
            _ => {}
        }
        true
    }

    fn stop(&mut self, at: At, text: &str) -> bool {
        self.faults.push(Fault::new(at, "", text));
        false
    }

    fn begin(&mut self, open: Open) -> bool {
        let at = open.at;
        if matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. })) {
            return self.stop(at, "a key must be a word");
        }
        self.open.push(open);
        self.open.len() <= DEPTH_MAX || self.stop(at, "lists and mappings are too deep inside each other")
    }

    fn no_tag(&mut self, at: At, tag: Option<&Tag>) {
        if tag.is_some() {
            self.faults.push(Fault::new(at, "", "tags are not known here: take the word with ! away"));
        }
    }

    fn scalar(&mut self, at: At, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Yaml {
        let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        if !is_text {
            self.no_tag(at, tag);
        }
        if is_text || style != ScalarStyle::Plain { Yaml::Text(text.into_owned()) } else { plain(&text) }
    }

    fn finished(&mut self, node: Node, anchor: usize, size: usize) -> bool {
        let at = node.at;
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.stop(at, "the file repeats too much by aliases");
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { content: Content::List(list), .. }) => list.push(node),
            Some(Open { content: Content::Map { entries, known, key }, .. }) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => match key_of(node) {
                    Ok(name) => {
                        if let Some(fault) = key_fault(&name, known) {
                            self.faults.push(fault);
                        }
                        known.insert(name.name.clone(), at);
                        *key = Some(name);
                    }
                    Err(at) => return self.stop(at, "a key must be a word"),
                },
            },
        }
        true
    }
}

fn key_fault(key: &Key, known: &BTreeMap<String, At>) -> Option<Fault> {
    if key.name == "<<" {
        let text =
            "merge keys are not known here: repeat the fields, or repeat a whole value with an anchor and an alias";
        return Some(Fault::new(key.at, "", text));
    }
    let first = known.get(&key.name)?;
    Some(Fault::new(key.at, "", format!("the key {} stands twice in one mapping, first at {first}", key.name)))
}

/// A key is what is written, whatever it would mean as a value: `on` and `1` are words there.
fn key_of(node: Node) -> Result<Key, At> {
    let name = match node.value {
        Yaml::Text(text) | Yaml::Huge(text) => text,
        Yaml::Flag(flag) => flag.to_string(),
        Yaml::Whole(number) => number.to_string(),
        Yaml::Decimal(_) | Yaml::Null | Yaml::List(_) | Yaml::Map(_) => return Err(node.at),
    };
    Ok(Key { at: node.at, name })
}

fn size(node: &Node) -> usize {
    match &node.value {
        Yaml::List(list) => 1 + list.iter().map(size).sum::<usize>(),
        Yaml::Map(entries) => 1 + entries.iter().map(|(_, node)| 1 + size(node)).sum::<usize>(),
        _ => 1,
    }
}

/// What a plain word means.
pub fn plain(text: &str) -> Yaml {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Yaml::Null,
        "true" | "True" | "TRUE" => return Yaml::Flag(true),
        "false" | "False" | "FALSE" => return Yaml::Flag(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Older readers take a leading zero for octal digits.
    let is_octal = digits.len() > 1 && digits.starts_with('0') && is_digits(digits);
    if is_digits(digits) && !is_octal {
        return text.parse().map_or_else(|_| Yaml::Huge(text.to_owned()), Yaml::Whole);
    }
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_decimal = is_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))
        && (is_digits(whole) || is_digits(fraction))
        && [whole, fraction].into_iter().all(|part| part.is_empty() || is_digits(part));
    match text.parse::<f64>() {
        Ok(number) if is_decimal && !is_octal && number.is_finite() => Yaml::Decimal(number),
        _ => Yaml::Text(text.to_owned()),
    }
}

/// The fault of a key that is not among those that are known here.
pub fn unknown_key(key: &Key, path: &str, known: &[&str]) -> Fault {
    let hint = match did_you_mean(&key.name, known.iter().copied()) {
        hint if hint.is_empty() => format!("; known are {}", known.join(", ")),
        hint => hint,
    };
    let path = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
    Fault::new(key.at, path, format!("unknown field{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        parse(text).expect_err("faults").iter().map(|fault| fault.line("f.yaml")).collect()
    }

    fn at(line: usize, column: usize) -> At {
        At { line, column }
    }

    #[test]
    fn every_node_knows_its_place() {
        let root = parse("a: 1\nb:\n  - x\n  - ü: [true, ~]\n").unwrap();
        let Yaml::Map(entries) = &root.value else { panic!("{root:?}") };
        assert_eq!((entries[0].0.at, entries[0].1.at), (at(1, 1), at(1, 4)));
        let Yaml::List(list) = &entries[1].1.value else { panic!("{root:?}") };
        assert_eq!((list[0].at, list[1].at), (at(3, 5), at(4, 5)));
        let Yaml::Map(inner) = &list[1].value else { panic!("{root:?}") };
        let flow =
            Yaml::List(vec![Node { at: at(4, 9), value: Yaml::Flag(true) }, Node { at: at(4, 15), value: Yaml::Null }]);
        assert_eq!(inner[0].1.value, flow);
    }

    #[test]
    fn plain_words_are_those_of_the_core_schema() {
        for text in [
            "no",
            "NO",
            "on",
            "off",
            "yes",
            "y",
            "2026-03-02",
            "1_000",
            "0100",
            "-007",
            "1:30",
            ".inf",
            ".",
            "-",
            "+",
            "1e",
            "e1",
            "0x1F",
            "1.2.3",
            "00.5",
            "nan",
            "inf",
            "tRUE",
        ] {
            // A decimal with leading zeros is no trap: every reader takes it for the same number.
            let expected = if text == "00.5" { Yaml::Decimal(0.5) } else { Yaml::Text(text.to_owned()) };
            assert_eq!(plain(text), expected, "{text}");
        }
        for (text, expected) in [("0", 0), ("-5", -5), ("+7", 7), ("9223372036854775807", i64::MAX)] {
            assert_eq!(plain(text), Yaml::Whole(expected));
        }
        assert_eq!(plain("9223372036854775808"), Yaml::Huge("9223372036854775808".to_owned()));
        for (text, expected) in [("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("-1e3", -1000.0), ("1E-2", 0.01)] {
            assert_eq!(plain(text), Yaml::Decimal(expected));
        }
    }

    #[test]
    fn anchors_repeat_a_value() {
        let root = parse("a: &x [1, 2]\nb: *x\n").unwrap();
        let Yaml::Map(entries) = &root.value else { panic!("{root:?}") };
        assert_eq!(entries[0].1, entries[1].1);
    }

    #[test]
    fn what_is_not_taken_says_why() {
        for (text, expected) in [
            ("", "f.yaml: the file is empty; it begins with version: 1"),
            ("a: 1\na: 2\n", "f.yaml:2:1: the key a stands twice in one mapping, first at 1:1"),
            (
                "a: &x {b: 1}\nc:\n  <<: *x\n",
                "f.yaml:3:3: merge keys are not known here: repeat the fields, or repeat a \
                whole value with an anchor and an alias",
            ),
            ("a: !!binary x\n", "f.yaml:1:13: tags are not known here: take the word with ! away"),
            ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a fleet file has one document: take the second --- away"),
            ("? [a]\n: 1\n", "f.yaml:1:3: a key must be a word"),
            ("a: &x [*x]\n", "f.yaml:1:8: an alias must not stand inside of what it repeats"),
        ] {
            let faults = faults(text);
            assert_eq!(
                faults[0].split_once(": ").map(|(_, text)| text),
                expected.split_once(": ").map(|(_, text)| text)
            );
            assert!(faults[0].starts_with("f.yaml"), "{faults:?}");
        }
        assert!(faults("a: [1\nb: 2")[0].contains("no YAML"), "{:?}", faults("a: [1\nb: 2"));
        assert_eq!(parse("a: !!str 12\n").unwrap().value, parse("a: '12'\n").unwrap().value.clone());
    }

    #[test]
    fn neither_depth_nor_aliases_can_blow_it_up() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        assert!(faults(&deep(DEPTH_MAX + 1))[0].contains("too deep"));
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = [format!("*a{}", level - 1).as_str(); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(faults(&laughs)[0].contains("repeats too much"));
    }
}
