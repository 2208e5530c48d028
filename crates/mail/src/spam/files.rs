//! Files that are sent to be opened by mistake.

use crate::message::AttachmentMeta;
use postfleet_core::spam::SpamReason;

/// Endings of files that systems run.
const RUNS: &[&str] = &[
    "ade", "adp", "app", "appx", "bat", "chm", "cmd", "com", "cpl", "exe", "hta", "inf", "jar", "jnlp", "js", "jse",
    "lnk", "msc", "msi", "msix", "pif", "ps1", "reg", "scf", "scr", "sct", "vb", "vbe", "vbs", "wsc", "wsf", "wsh",
];

/// Endings that look harmless before another.
const HARMLESS: &[&str] = &[
    "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "txt", "jpg", "jpeg", "png", "gif", "csv", "zip", "mp3", "mp4",
];

/// Documents with programs in them, and images of discs that hide where a file came from.
const RISKY: &[&str] = &["docm", "dotm", "iso", "img", "one", "pptm", "vhd", "vhdx", "xlam", "xlsm"];

/// What follows the last dot of a file's name, if it is a short word.
pub(super) fn extension(name: &str) -> &str {
    let end = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    match end.rsplit_once('.') {
        Some((_, last)) if !last.is_empty() && last.len() <= 8 && last.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            last
        }
        _ => "",
    }
}

/// What stands before that.
fn without_extension(name: &str) -> &str {
    let end = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    end.rsplit_once('.').map_or("", |(before, _)| before)
}

/// The reasons that files give, each once.
pub(super) fn look(files: &[AttachmentMeta]) -> Vec<SpamReason> {
    let mut reasons: Vec<SpamReason> = Vec::new();
    let mut add = |name: &str, score: i64, text: String| {
        if reasons.iter().all(|reason| reason.name != name) {
            reasons.push(SpamReason::new(name, score, text));
        }
    };
    for file in files.iter().take(200) {
        let last = extension(&file.filename).to_ascii_lowercase();
        let name = &file.filename;
        if RUNS.contains(&last.as_str()) {
            add("executable_file", 380, format!("the file {name:?} is a program"));
            let before = extension(without_extension(name)).to_ascii_lowercase();
            if HARMLESS.contains(&before.as_str()) {
                add("double_extension", 200, format!("the file {name:?} is a program that looks like a document"));
            }
        } else if RISKY.contains(&last.as_str()) {
            add("risky_file", 200, format!("the file {name:?} may have programs in it"));
        } else if matches!(last.as_str(), "html" | "htm" | "shtml" | "svg")
            && file.disposition.as_deref() == Some("attachment")
        {
            add("page_as_file", 200, format!("the file {name:?} is a page to be opened outside of the message"));
        }
        if name.chars().any(|c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
            add("reversed_file_name", 300, "the name of a file turns the direction of writing".to_owned());
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_dangerous() {
        let look = |name: &str| {
            let file = AttachmentMeta {
                filename: name.to_owned(),
                disposition: Some("attachment".to_owned()),
                ..AttachmentMeta::default()
            };
            look(&[file.clone(), file]).into_iter().map(|reason| reason.name).collect::<Vec<_>>().join(" ")
        };
        for (name, expected) in [
            ("invoice.pdf", ""),
            ("setup.EXE", "executable_file"),
            ("invoice.pdf.exe", "executable_file double_extension"),
            ("invoice.pdf.js .", "executable_file double_extension"),
            ("v1.2.js", "executable_file"),
            ("budget.xlsm", "risky_file"),
            ("scan.html", "page_as_file"),
            ("inv\u{202e}fdp.exe", "executable_file reversed_file_name"),
            ("README", ""),
            ("..", ""),
            ("", ""),
        ] {
            assert_eq!(look(name), expected, "{name}");
        }
    }
}
