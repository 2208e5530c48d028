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
//! | `{share}`       | (one writer)     | `FOR SHARE`              |
//! | `{skip_locked}` | (one writer)     | `FOR UPDATE SKIP LOCKED` |
//! | `{json_each}`   | `json_each`      | `json_array_elements`    |
//! | `{hex_id}`      | `unhex`          | `uuid`                   |
//!
//! `{json_each}($1) AS e` reads a JSON list of lists: `e.value ->> 0` is the first text of each. `{hex_id}(…)` makes an
//! id of its 32 hexadecimal digits.

const SQLITE: &[(&str, &str)] = &[
    ("{id}", "BLOB"),
    ("{int}", "INTEGER"),
    ("{bytes}", "BLOB"),
    ("{clustered}", "STRICT, WITHOUT ROWID"),
    ("{strict}", "STRICT"),
    ("{lock}", ""),
    ("{share}", ""),
    ("{skip_locked}", ""),
    ("{json_each}", "json_each"),
    ("{hex_id}", "unhex"),
];

const POSTGRES: &[(&str, &str)] = &[
    ("{id}", "UUID"),
    ("{int}", "BIGINT"),
    ("{bytes}", "BYTEA"),
    ("{clustered}", ""),
    ("{strict}", ""),
    ("{lock}", "FOR UPDATE"),
    ("{share}", "FOR SHARE"),
    ("{skip_locked}", "FOR UPDATE SKIP LOCKED"),
    ("{json_each}", "json_array_elements"),
    ("{hex_id}", "uuid"),
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
