//! Writing messages: header fields that fold, and bodies in a transfer encoding. What is written is ASCII with CRLF
//! line ends and lines of at most 998 octets (RFC 5322 §2.1.1), whatever is put in.

pub(crate) mod body;
pub(crate) mod header;
