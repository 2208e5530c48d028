//! The HTTP JSON interface.
