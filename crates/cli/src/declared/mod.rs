//! The fleet as a file: what `postfleet plan`, `apply` and `export` do. Reading, comparing, planning and writing are
//! functions of values; requests are made in `fetch` and `carry_out` alone.

pub mod carry_out;
pub mod commands;
pub mod document;
pub mod fault;
pub mod fetch;
pub mod plan;
pub mod read;
pub mod read_breaker;
pub mod read_rule;
pub mod render;
pub mod spelling;
pub mod state;
pub mod write;
pub mod yaml;
