//! As much of CSS as it takes to tell text that is not seen: declarations of one element, and rules of a style sheet whose
//! selectors are a type, a class or an id. What is not understood hides nothing: a text is rather shown than lost.

use memchr::{memchr, memmem};
use postfleet_core::suspicion::Means;
use std::borrow::Cow;
use std::collections::HashMap;

/// Octets of style sheets that are read.
const SHEET_MAX: usize = 256 << 10;

/// Rules of style sheets that are kept.
const RULES_MAX: usize = 1_000;

/// Declarations of one element that are read.
const DECLARATIONS_MAX: usize = 64;

/// Classes of one element that are looked up.
const CLASSES_MAX: usize = 16;

/// What is further out than this is not on the page.
const OFF_SCREEN_PIXELS: f32 = -400.0;

/// A colour, opaque.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Colour([u8; 3]);

/// What text stands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ground {
    Plain(Colour),
    /// A picture, or something that was not understood.
    Unknown,
}

/// How an element looks, as far as it hands that down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Look {
    /// Nothing in the element is seen.
    gone: Option<Means>,
    /// The colour of text, if one is set; `None` within is transparent.
    ink: Option<Option<Colour>>,
    ground: Ground,
    is_tiny: bool,
    is_invisible: bool,
}

impl Look {
    /// Of a page without styles.
    pub(crate) const PLAIN: Self =
        Self { gone: None, ink: None, ground: Ground::Plain(Colour([255; 3])), is_tiny: false, is_invisible: false };

    /// How text in the element is hidden, if it is.
    pub(crate) fn hides(&self) -> Option<Means> {
        if self.gone.is_some() {
            return self.gone;
        }
        if self.is_invisible {
            return Some(Means::NotDisplayed);
        }
        if self.is_tiny {
            return Some(Means::NoSize);
        }
        match (self.ink, self.ground) {
            (Some(None), _) => Some(Means::Transparent),
            (Some(Some(ink)), Ground::Plain(ground)) if ink.is_near(ground) => Some(Means::SameColour),
            _ => None,
        }
    }

    /// The look of an element inside.
    pub(crate) fn under(mut self, change: &Change) -> Self {
        self.gone = self.gone.or(change.gone).or(change.is_shown.filter(|shown| !shown).map(|_| Means::NotDisplayed));
        self.ink = change.ink.or(self.ink);
        self.ground = change.ground.unwrap_or(self.ground);
        self.is_tiny = change.is_tiny.unwrap_or(self.is_tiny);
        self.is_invisible = change.is_invisible.unwrap_or(self.is_invisible);
        self
    }

    /// The same, without what would hide it.
    pub(crate) fn shown(self) -> Self {
        let seen =
            Self { gone: None, is_tiny: false, is_invisible: false, ink: self.ink.filter(Option::is_some), ..self };
        if seen.hides().is_some() { seen.on_unknown_ground() } else { seen }
    }

    /// The same on a ground of which nothing is known.
    pub(crate) fn on_unknown_ground(self) -> Self {
        Self { ground: Ground::Unknown, ..self }
    }
}

impl Colour {
    fn is_near(self, other: Self) -> bool {
        self.0.iter().zip(other.0).map(|(a, b)| u32::from(a.abs_diff(b))).sum::<u32>() <= 24
    }
}

/// What declarations change.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct Change {
    is_shown: Option<bool>,
    gone: Option<Means>,
    ink: Option<Option<Colour>>,
    ground: Option<Ground>,
    is_tiny: Option<bool>,
    is_invisible: Option<bool>,
}

impl Change {
    /// An element that is not displayed, by an attribute.
    pub(crate) const HIDDEN: Self =
        Self { is_shown: Some(false), gone: None, ink: None, ground: None, is_tiny: None, is_invisible: None };

    /// Reads the declarations of an element.
    pub(crate) fn read(declarations: &str) -> Self {
        let mut text = without_comments(declarations).into_owned();
        text.make_ascii_lowercase();
        let mut change = Self::default();
        let mut frame = Frame::default();
        for declaration in text.split(';').take(DECLARATIONS_MAX) {
            let Some(colon) = memchr(b':', declaration.as_bytes()) else { continue };
            let mut value = declaration[colon + 1..].trim();
            while let Some(before) = value.strip_suffix("!important") {
                value = before;
            }
            change.declare(declaration[..colon].trim(), value.trim_end(), &mut frame);
        }
        change.gone = change.gone.or(frame.hides());
        change
    }

    fn declare(&mut self, name: &str, value: &str, frame: &mut Frame) {
        match name {
            "display" => self.is_shown = Some(value != "none"),
            "visibility" => self.is_invisible = Some(matches!(value, "hidden" | "collapse")),
            "opacity" => {
                let is_through =
                    number(value).is_some_and(|(value, unit)| value <= if unit == "%" { 5.0 } else { 0.05 });
                self.gone = if is_through { Some(Means::Transparent) } else { self.gone };
            }
            "font-size" => self.is_tiny = number(value).map(|(value, unit)| is_tiny(value, unit)),
            "color" => self.ink = ink(value).or(self.ink),
            "background" | "background-color" | "background-image" => self.ground = ground(value).or(self.ground),
            _ => frame.declare(name, value),
        }
    }

    /// From the attributes that older HTML has for it.
    pub(crate) fn coloured(ink_value: Option<&str>, ground_value: Option<&str>, has_picture: bool) -> Self {
        let lower = |value: &str| value.trim().to_ascii_lowercase();
        let ground_of = ground_value.and_then(|value| ground(&lower(value)));
        Self {
            ink: ink_value.and_then(|value| ink(&lower(value))),
            ground: if has_picture { Some(Ground::Unknown) } else { ground_of },
            ..Self::default()
        }
    }

    /// This, with what `later` changes.
    pub(crate) fn and(self, later: &Self) -> Self {
        Self {
            is_shown: later.is_shown.or(self.is_shown),
            gone: later.gone.or(self.gone),
            ink: later.ink.or(self.ink),
            ground: later.ground.or(self.ground),
            is_tiny: later.is_tiny.or(self.is_tiny),
            is_invisible: later.is_invisible.or(self.is_invisible),
        }
    }
}

/// Where an element is and how large, as far as it is declared.
#[derive(Default)]
struct Frame {
    has_no_extent: bool,
    cuts_overflow: bool,
    is_positioned: bool,
    is_far: bool,
    is_pushed_out: bool,
    is_clipped: bool,
    is_scaled_away: bool,
}

impl Frame {
    fn declare(&mut self, name: &str, value: &str) {
        let is_far =
            || number(value).is_some_and(|(value, unit)| unit != "%" && pixels(value, unit) <= OFF_SCREEN_PIXELS);
        match name {
            "height" | "max-height" | "width" | "max-width" => {
                self.has_no_extent |= number(value).is_some_and(|(value, unit)| pixels(value, unit).abs() <= 1.0);
            }
            "overflow" | "overflow-x" | "overflow-y" => self.cuts_overflow |= matches!(value, "hidden" | "clip"),
            "position" => self.is_positioned |= matches!(value, "absolute" | "fixed" | "relative"),
            "left" | "top" | "right" | "bottom" => self.is_far |= is_far(),
            "margin-left" | "margin-top" | "text-indent" => self.is_pushed_out |= is_far(),
            "clip" => self.is_clipped |= is_nothing(value.trim_start_matches("rect"), 1.0),
            "clip-path" => {
                self.is_clipped |=
                    ["inset(50%", "inset(100%", "circle(0", "polygon(0 0, 0 0"].iter().any(|no| value.starts_with(no));
            }
            "transform" => {
                self.is_scaled_away |= value
                    .strip_prefix("scale")
                    .is_some_and(|rest| is_nothing(rest.trim_start_matches(['x', 'y']), 0.05));
            }
            _ => {}
        }
    }

    fn hides(&self) -> Option<Means> {
        if self.is_positioned && self.is_far || self.is_pushed_out {
            return Some(Means::OffScreen);
        }
        let has_no_size = self.has_no_extent && self.cuts_overflow || self.is_clipped || self.is_scaled_away;
        has_no_size.then_some(Means::NoSize)
    }
}

/// Whether all numbers in parentheses are next to nothing.
fn is_nothing(value: &str, most: f32) -> bool {
    let Some(inside) = value.trim().strip_prefix('(') else { return false };
    let numbers = inside.split([' ', ',', ')']).filter(|part| !part.is_empty());
    let mut any = false;
    numbers.into_iter().take(8).all(|part| {
        any = true;
        number(part).is_some_and(|(value, _)| value.abs() <= most)
    }) && any
}

/// A number and its unit.
fn number(value: &str) -> Option<(f32, &str)> {
    let end = value.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(value.len());
    Some((value[..end].parse().ok()?, value[end..].split_ascii_whitespace().next().unwrap_or_default()))
}

fn pixels(value: f32, unit: &str) -> f32 {
    match unit {
        "em" | "rem" => value * 16.0,
        "pt" => value * 4.0 / 3.0,
        "in" => value * 96.0,
        "cm" => value * 37.8,
        "mm" => value * 3.78,
        "vw" | "vh" | "%" => value * 8.0,
        _ => value,
    }
}

fn is_tiny(value: f32, unit: &str) -> bool {
    match unit {
        "%" => value <= 10.0,
        _ => pixels(value, unit) <= 2.0,
    }
}

/// The colour of text; `None` within is transparent, `None` without is not understood.
fn ink(value: &str) -> Option<Option<Colour>> {
    if value == "transparent" || is_through(value) {
        return Some(None);
    }
    colour(value).map(Some)
}

/// Whether a colour has an opacity of about zero.
fn is_through(value: &str) -> bool {
    let inside =
        value.strip_prefix("rgba(").or_else(|| value.strip_prefix("hsla(")).or_else(|| value.strip_prefix("rgb("));
    let alpha = inside
        .and_then(|inside| inside.trim_end_matches(')').split([',', '/', ' ']).filter(|part| !part.is_empty()).nth(3));
    let is_long = |value: &str| value.len() == 9 && value.starts_with('#') && value.ends_with("00");
    alpha.and_then(number).is_some_and(|(alpha, _)| alpha <= 0.05) || is_long(value)
}

fn ground(value: &str) -> Option<Ground> {
    if value.contains("url(") || value.contains("gradient") || value.contains("var(") {
        return Some(Ground::Unknown);
    }
    if is_through(value) {
        return None;
    }
    value
        .split_inclusive(')')
        .next()
        .and_then(colour)
        .or_else(|| value.split_ascii_whitespace().find_map(colour))
        .map(Ground::Plain)
}

fn colour(value: &str) -> Option<Colour> {
    if let Some(digits) = value.strip_prefix('#') {
        return hexadecimal(digits);
    }
    if let Some(inside) = value.strip_prefix("rgba(").or_else(|| value.strip_prefix("rgb(")) {
        let mut parts = inside.trim_end_matches(')').split([',', ' ', '/']).filter(|part| !part.is_empty());
        let mut channel = || {
            let (value, unit) = number(parts.next()?)?;
            Some(if unit == "%" { value * 2.55 } else { value }.clamp(0.0, 255.0) as u8)
        };
        return Some(Colour([channel()?, channel()?, channel()?]));
    }
    NAMED.iter().find(|(name, _)| *name == value).map(|(_, colour)| Colour(*colour)).or_else(|| {
        // `bgcolor=ffffff` is common.
        (value.len() == 6).then(|| hexadecimal(value))?
    })
}

fn hexadecimal(digits: &str) -> Option<Colour> {
    let digits: Vec<u8> = digits.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    match digits[..] {
        [r, g, b] | [r, g, b, _] => Some(Colour([r * 17, g * 17, b * 17])),
        [r, s, g, h, b, c] | [r, s, g, h, b, c, _, _] => Some(Colour([r << 4 | s, g << 4 | h, b << 4 | c])),
        _ => None,
    }
}

const NAMED: [(&str, [u8; 3]); 24] = [
    ("white", [255, 255, 255]),
    ("black", [0, 0, 0]),
    ("snow", [255, 250, 250]),
    ("ivory", [255, 255, 240]),
    ("ghostwhite", [248, 248, 255]),
    ("whitesmoke", [245, 245, 245]),
    ("floralwhite", [255, 250, 240]),
    ("azure", [240, 255, 255]),
    ("mintcream", [245, 255, 250]),
    ("gainsboro", [220, 220, 220]),
    ("lightgray", [211, 211, 211]),
    ("lightgrey", [211, 211, 211]),
    ("silver", [192, 192, 192]),
    ("gray", [128, 128, 128]),
    ("grey", [128, 128, 128]),
    ("red", [255, 0, 0]),
    ("maroon", [128, 0, 0]),
    ("yellow", [255, 255, 0]),
    ("lime", [0, 255, 0]),
    ("green", [0, 128, 0]),
    ("blue", [0, 0, 255]),
    ("navy", [0, 0, 128]),
    ("orange", [255, 165, 0]),
    ("purple", [128, 0, 128]),
];

fn without_comments(text: &str) -> Cow<'_, str> {
    if memmem::find(text.as_bytes(), b"/*").is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memmem::find(rest.as_bytes(), b"/*") {
        out.push_str(&rest[..at]);
        rest = memmem::find(&rest.as_bytes()[at + 2..], b"*/").map_or("", |end| &rest[at + 2 + end + 2..]);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The rules of the style sheets of a document.
#[derive(Default)]
pub(crate) struct Sheet {
    rules: HashMap<String, Change>,
    octets: usize,
    /// A rule that is not understood sets a ground: no colour is compared with one.
    pub(crate) has_unread_ground: bool,
}

impl Sheet {
    pub(crate) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Reads the content of a `style` element. Rules that hold for some screens only are passed over.
    pub(crate) fn read(&mut self, content: &str) {
        let content = &content[..content.floor_char_boundary(SHEET_MAX.saturating_sub(self.octets))];
        self.octets += content.len();
        let text = without_comments(content);
        let mut rest = &*text;
        while let Some(open) = memchr(b'{', rest.as_bytes()) {
            let selectors = rest[..open].rsplit(';').next().unwrap_or_default().trim();
            let body = &rest[open + 1..];
            if selectors.trim_start_matches("<!--").trim_start().starts_with('@') {
                rest = behind_block(body);
                continue;
            }
            let end = memchr(b'}', body.as_bytes()).unwrap_or(body.len());
            self.add(selectors, &Change::read(&body[..end]));
            rest = body.get(end + 1..).unwrap_or_default();
        }
    }

    fn add(&mut self, selectors: &str, change: &Change) {
        if *change == Change::default() {
            return;
        }
        for selector in selectors.trim_start_matches("<!--").split(',').take(CLASSES_MAX) {
            let selector = selector.trim();
            let marks = selector.bytes().filter(|byte| matches!(byte, b'.' | b'#')).count();
            let is_simple = marks <= 1
                && selector
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'#'));
            if !is_simple || selector.is_empty() {
                self.has_unread_ground |= change.ground.is_some();
            } else if self.rules.len() < RULES_MAX {
                let key = selector.to_ascii_lowercase();
                let before = self.rules.get(&key).copied().unwrap_or_default();
                self.rules.insert(key, before.and(change));
            }
        }
    }

    /// What the rules say of an element.
    pub(crate) fn of(&self, name: &str, classes: Option<&str>, id: Option<&str>) -> Change {
        if self.rules.is_empty() {
            return Change::default();
        }
        let mut change = self.rules.get(name).copied().unwrap_or_default();
        let mut add = |key: &str| {
            if let Some(rule) = self.rules.get(key) {
                change = change.and(rule);
            }
        };
        for class in classes.unwrap_or_default().split_ascii_whitespace().take(CLASSES_MAX) {
            let class = class.to_ascii_lowercase();
            add(&format!(".{class}"));
            add(&format!("{name}.{class}"));
        }
        if let Some(id) = id {
            let id = id.to_ascii_lowercase();
            add(&format!("#{id}"));
            add(&format!("{name}#{id}"));
        }
        change
    }
}

/// Behind the end of a block that has blocks in it.
fn behind_block(body: &str) -> &str {
    let mut depth = 1_u32;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return &body[at + 1..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hides(declarations: &str) -> Option<Means> {
        Look::PLAIN.under(&Change::read(declarations)).hides()
    }

    #[test]
    fn declarations_that_hide() {
        for (declarations, means) in [
            ("display:none", Means::NotDisplayed),
            ("color:red; DISPLAY : None !important", Means::NotDisplayed),
            ("display:/**/none", Means::NotDisplayed),
            ("visibility:hidden", Means::NotDisplayed),
            ("opacity:0", Means::Transparent),
            ("opacity: 0.01", Means::Transparent),
            ("color:transparent", Means::Transparent),
            ("color:rgba(0,0,0,0)", Means::Transparent),
            ("font-size:0", Means::NoSize),
            ("font-size:1px", Means::NoSize),
            ("font-size:0.05em", Means::NoSize),
            ("max-height:0;overflow:hidden", Means::NoSize),
            ("height:1px;width:1px;overflow:hidden", Means::NoSize),
            ("position:absolute;clip:rect(0,0,0,0)", Means::NoSize),
            ("clip-path: inset(100%)", Means::NoSize),
            ("transform:scale(0)", Means::NoSize),
            ("position:absolute;left:-9999px", Means::OffScreen),
            ("text-indent:-9999px", Means::OffScreen),
            ("color:#fff", Means::SameColour),
            ("color:#FFFFFE", Means::SameColour),
            ("color:white;background:#fefefe", Means::SameColour),
            ("color:rgb(10, 20, 30);background-color:#0a141e", Means::SameColour),
        ] {
            assert_eq!(hides(declarations), Some(means), "{declarations}");
        }
    }

    #[test]
    fn declarations_that_hide_nothing() {
        for declarations in [
            "",
            "display:block",
            "visibility:visible",
            "opacity:1",
            "opacity:0.6",
            "font-size:12px",
            "font-size:inherit",
            "max-height:0",
            "overflow:hidden",
            "height:0px;line-height:0",
            "color:#fff;background:#003366",
            "color:#fff;background:url(x.png) #fff",
            "color:white;background:linear-gradient(#000,#fff)",
            "color:#333",
            "left:-9999px",
            "transform:scale(0.9)",
            "no declaration at all; : ;; x:",
        ] {
            assert_eq!(hides(declarations), None, "{declarations}");
        }
    }

    #[test]
    fn what_is_handed_down() {
        let dark = Look::PLAIN.under(&Change::coloured(None, Some("000000"), false));
        assert_eq!(dark.under(&Change::read("color:#fff")).hides(), None);
        assert_eq!(dark.under(&Change::read("color:black")).hides(), Some(Means::SameColour));
        let none = Look::PLAIN.under(&Change::read("font-size:0"));
        assert_eq!(none.under(&Change::read("font-size:14px")).hides(), None);
        let gone = Look::PLAIN.under(&Change::HIDDEN);
        assert_eq!(gone.under(&Change::read("display:block")).hides(), Some(Means::NotDisplayed));
    }

    #[test]
    fn sheets() {
        let mut sheet = Sheet::default();
        sheet.read(
            "<!-- .a, td.b {display:none} /* x { */ #c{opacity:0}\n@media (max-width:600px) { .d{display:none} }\n\
             @import url(x.css); .e{color:red} p{font-size:0}",
        );
        let hides = |name, class, id| Look::PLAIN.under(&sheet.of(name, class, id)).hides();
        assert_eq!(hides("div", Some("x A"), None), Some(Means::NotDisplayed));
        assert_eq!(hides("td", Some("b"), None), Some(Means::NotDisplayed));
        assert_eq!(hides("div", Some("b"), None), None);
        assert_eq!(hides("div", None, Some("c")), Some(Means::Transparent));
        assert_eq!(hides("div", Some("d"), None), None);
        assert_eq!(hides("p", None, None), Some(Means::NoSize));
        assert!(!sheet.has_unread_ground);
        sheet.read(".f .g{background:#000}");
        assert!(sheet.has_unread_ground);
    }
}
