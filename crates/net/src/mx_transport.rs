//! SMTP to other mail servers.
