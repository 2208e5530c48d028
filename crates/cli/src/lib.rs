//! The command line for operators.

pub mod declared;
