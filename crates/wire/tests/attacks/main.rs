//! What attackers say to a mail server, as tables: message ends that are none, octets before their turn, commands that are
//! not waited for, chunks that lie about their size. Each table says how many cases it has.

mod bdat;
mod extensions;
mod pipelining;
mod smuggling;
mod starttls;
mod support;
