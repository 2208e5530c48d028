//! Who may do what: organizations, keys, domains, grants.
