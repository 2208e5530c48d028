//! What the rules said about a message.
