//! Rules about mail.
