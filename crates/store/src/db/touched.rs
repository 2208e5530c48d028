//! Which of the watched tables a statement may change rows of, by its text. Rows that are added change no other.

use crate::engine::WATCHED;

/// A set of watched tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched(u8);

impl Touched {
    /// The tables that a statement, or several, may change rows of.
    pub(crate) fn of(sql: &str) -> Self {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words: Vec<String> =
            sql.split(|letter| !is_part(letter)).filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
        let replaces = words.iter().any(|word| word == "conflict" || word == "replace");
        let is_changed = |table: &str| {
            words.iter().enumerate().any(|(place, word)| {
                let before = |by: usize| place.checked_sub(by).map_or("", |place| words[place].as_str());
                word == table
                    && match before(1) {
                        "update" | "table" => true,
                        "from" => before(2) == "delete",
                        "into" => replaces,
                        // An alternative for conflicts stands between: UPDATE OR IGNORE.
                        _ => before(2) == "or" && before(3) == "update",
                    }
            })
        };
        Self(WATCHED.iter().enumerate().filter(|(_, table)| is_changed(table)).fold(0, |all, (bit, _)| all | 1 << bit))
    }

    /// Both sets.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of these is in it.
    pub(crate) fn any_of(self, tables: u8) -> bool {
        self.0 & tables != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_statement_says_what_it_changes() {
        for (sql, expected) in [
            ("UPDATE api_keys SET name = $2 WHERE id = $1", 0b001),
            ("update  api_keys\n set name = $2", 0b001),
            ("UPDATE OR IGNORE api_keys SET name = $2", 0b001),
            ("DELETE FROM grants WHERE id = $1 AND application_id = $2", 0b100),
            ("DELETE FROM api_keys WHERE id = $1; UPDATE organizations SET n = 1", 0b011),
            ("INSERT INTO api_keys (id) VALUES ($1)", 0),
            ("INSERT INTO api_keys(id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET hash = $2", 0b001),
            ("INSERT OR REPLACE INTO grants (id) VALUES ($1)", 0b100),
            ("WITH old AS (SELECT 1) DELETE FROM grants WHERE id IN old RETURNING id", 0b100),
            ("ALTER TABLE organizations ADD COLUMN x", 0b010),
            ("SELECT id FROM grants g JOIN api_keys k ON k.id = g.id", 0),
            ("UPDATE mailboxes SET n = 1 WHERE grant_id IN (SELECT id FROM grants)", 0),
            ("DELETE FROM grants_removed WHERE id = $1", 0),
            ("SAVEPOINT command", 0),
        ] {
            assert_eq!(Touched::of(sql), Touched(expected), "{sql}");
        }
    }
}
