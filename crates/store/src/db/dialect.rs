//! All that differs between the two engines in otherwise shared statements.
//!
//! | fragment        | SQLite           | PostgreSQL               |
//! |-----------------|------------------|--------------------------|
//! | `{id}`          | `BLOB`           | `UUID`                   |
//! | `{int}`         | `INTEGER`        | `BIGINT`                 |
//! | `{bytes}`       | `BLOB`           | `BYTEA`                  |
//! | `{clustered}`   | rows in key order| (nothing)                |
//! | `{strict}`      | checked kinds    | (nothing)                |
//! | `{lock}`        | (one writer)     | `FOR UPDATE`             |
//! | `{skip_locked}` | (one writer)     | `FOR UPDATE SKIP LOCKED` |

const SQLITE: &[(&str, &str)] = &[
    ("{id}", "BLOB"),
    ("{int}", "INTEGER"),
    ("{bytes}", "BLOB"),
    ("{clustered}", "STRICT, WITHOUT ROWID"),
    ("{strict}", "STRICT"),
    ("{lock}", ""),
    ("{skip_locked}", ""),
];

const POSTGRES: &[(&str, &str)] = &[
    ("{id}", "UUID"),
    ("{int}", "BIGINT"),
    ("{bytes}", "BYTEA"),
    ("{clustered}", ""),
    ("{strict}", ""),
    ("{lock}", "FOR UPDATE"),
    ("{skip_locked}", "FOR UPDATE SKIP LOCKED"),
];

/// The text for SQLite. Placeholders become `?1`, since SQLite numbers `$1` by appearance and not by its number.
pub fn sqlite(sql: &str) -> String {
    substitute(sql, SQLITE).replace('$', "?")
}

/// The text for PostgreSQL.
pub fn postgres(sql: &str) -> String {
    substitute(sql, POSTGRES)
}

fn substitute(sql: &str, fragments: &[(&str, &str)]) -> String {
    fragments.iter().fold(sql.to_owned(), |text, (fragment, replacement)| text.replace(fragment, replacement))
}
