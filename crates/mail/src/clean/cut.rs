//! What of a message its author wrote for this message: which lines are kept. Lines are judged by what programs marked them
//! as and by how they read; what may be the author's own stays. Nothing is cut so that nothing is left.

use super::lines::Line;
use super::marks::Mark;
use super::phrases::{
    BANNERS, CLOSINGS, DISCLAIMER_STEMS, DISCLAIMERS, FORWARD_BEGINS, FORWARD_SUBJECTS, FORWARDED, LABELS,
    LIST_FOOTERS, Label, ORIGINAL, SENT_WITH, THANKS, WROTE,
};

/// Lines that a header block above a quoted message may have.
const HEADER_LINES_MAX: usize = 12;

/// Lines over which a line is spread that says who wrote what.
const ATTRIBUTION_LINES_MAX: usize = 4;

/// Characters of such a line.
const ATTRIBUTION_CHARS_MAX: usize = 400;

/// Lines of a signature that nothing marks.
const SIGNATURE_LINES_MAX: usize = 12;

/// Characters of a line of such a signature.
const SIGNATURE_LINE_CHARS_MAX: usize = 100;

/// Characters of a disclaimer, at least.
const DISCLAIMER_CHARS_MIN: usize = 60;

/// Lines at the end of a message among which what lists append is looked for.
const FOOTER_LINES_MAX: usize = 15;

/// What is known of a message beside its text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About<'a> {
    pub(super) subject: &'a str,
    /// Its author's name and address.
    pub(super) author: &'a str,
    /// Whether closing words go as well, and the name below them.
    pub(super) without_conclusions: bool,
}

/// What becomes of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Written for this message.
    New,
    /// Passed on with it, which is kept as it is.
    Forwarded,
    /// Of another message.
    History,
    /// Put there by a program, or a signature.
    Trimmings,
}

/// Which lines are kept. Blank lines stay between kept ones, at most one after another.
pub(super) fn kept(lines: &[Line], about: About<'_>) -> Vec<bool> {
    let mut fates = vec![Fate::New; lines.len()];
    history(lines, about, &mut fates);
    let before = fates.clone();
    for (start, end) in segments(&fates, lines) {
        trim(&lines[start..end], about, &mut fates[start..end]);
    }
    let is_left = |fates: &[Fate]| lines.iter().zip(fates).any(|(line, fate)| fate.is_kept() && has_words(line));
    // A message is never empty because of what was cut: rather too much is shown.
    let fates = match (is_left(&fates), is_left(&before)) {
        (true, _) => fates,
        (false, true) => before,
        (false, false) => vec![Fate::New; lines.len()],
    };
    without_margins(lines, &fates)
}

impl Fate {
    fn is_kept(self) -> bool {
        matches!(self, Self::New | Self::Forwarded)
    }
}

fn has_words(line: &Line) -> bool {
    line.has_picture || line.text.chars().any(char::is_alphanumeric)
}

/// Takes away the blank lines at the start, at the end, and all but one in between.
fn without_margins(lines: &[Line], fates: &[Fate]) -> Vec<bool> {
    let mut kept = vec![false; lines.len()];
    let mut blank = None;
    let mut is_begun = false;
    for (index, line) in lines.iter().enumerate().filter(|(index, _)| fates[*index].is_kept()) {
        if line.is_blank() {
            blank = blank.or(Some(index));
            continue;
        }
        if let Some(blank) = blank.take()
            && is_begun
        {
            kept[blank] = true;
        }
        kept[index] = true;
        is_begun = true;
    }
    kept
}

// ---- other messages

/// Finds what is quoted, and what is passed on.
fn history(lines: &[Line], about: About<'_>, fates: &mut [Fate]) {
    let is_forward = is_forward_subject(about.subject);
    let labels: Vec<Option<Label>> = lines.iter().map(label).collect();
    let mut has_quotes = false;
    let mut index = 0;
    while index < lines.len() {
        let line = &lines[index];
        let is_rest = is_rest(lines, &labels, index);
        if let Some(start) = forward_start(lines, index, is_forward && is_rest, has_quotes) {
            fates[start..].fill(Fate::Forwarded);
            return;
        }
        if line.is_quoted || line.mark == Some(Mark::Attribution) {
            has_quotes |= line.is_quoted && !line.is_blank();
            fates[index] = Fate::History;
        } else if is_rest {
            let start = separators_above(lines, index);
            fates[start..].fill(Fate::History);
            return;
        } else if let Some(after) = attribution(lines, index) {
            let next = lines[after..].iter().find(|line| !line.is_blank());
            match next {
                // What is quoted says so itself.
                Some(next) if next.is_quoted => fates[index..after].fill(Fate::History),
                Some(next) if next.is_indented => {
                    let indented = lines[after..].iter().take_while(|line| line.is_indented || line.is_blank()).count();
                    fates[index..after + indented].fill(Fate::History);
                    index = after + indented;
                    continue;
                }
                Some(_) if is_certain(&joined(&lines[index..after])) => {
                    fates[index..].fill(Fate::History);
                    return;
                }
                _ => {}
            }
        }
        index += 1;
    }
}

/// Where a message begins that is passed on, if one does at this line: it says so, or it is all the rest of one that is.
fn forward_start(lines: &[Line], index: usize, is_forwarded_rest: bool, has_quotes: bool) -> Option<usize> {
    let line = &lines[index];
    if line.is_blank() {
        return None;
    }
    let says = line.mark == Some(Mark::Forward)
        || FORWARD_BEGINS.contains(&line.lower.as_str())
        || is_between_dashes(&line.lower, FORWARDED);
    // A message that was passed on to the author is quoted like any other.
    if says && !has_quotes && !line.text.starts_with('>') {
        return Some(index);
    }
    is_forwarded_rest.then(|| separators_above(lines, index))
}

/// Whether another message begins at this line and reaches to the end.
fn is_rest(lines: &[Line], labels: &[Option<Label>], index: usize) -> bool {
    let line = &lines[index];
    if line.is_blank() {
        return false;
    }
    if line.mark == Some(Mark::History) {
        return true;
    }
    is_between_dashes(&line.lower, ORIGINAL) || is_header_block(lines, labels, index)
}

/// `-----Original Message-----`
fn is_between_dashes(lower: &str, phrases: &[&str]) -> bool {
    let is_dash = |c: char| matches!(c, '-' | '_' | '=' | '—' | '–' | '*' | '─' | '－');
    let inside = lower.trim_start_matches(is_dash);
    if inside.len() == lower.len() || lower.chars().take_while(|c| is_dash(*c)).count() < 2 {
        return false;
    }
    let inside = inside.trim_end_matches(is_dash).trim().trim_end_matches(':').trim_end();
    // Some add who wrote it.
    phrases
        .iter()
        .any(|phrase| inside == *phrase || inside.strip_prefix(phrase).is_some_and(|rest| rest.starts_with(" /")))
}

/// Lines that name author, date, recipients and subject of another message: the author and two of the others.
fn is_header_block(lines: &[Line], labels: &[Option<Label>], index: usize) -> bool {
    if labels[index] != Some(Label::From) {
        return false;
    }
    let mut found = vec![Label::From];
    let mut others = 0;
    let below = lines[index + 1..].iter().zip(&labels[index + 1..]).filter(|(line, _)| !line.is_blank());
    for (_, label) in below.take(HEADER_LINES_MAX) {
        match *label {
            Some(label) if !found.contains(&label) => found.push(label),
            Some(_) => {}
            None => others += 1,
        }
        if found.len() >= 3 || others > 2 {
            break;
        }
    }
    found.len() >= 3
}

/// The label at the start of a line, if something stands behind it.
fn label(line: &Line) -> Option<Label> {
    let text = line.lower.trim_start_matches(['*', '>', ' ', '|']);
    let (name, value) = text.split_once([':', '：'])?;
    let name = name.trim().trim_end_matches('*').trim_end();
    if name.len() > 40 || value.trim_start_matches('*').trim().is_empty() {
        return None;
    }
    LABELS.iter().find(|(_, names)| names.contains(&name)).map(|(label, _)| *label)
}

/// The lines across the page and the blank lines directly above.
fn separators_above(lines: &[Line], index: usize) -> usize {
    let is_separator = |line: &Line| {
        line.is_blank()
            || line.is_rule
            || (line.text.len() >= 5 && line.text.chars().all(|c| matches!(c, '-' | '_' | '=' | '*' | ' ' | '─')))
            || is_between_dashes(&line.lower, ORIGINAL)
            || is_between_dashes(&line.lower, FORWARDED)
    };
    index - lines[..index].iter().rev().take_while(|line| is_separator(line)).count()
}

/// The end of a line at `index`, perhaps broken into several, that says who wrote what follows.
fn attribution(lines: &[Line], index: usize) -> Option<usize> {
    // Most lines are no such thing, and are passed by at once.
    let mut below =
        lines[index..].iter().take(ATTRIBUTION_LINES_MAX).take_while(|line| !line.is_blank() && !line.is_quoted);
    let after = index + 1 + below.position(|line| line.text.ends_with([':', '：']))?;
    (could_be_attribution(&lines[index].lower) && is_attribution(&joined(&lines[index..after]))).then_some(after)
}

/// It begins with a word or a number that such lines begin with, or with an address in it.
fn could_be_attribution(lower: &str) -> bool {
    const STARTS: &[&str] = &[
        "on ",
        "am ",
        "le ",
        "el ",
        "il ",
        "em ",
        "op ",
        "w dniu",
        "dnia",
        "в ",
        "at ",
        "a ",
        "em ",
        "den ",
        "в письме",
    ];
    STARTS.iter().any(|start| lower.starts_with(start))
        || lower.starts_with(|c: char| c.is_numeric())
        || lower.contains('@')
        || WROTE.iter().any(|verb| lower.contains(verb))
        || WEEKDAYS.iter().any(|day| lower.starts_with(day))
}

/// How lines begin in languages that name the day first.
const WEEKDAYS: &[&str] = &[
    "pon",
    "wt",
    "śr",
    "czw",
    "pt",
    "sob",
    "niedz",
    "пн",
    "вт",
    "ср",
    "чт",
    "пт",
    "сб",
    "вс",
    "понедельник",
    "вторник",
    "среда",
    "четверг",
    "пятница",
    "суббота",
    "воскресенье",
    "seg",
    "ter",
    "qua",
    "qui",
    "sex",
    "sáb",
    "dom",
    "lun",
    "mar",
    "mer",
    "mié",
    "mie",
    "gio",
    "jeu",
    "jue",
    "ven",
    "vie",
    "sab",
    "sam",
    "dim",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
];

fn joined(lines: &[Line]) -> String {
    lines.iter().map(|line| line.lower.as_str()).collect::<Vec<_>>().join(" ")
}

/// Names a time and its author: by a verb, or by an address.
fn is_attribution(lower: &str) -> bool {
    let has_number = lower.chars().any(char::is_numeric);
    lower.chars().count() <= ATTRIBUTION_CHARS_MAX
        && has_number
        && (WROTE.iter().any(|verb| lower.contains(verb)) || (lower.contains('@') && lower.contains('<')))
}

/// Names a time and its author so exactly that nobody would write it by hand.
fn is_certain(lower: &str) -> bool {
    let digits = lower.chars().filter(|c| c.is_ascii_digit()).count();
    let has_time = lower.as_bytes().windows(4).any(|four| {
        four[0].is_ascii_digit()
            && matches!(four[1], b':' | b'.' | b'h')
            && four[2].is_ascii_digit()
            && four[3].is_ascii_digit()
    });
    digits >= 5 && has_time
}

/// `Fwd: …`, whatever it is called.
fn is_forward_subject(subject: &str) -> bool {
    let first = subject.trim_start().split_once([':', '：']).map(|(first, _)| first.trim().to_lowercase());
    first.is_some_and(|first| FORWARD_SUBJECTS.contains(&first.as_str()))
}

// ---- what stands around the author's own words

/// The runs of lines between what is quoted.
fn segments(fates: &[Fate], lines: &[Line]) -> Vec<(usize, usize)> {
    let mut segments = Vec::new();
    let mut start = None;
    for (index, fate) in fates.iter().enumerate() {
        match (fate, start) {
            (Fate::New, None) if !lines[index].is_blank() => start = Some(index),
            (Fate::New, _) | (_, None) => {}
            (_, Some(from)) => {
                segments.push((from, index));
                start = None;
            }
        }
    }
    segments.extend(start.map(|from| (from, fates.len())));
    segments
}

/// Cuts what stands around the words of one segment.
fn trim(lines: &[Line], about: About<'_>, fates: &mut [Fate]) {
    banner(lines, fates);
    marked_signature(lines, fates);
    delimited_signature(lines, fates);
    footers(lines, fates);
    if about.without_conclusions {
        conclusion(lines, about, fates);
    }
}

fn banner(lines: &[Line], fates: &mut [Fate]) {
    let Some(first) = lines.iter().position(|line| !line.is_blank()) else { return };
    if !starts_with_any(&lines[first].lower, BANNERS) {
        return;
    }
    // Its paragraph, or its one line in a message that parts paragraphs otherwise.
    let end = lines[first..].iter().position(|line| line.is_blank() || line.is_rule).map(|len| first + len);
    match end {
        Some(end) if end - first <= 4 => fates[first..=end].fill(Fate::Trimmings),
        _ => fates[first] = Fate::Trimmings,
    }
}

fn marked_signature(lines: &[Line], fates: &mut [Fate]) {
    for (line, fate) in lines.iter().zip(fates) {
        if line.mark == Some(Mark::Signature) {
            *fate = Fate::Trimmings;
        }
    }
}

fn delimited_signature(lines: &[Line], fates: &mut [Fate]) {
    let Some(at) = lines.iter().rposition(|line| line.is_delimiter) else { return };
    // Earlier ones part the author's own words; a long text below is no signature.
    let below = lines[at + 1..].iter().filter(|line| !line.is_blank()).count();
    if below <= 2 * SIGNATURE_LINES_MAX {
        fates[at..].fill(Fate::Trimmings);
    }
}

/// What programs, companies and lists put below the words: from the end upwards, as long as it is such.
fn footers(lines: &[Line], fates: &mut [Fate]) {
    let own = |fates: &[Fate], index: usize| fates[index] == Fate::New && !lines[index].is_blank();
    let mut end = lines.len();
    let mut looked_at = 0;
    while let Some(last) = (0..end).rev().find(|&index| own(fates, index)) {
        let start = paragraph_start(lines, fates, last);
        let is_footer = |from: usize| is_footer(&lines[from..=last]);
        // A program's line may follow the last words without a blank line.
        let from = if is_footer(start) {
            start
        } else if is_footer(last) {
            last
        } else {
            return;
        };
        // The first words of a message are never a footer.
        if !(0..from).any(|index| own(fates, index)) {
            return;
        }
        fates[from..=last].fill(Fate::Trimmings);
        looked_at += last + 1 - from;
        if looked_at > FOOTER_LINES_MAX {
            return;
        }
        end = from;
    }
}

fn paragraph_start(lines: &[Line], fates: &[Fate], last: usize) -> usize {
    let is_in = |index: &usize| !lines[*index].is_blank() && !lines[*index].is_rule && fates[*index] == Fate::New;
    last + 1 - (0..=last).rev().take_while(is_in).count().max(1)
}

fn is_footer(paragraph: &[Line]) -> bool {
    let Some(first) = paragraph.first() else { return false };
    if paragraph.len() == 1 && (first.is_rule || is_line_of_dashes(first)) {
        return true;
    }
    let chars: usize = paragraph.iter().map(|line| line.text.chars().count()).sum();
    let has_link = paragraph.iter().any(|line| line.has_link);
    let is_program = paragraph.len() <= 2
        && chars <= 120
        && (starts_with_any(&first.lower, SENT_WITH) || ends_with_any(&first.lower, SENT_WITH));
    let is_disclaimer = chars >= DISCLAIMER_CHARS_MIN
        && starts_with_any(first.lower.trim_start_matches(['*', '_', ' ', '"']), DISCLAIMERS)
        && paragraph.iter().any(|line| DISCLAIMER_STEMS.iter().any(|stem| line.lower.contains(stem)));
    let is_list = has_link && chars <= 600 && paragraph.iter().any(|line| starts_with_any(&line.lower, LIST_FOOTERS));
    is_program || is_disclaimer || is_list
}

fn is_line_of_dashes(line: &Line) -> bool {
    line.text.len() >= 2 && line.text.chars().all(|c| matches!(c, '-' | '_' | '=' | '*' | '─'))
}

fn starts_with_any(lower: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| lower.starts_with(phrase))
}

fn ends_with_any(lower: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| phrase.starts_with(|c: char| !c.is_ascii()) && lower.ends_with(phrase))
}

/// Closing words, and the name and what belongs to it below them.
fn conclusion(lines: &[Line], about: About<'_>, fates: &mut [Fate]) {
    let own: Vec<usize> =
        (0..lines.len()).filter(|&index| fates[index] == Fate::New && !lines[index].is_blank()).collect();
    let looked_at = own.len().saturating_sub(2 * SIGNATURE_LINES_MAX);
    // The last closing words that something stands above of.
    let found = own.iter().enumerate().skip(looked_at.max(1)).rev();
    let found = found.filter_map(|(at, &index)| closing(&lines[index].lower).map(|closing| (at, closing))).next();
    let Some((at, closing)) = found else { return };
    let below = &own[at + 1..];
    let signed = match &closing {
        Closing::Signed => signature_lines(lines, below),
        Closing::Alone { is_thanks } => signature_len(lines, below, *is_thanks, about.author),
    };
    if matches!(closing, Closing::Alone { is_thanks: true }) && signed == 0 {
        // Thanks are what is said, if there is more, or nothing but a greeting before.
        let is_greeted = at == 1 && lines[own[0]].text.split_whitespace().count() <= 4;
        if is_greeted || !below.is_empty() {
            return;
        }
    }
    // Two closing lines, one below the other: "Thanks!", "Best regards,".
    let mut first = at;
    while first > 1
        && own[first] - own[first - 1] <= 2
        && matches!(self::closing(&lines[own[first - 1]].lower), Some(Closing::Alone { .. }))
    {
        first -= 1;
    }
    for &index in &own[first..=at + signed] {
        fates[index] = Fate::Trimmings;
    }
}

/// Closing words.
enum Closing {
    /// And nothing else in the line.
    Alone { is_thanks: bool },
    /// And a name behind them: "Best regards, Anna".
    Signed,
}

fn closing(lower: &str) -> Option<Closing> {
    if lower.chars().count() > 60 {
        return None;
    }
    let is_edge = |c: char| !c.is_alphanumeric() && !matches!(c, '(' | ')');
    let bare = lower.trim_matches(is_edge);
    if CLOSINGS.contains(&bare) {
        return Some(Closing::Alone { is_thanks: false });
    }
    if THANKS.contains(&bare) {
        return Some(Closing::Alone { is_thanks: true });
    }
    // "Thanks, and best regards" and the like are said in many ways; a comma parts the words from a name.
    let (words, name) = bare.split_once([',', '，', '、'])?;
    let name = name.trim();
    let is_name =
        name.split_whitespace().count() <= 3 && name.chars().all(|c| c.is_alphabetic() || " .-'’".contains(c));
    (CLOSINGS.contains(&words.trim()) && is_name && !name.is_empty()).then_some(Closing::Signed)
}

/// How many lines below closing words are the author's name and what belongs to it.
fn signature_len(lines: &[Line], below: &[usize], is_thanks: bool, author: &str) -> usize {
    let Some(&first) = below.first() else { return 0 };
    let name = &lines[first];
    if !is_name(name) || (is_thanks && !names_author(&name.lower, author)) {
        return 0;
    }
    signature_lines(lines, below)
}

fn signature_lines(lines: &[Line], below: &[usize]) -> usize {
    below.iter().take(SIGNATURE_LINES_MAX).take_while(|&&index| is_signature_line(&lines[index])).count()
}

/// Few words, no number, nothing that ends a sentence.
fn is_name(line: &Line) -> bool {
    let words = line.text.split_whitespace().count();
    let is_word = |c: char| c.is_alphabetic() || " .,-'’()/&|".contains(c) || is_mark(c);
    (line.has_picture && line.text.is_empty())
        || ((1..=6).contains(&words)
            && line.text.chars().count() <= 60
            && line.text.chars().all(is_word)
            && !line.text.ends_with(['。', '！']))
}

/// Marks that belong to letters of some scripts.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}' | '・' | '　')
}

/// A word of the line is one of the author's name or address.
fn names_author(lower: &str, author: &str) -> bool {
    let author = author.to_lowercase();
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 1).map(str::to_owned).collect()
    };
    let known = words(&author);
    words(lower).iter().any(|word| known.contains(word) || (!word.is_ascii() && author.contains(word.as_str())))
}

/// How the names of companies end.
const COMPANIES: &[&str] = &[
    "ltd.", "inc.", "corp.", "co.", "l.l.c.", "plc.", "s.l.", "s.a.", "s.r.l.", "s.p.a.", "lda.", "ltda.", "b.v.",
    "n.v.", "o.o.", "e.v.", "s.l.u.", "s.a.s.", "a.s.", "s.r.o.",
];

/// A line such as stands in signatures: short, and no sentence.
fn is_signature_line(line: &Line) -> bool {
    let words = line.text.split_whitespace().count();
    let is_company = line.lower.split_whitespace().last().is_some_and(|last| COMPANIES.contains(&last));
    let is_sentence = words >= 5 && line.text.ends_with(['.', '!', '?', '。', '？']) && !is_company;
    let is_postscript = ["ps", "p.s", "pps", "p.p.s", "nb:", "n.b", "追伸", "추신", "з.ы", "постскриптум"]
        .iter()
        .any(|mark| line.lower.strip_prefix(mark).is_some_and(|rest| !rest.starts_with(char::is_alphabetic)));
    let is_question = line.text.ends_with(['?', '？']);
    line.text.chars().count() <= SIGNATURE_LINE_CHARS_MAX && !is_sentence && !is_postscript && !is_question
}
