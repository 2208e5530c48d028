//! The outside world: DNS, TLS, SMTP to other servers, webhook HTTP, clock, entropy.
