//! SMTP listeners: sockets, TLS and timeouts around the sessions of wire.
