//! Who sent a message: case tables written from the standards, judged with a table in place of the DNS. Each table prints
//! how many of its cases hold.

mod arc;
mod author;
mod dkim;
mod dmarc;
mod mutation;
mod results;
mod spf;
mod support;
