//! What an account holds: messages, threads, folders.
