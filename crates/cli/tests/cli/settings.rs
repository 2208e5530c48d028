//! Where the key comes from.
