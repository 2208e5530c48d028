//! What the rules said about messages.
