//! Message formats, pure: parse, compose, sign, bounce.
