//! What is wrong with a fleet file: each fault with its file, line, column and field, so that an editor can go there.

use std::fmt;

/// A place in a file: line and column, both from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct At {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Another file than the fleet file itself: one that it names.
    pub file: Option<String>,
    /// Where; a fault of the whole file has no place.
    pub at: Option<At>,
    /// The field, such as `workspaces[3].policy`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl Fault {
    /// A fault of a field.
    pub fn new(at: At, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { file: None, at: Some(at), path: path.into(), text: text.into() }
    }

    /// The line that is told: `fleet.yaml:12:5: workspaces[3].policy: …`.
    pub fn line(&self, fleet_file: &str) -> String {
        let mut line = self.file.as_deref().unwrap_or(fleet_file).to_owned();
        if let Some(at) = self.at {
            line.push_str(&format!(":{at}"));
        }
        line.push_str(": ");
        if !self.path.is_empty() {
            line.push_str(&format!("{}: ", self.path));
        }
        line.push_str(&self.text);
        // A file may come from anybody, and would move the cursor or colour the screen.
        line.replace(char::is_control, "\u{fffd}")
    }
}

impl fmt::Display for At {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// ` (did you mean x?)` with the known word that is the fewest edits away, if one is near enough to be meant.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let word: String = word.chars().take(WORD_CHARS_MAX).collect();
    let near = known.into_iter().filter(|candidate| candidate.chars().count() <= WORD_CHARS_MAX);
    let nearest = near.map(|candidate| (distance(&word, candidate), candidate)).min();
    match nearest {
        Some((edits, candidate)) if edits <= 1 + word.chars().count() / 3 => format!(" (did you mean {candidate}?)"),
        _ => String::new(),
    }
}

/// Words that are longer are not compared: the work grows with the square.
const WORD_CHARS_MAX: usize = 128;

/// Levenshtein distance; letters in another case are the same.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let (a, b) = (fold(a), fold(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_with_its_place() {
        let fault = Fault::new(At { line: 12, column: 5 }, "workspaces[3].policy", "no policy has that name");
        assert_eq!(fault.line("fleet.yaml"), "fleet.yaml:12:5: workspaces[3].policy: no policy has that name");
        let whole = Fault { file: Some("b.txt".into()), at: None, path: String::new(), text: "gone".into() };
        assert_eq!(whole.line("fleet.yaml"), "b.txt: gone");
        let odd = Fault { at: None, path: "a\u{1b}[31m".into(), ..fault };
        assert_eq!(odd.line("f"), "f: a\u{fffd}[31m: no policy has that name");
    }

    #[test]
    fn the_nearest_word_is_offered_only_if_it_is_near() {
        assert_eq!(did_you_mean("polcy", ["policy", "rules"]), " (did you mean policy?)");
        assert_eq!(did_you_mean("Name", ["name"]), " (did you mean name?)");
        assert_eq!(did_you_mean("zebra", ["policy", "rules"]), "");
        assert_eq!(did_you_mean("x", []), "");
    }
}
