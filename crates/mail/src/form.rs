//! Reading `multipart/form-data` (RFC 7578) piece by piece, as it comes: what is kept of it is up to whoever listens, and
//! nothing but the header of one part and the length of a boundary is kept here.
//!
//! Names of parts and files are read as all kinds of clients write them: raw UTF-8, RFC 2231, RFC 2047, and `%22` for the
//! quotation mark (the HTML standard).

use crate::syntax::header::Fields;
use crate::syntax::parameter::Parameterized;
use crate::syntax::transfer::{self, Encoding};
use memchr::memmem::{self, Finder};

/// Octets of the header of one part.
pub const PART_HEADER_OCTETS_MAX: usize = 16 << 10;

/// Parts of one form.
pub const PARTS_MAX: usize = 1_000;

/// Octets of a boundary (RFC 2046 §5.1.1).
const BOUNDARY_OCTETS_MAX: usize = 70;

/// Octets of white space behind a boundary (RFC 2046 §5.1.1 `transport-padding`).
const PADDING_OCTETS_MAX: usize = 256;

/// What the header of a part says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PartHead {
    /// The name of the field.
    pub name: String,
    /// The name of the file, if there is one; it may be empty.
    pub filename: Option<String>,
    /// The media type as it stands there; empty if it is not said.
    pub content_type: String,
    /// The transfer encoding in lower case, if there is one. Few clients still encode (RFC 7578 §4.7).
    pub transfer_encoding: Option<String>,
}

/// Whoever listens to a form.
pub trait Listener {
    /// Why it wants no more.
    type Refusal;
    /// A part begins.
    fn part(&mut self, head: PartHead) -> Result<(), Self::Refusal>;
    /// Octets of the part that began last.
    fn octets(&mut self, octets: &[u8]) -> Result<(), Self::Refusal>;
}

/// Why a form is not read further.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop<R> {
    /// It is no form.
    Malformed(FormError),
    /// The listener wants no more.
    Refused(R),
}

/// What is wrong with a form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormError {
    /// The media type names no boundary that may be one.
    #[error("its Content-Type names no boundary of 1 to {BOUNDARY_OCTETS_MAX} characters")]
    Boundary,
    /// Something else than white space stands behind a boundary.
    #[error("a boundary is followed by something else than a line end")]
    AfterBoundary,
    /// The header of a part is too long.
    #[error("the header of a part is longer than {PART_HEADER_OCTETS_MAX} bytes")]
    HeaderTooLong,
    /// The header of a part is no header.
    #[error("the header of a part has a line that is not a field")]
    MalformedHeader,
    /// A part is not named.
    #[error("a part has no Content-Disposition with a name")]
    NoName,
    /// There are too many parts.
    #[error("it has more than {PARTS_MAX} parts")]
    TooManyParts,
    /// The last boundary is missing.
    #[error("it ends before its last boundary")]
    Unfinished,
}

/// Where the reader is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Before the first boundary.
    Preamble,
    /// Right behind a boundary.
    AfterBoundary,
    /// In the header of a part.
    Header,
    /// In a part.
    Content,
    /// Behind the last boundary.
    Epilogue,
}

/// A form that is being read.
pub struct FormReader {
    /// CRLF, two hyphens and the boundary.
    delimiter: Finder<'static>,
    place: Place,
    /// What came and is not read yet.
    buffer: Vec<u8>,
    parts: usize,
}

impl FormReader {
    /// A reader for a body of this media type.
    pub fn new(content_type: &str) -> Result<Self, FormError> {
        let parsed = Parameterized::parse(content_type);
        let boundary = parsed.get("boundary").unwrap_or_default();
        let is_good = (1..=BOUNDARY_OCTETS_MAX).contains(&boundary.len())
            && boundary.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
            && !boundary.ends_with(' ');
        if !is_good {
            return Err(FormError::Boundary);
        }
        let delimiter = Finder::new(format!("\r\n--{boundary}").as_bytes()).into_owned();
        // The first boundary may stand at the very beginning, without a line end before it.
        Ok(Self { delimiter, place: Place::Preamble, buffer: b"\r\n".to_vec(), parts: 0 })
    }

    /// Reads the next octets.
    pub fn push<L: Listener>(&mut self, octets: &[u8], listener: &mut L) -> Result<(), Stop<L::Refusal>> {
        if self.place == Place::Epilogue {
            return Ok(());
        }
        self.buffer.extend_from_slice(octets);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        while let Some(read) = self.step(&buffer[at..], listener)? {
            at += read;
        }
        if self.place == Place::Epilogue {
            buffer.clear();
        } else {
            buffer.drain(..at);
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Whether the form was whole.
    pub fn finish(self) -> Result<(), FormError> {
        if self.place == Place::Epilogue { Ok(()) } else { Err(FormError::Unfinished) }
    }

    /// Reads something from the front and tells how much; nothing if more must come first.
    fn step<L: Listener>(&mut self, rest: &[u8], listener: &mut L) -> Result<Option<usize>, Stop<L::Refusal>> {
        let read = match self.place {
            Place::Preamble | Place::Content => return self.content(rest, listener).map_err(Stop::Refused),
            Place::AfterBoundary => self.after_boundary(rest),
            Place::Header => match self.header(rest) {
                Ok(Some((read, head))) => {
                    listener.part(head).map_err(Stop::Refused)?;
                    Ok(Some(read))
                }
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            },
            Place::Epilogue => Ok(None),
        };
        read.map_err(Stop::Malformed)
    }

    fn content<L: Listener>(&mut self, rest: &[u8], listener: &mut L) -> Result<Option<usize>, L::Refusal> {
        let delimiter = self.delimiter.needle().len();
        let found = self.delimiter.find(rest);
        // The end of what came may be the beginning of a boundary.
        let content = found.unwrap_or_else(|| rest.len().saturating_sub(delimiter - 1));
        if self.place == Place::Content && content > 0 {
            listener.octets(&rest[..content])?;
        }
        if found.is_none() {
            return Ok((content > 0).then_some(content));
        }
        self.place = Place::AfterBoundary;
        Ok(Some(content + delimiter))
    }

    fn after_boundary(&mut self, rest: &[u8]) -> Result<Option<usize>, FormError> {
        if rest.starts_with(b"--") {
            self.place = Place::Epilogue;
            return Ok(Some(2));
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        match &rest[padding..] {
            _ if padding > PADDING_OCTETS_MAX => Err(FormError::AfterBoundary),
            [] | [b'\r'] | [b'-'] => Ok(None),
            [b'\r', b'\n', ..] => {
                self.parts += 1;
                if self.parts > PARTS_MAX {
                    return Err(FormError::TooManyParts);
                }
                self.place = Place::Header;
                Ok(Some(padding + 2))
            }
            _ => Err(FormError::AfterBoundary),
        }
    }

    fn header(&mut self, rest: &[u8]) -> Result<Option<(usize, PartHead)>, FormError> {
        let searched = &rest[..rest.len().min(PART_HEADER_OCTETS_MAX + 4)];
        let Some(end) = memmem::find(searched, b"\r\n\r\n") else {
            let is_too_long = rest.len() > PART_HEADER_OCTETS_MAX;
            return if is_too_long { Err(FormError::HeaderTooLong) } else { Ok(None) };
        };
        let head = head(&rest[..end + 2])?;
        self.place = Place::Content;
        Ok(Some((end + 4, head)))
    }
}

/// Reads the header of a part.
fn head(block: &[u8]) -> Result<PartHead, FormError> {
    let mut head = PartHead::default();
    let mut disposition = None;
    let mut fields = Fields::new(block);
    for field in fields.by_ref() {
        if field.is("Content-Disposition") {
            disposition.get_or_insert_with(|| Parameterized::parse(&field.text()));
        } else if field.is("Content-Type") && head.content_type.is_empty() {
            head.content_type = field.text();
        } else if field.is("Content-Transfer-Encoding") {
            head.transfer_encoding.get_or_insert_with(|| field.text().to_ascii_lowercase());
        }
    }
    if fields.malformed {
        return Err(FormError::MalformedHeader);
    }
    let disposition = disposition.ok_or(FormError::NoName)?;
    let text = |value: &str| value.replace("%22", "\"");
    head.name = disposition.get("name").map(text).filter(|name| !name.is_empty()).ok_or(FormError::NoName)?;
    head.filename = disposition.get("filename").map(text);
    Ok(head)
}

/// The octets of a part, out of its transfer encoding.
pub fn decode(head: &PartHead, octets: Vec<u8>) -> Vec<u8> {
    match head.transfer_encoding.as_deref() {
        Some(encoding @ ("base64" | "quoted-printable")) => {
            transfer::decode(Encoding::parse(encoding), &octets).into_owned()
        }
        _ => octets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Keeps everything.
    #[derive(Default, PartialEq, Eq, Debug)]
    struct Kept(Vec<(PartHead, Vec<u8>)>);

    impl Listener for Kept {
        type Refusal = ();

        fn part(&mut self, head: PartHead) -> Result<(), ()> {
            self.0.push((head, Vec::new()));
            Ok(())
        }

        fn octets(&mut self, octets: &[u8]) -> Result<(), ()> {
            self.0.last_mut().ok_or(())?.1.extend_from_slice(octets);
            Ok(())
        }
    }

    const KIND: &str = "multipart/form-data; boundary=b";

    fn read(kind: &str, pieces: &[&[u8]]) -> Result<Kept, FormError> {
        let mut reader = FormReader::new(kind)?;
        let mut kept = Kept::default();
        for piece in pieces {
            reader.push(piece, &mut kept).map_err(|stop| match stop {
                Stop::Malformed(error) => error,
                Stop::Refused(()) => panic!("nothing is refused"),
            })?;
        }
        reader.finish().map(|()| kept)
    }

    fn names(disposition: &str) -> (String, Option<String>) {
        let body = format!("--b\r\nContent-Disposition: {disposition}\r\n\r\nx\r\n--b--");
        let kept = read(KIND, &[body.as_bytes()]).unwrap();
        (kept.0[0].0.name.clone(), kept.0[0].0.filename.clone())
    }

    #[test]
    fn a_form_is_read_in_whatever_pieces_it_comes() {
        let body = b"preamble\r\n--b \t\r\ncontent-disposition: form-data; name=message; filename=\"\"\r\n\
            Content-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Disposition: form-data; name=\"file0\"; \
            filename=\"a.bin\"\r\n\r\n\r\n--\r\n--a\r\n-\r\n\r\n--b\r\nContent-Disposition: form-data; name=e\r\n\
            \r\n\r\n--b--\r\nepilogue --b";
        let whole = read(KIND, &[body]).unwrap();
        let contents: Vec<_> = whole.0.iter().map(|(head, octets)| (head.name.as_str(), octets.as_slice())).collect();
        assert_eq!(contents, [("message", &b"{}"[..]), ("file0", b"\r\n--\r\n--a\r\n-\r\n"), ("e", b"")]);
        assert_eq!(whole.0[0].0.content_type, "application/json");
        assert_eq!(whole.0[0].0.filename.as_deref(), Some(""));
        assert_eq!(whole.0[2].0.filename, None);
        for size in 1..body.len() {
            let pieces: Vec<&[u8]> = body.chunks(size).collect();
            assert_eq!(read(KIND, &pieces).as_ref(), Ok(&whole), "in pieces of {size}");
        }
    }

    #[test]
    fn names_as_clients_write_them() {
        for (disposition, name, filename) in [
            ("form-data; name=file0; filename=a.txt", "file0", Some("a.txt")),
            ("form-data; name=\"logo\"; filename=\"日本.png\"", "logo", Some("日本.png")),
            ("form-data; name=f; filename*=utf-8''%e6%97%a5%20x.png", "f", Some("日 x.png")),
            ("form-data; name=f; filename=\"_.png\"; filename*=UTF-8''%C3%A9.png", "f", Some("é.png")),
            ("form-data; name=f; filename=\"=?utf-8?B?aMOp?=.txt\"", "f", Some("hé.txt")),
            ("form-data; name=f; filename=\"a%22b\\\"c.txt\"", "f", Some("a\"b\"c.txt")),
            ("form-data; name=\"a b\"", "a b", None),
        ] {
            assert_eq!(names(disposition), (name.to_owned(), filename.map(str::to_owned)), "{disposition}");
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        let part = "Content-Disposition: form-data; name=a\r\n\r\n";
        for (kind, body, error) in [
            ("multipart/form-data", String::new(), FormError::Boundary),
            ("multipart/form-data; boundary=\"\"", String::new(), FormError::Boundary),
            (KIND, String::new(), FormError::Unfinished),
            (KIND, format!("--b\r\n{part}x\r\n--b"), FormError::Unfinished),
            (KIND, format!("--b\r\n{part}x\r\n--b\r\n"), FormError::Unfinished),
            (KIND, format!("--bx\r\n{part}x\r\n--b--"), FormError::AfterBoundary),
            (KIND, "--b\r\nX: y\r\n\r\nx\r\n--b--".to_owned(), FormError::NoName),
            (KIND, "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--".to_owned(), FormError::NoName),
            (KIND, format!("--b\r\nno field\r\n{part}x\r\n--b--"), FormError::MalformedHeader),
            (KIND, format!("--b\r\nX: {}", "y".repeat(PART_HEADER_OCTETS_MAX)), FormError::HeaderTooLong),
            (KIND, format!("--b\r\n{part}x\r\n").repeat(PARTS_MAX + 1), FormError::TooManyParts),
        ] {
            assert_eq!(read(kind, &[body.as_bytes()]), Err(error), "{kind} {:?}", &body[..body.len().min(80)]);
        }
        let most = format!("--b\r\n{part}x\r\n").repeat(PARTS_MAX) + "--b--";
        assert_eq!(read(KIND, &[most.as_bytes()]).unwrap().0.len(), PARTS_MAX);
    }

    #[test]
    fn a_transfer_encoding_is_undone() {
        let head = |encoding: &str| PartHead { transfer_encoding: Some(encoding.to_owned()), ..PartHead::default() };
        assert_eq!(decode(&head("base64"), b"SGk=\r\n".to_vec()), b"Hi");
        assert_eq!(decode(&head("quoted-printable"), b"=48i".to_vec()), b"Hi");
        assert_eq!(decode(&head("binary"), b"=48i".to_vec()), b"=48i");
        assert_eq!(decode(&PartHead::default(), b"SGk=".to_vec()), b"SGk=");
    }

    proptest! {
        #[test]
        fn any_octets_end_somehow_and_the_same_in_pieces(body in "(--b|--|\r\n|\r|\n|b|-|x|: |Content-Disposition: form-data; name=a){0,60}", size in 1_usize..9) {
            let whole = read(KIND, &[body.as_bytes()]);
            let pieces: Vec<&[u8]> = body.as_bytes().chunks(size).collect();
            prop_assert_eq!(read(KIND, &pieces), whole);
        }

        #[test]
        fn contents_come_back(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5), size in 1_usize..300) {
            let mut body = Vec::new();
            for content in &contents {
                body.extend_from_slice(b"--a long boundary\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n");
                body.extend_from_slice(content);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"--a long boundary--\r\n");
            let pieces: Vec<&[u8]> = body.chunks(size).collect();
            let kept = read("multipart/form-data; boundary=\"a long boundary\"", &pieces).unwrap();
            prop_assert_eq!(kept.0.into_iter().map(|(_, octets)| octets).collect::<Vec<_>>(), contents);
        }
    }
}
