//! Which part of a name its owner registered (RFC 7489 §3.2), by the public suffix list that is built in.

/// The organizational domain of a name in lower-case ASCII: the label below its public suffix and what follows. A public
/// suffix, and a name that has no label below one, is its own.
pub fn organizational(name: &str) -> &str {
    psl::domain_str(name).unwrap_or(name)
}

/// Whether a name, in lower case, ends as names of the internet do.
pub fn is_known(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

/// Whether two names belong to the same owner, or, if `is_strict`, are the same.
pub fn are_aligned(one: &str, other: &str, is_strict: bool) -> bool {
    one.eq_ignore_ascii_case(other) || (!is_strict && organizational(one).eq_ignore_ascii_case(organizational(other)))
}
