//! Protocol sessions, pure: bytes in, replies and effects out.
//!
//! Nothing here reads a socket, a clock or a store. A session is fed what came in, says what should happen next, and
//! holds what should go out; whoever owns the connection does the rest and enforces the deadlines.

pub mod proxy;
pub mod smtp;
