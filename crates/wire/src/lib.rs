//! Protocol sessions, pure: bytes in, replies and effects out.
