//! The only crate that speaks SQL: commands, reads, blobs, migrations.
