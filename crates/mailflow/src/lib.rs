//! How mail moves: receive, submit, deliver, events, webhooks, janitor.
