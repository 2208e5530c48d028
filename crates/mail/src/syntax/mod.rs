//! The grammar below a message: header fields, encoded words, address lists, parameters, transfer encodings,
//! charsets, dates, HTML and words. Each reader takes any bytes, always yields something, and runs in linear time.

pub(crate) mod address;
pub(crate) mod charset;
pub(crate) mod date;
pub(crate) mod header;
pub(crate) mod html;
pub(crate) mod invisible;
pub(crate) mod octets;
pub(crate) mod parameter;
pub(crate) mod style;
pub(crate) mod tags;
pub(crate) mod transfer;
pub(crate) mod word;
