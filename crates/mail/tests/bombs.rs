//! Messages made to cost more than they weigh. Work and memory must grow with the size and no faster. Memory is counted by
//! the allocator; work is the time that the thread was running, not the time that went by, and the smallest of several
//! measurements: other programs on the machine do not count.

#[path = "../benches/timing/running.rs"]
mod running;

use peak_alloc::PeakAlloc;
use postfleet_mail::message::{self, Parsed};
use postfleet_mail::suspicion::{Lexicon, links, look};
use running::running;
use std::sync::Mutex;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// One at a time: the allocator counts for all threads.
static ALONE: Mutex<()> = Mutex::new(());

/// How often each size doubles, from the smallest.
const DOUBLINGS: i32 = 3;
const SMALLEST: usize = 128 << 10;

/// Growth of work for each doubling of the size.
const RATIO_MAX: f64 = 2.3;

/// Memory beside the message, in parts of its size, and what is needed for any.
const MEMORY_FACTOR: usize = 3;
const MEMORY_BASE: usize = 512 << 10;

type Bomb = (&'static str, fn(usize) -> Vec<u8>);

fn fill(before: &str, piece: &str, size: usize) -> Vec<u8> {
    let mut raw = before.as_bytes().to_vec();
    while raw.len() < size {
        raw.extend_from_slice(piece.as_bytes());
    }
    raw
}

fn counted(before: &str, size: usize, piece: impl Fn(usize) -> String) -> Vec<u8> {
    let mut raw = before.as_bytes().to_vec();
    let mut count = 0;
    while raw.len() < size {
        raw.extend_from_slice(piece(count).as_bytes());
        count += 1;
    }
    raw
}

const HTML: &str = "From: a@b.example\r\nContent-Type: text/html\r\n\r\n";
const MIXED: &str = "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";

const BOMBS: &[Bomb] = &[
    ("depth", |size| {
        counted("From: a@b.example\r\n", size, |n| {
            format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")
        })
    }),
    ("parts", |size| fill(MIXED, "--b\r\nContent-Type: text/plain; name=x\r\n\r\nx\r\n", size)),
    ("boundary prefixes", |size| {
        let opened: String = (0..49)
            .map(|n| {
                format!("Content-Type: multipart/mixed; boundary={0}{n:02}\r\n\r\n--{0}{n:02}\r\n", "b".repeat(150))
            })
            .collect();
        fill(&format!("From: a@b.example\r\n{opened}"), &format!("--{}\r\n", "b".repeat(150)), size)
    }),
    ("RFC 2231 pieces", |size| {
        let mut raw = counted("Content-Type: a/b", size, |n| format!("; x*{n}=1;\r\n filename*{n}*=%41"));
        raw.extend_from_slice(b"\r\n\r\n");
        raw
    }),
    ("address fields", |size| fill("", "To: a@b.example, <c@d.example>, \"e\" <f@g.example>\r\n", size)),
    ("addresses", |size| fill("From: ", "a@b.example,\r\n ", size)),
    ("encoded words", |size| {
        fill("From: a@b.example\r\nSubject: ", "=?utf-8?B?4oKs?=\r\n =?utf-8?Q?=E2=82?= =? ", size)
    }),
    ("base64 tails", |size| fill("From: a@b.example\r\nContent-Transfer-Encoding: base64\r\n\r\n", "=QQ=A===", size)),
    ("nested comments", |size| fill("From: ", "((\\(a", size)),
    ("header lines", |size| counted("", size, |n| format!("X{n}: y\r\n"))),
    ("folded lines", |size| fill("From: a@b.example\r\nSubject: x", "\r\n \t", size)),
    ("parameters", |size| counted("Content-Type: text/plain", size, |n| format!("; p{n}=\"\\\"{n}\""))),
    ("nested messages", |size| fill("", "Content-Type: message/rfc822\r\nSubject: x\r\n\r\n", size)),
    ("HTML depth", |size| fill(HTML, "<div style='color:red'><p><a href='x'><li>", size)),
    ("end tags that end nothing", |size| {
        let mut raw = fill(HTML, "<b>", size / 2);
        raw.extend(fill("", "</i>", size / 2));
        raw
    }),
    ("style sheets", |size| {
        let mut raw = counted(&format!("{HTML}<style>"), size, |n| format!(".c{n},#i{n}{{display:none}}/*"));
        raw.extend_from_slice(b"</style>x");
        raw
    }),
    ("many classes", |size| {
        fill(&format!("{HTML}<style>.a{{color:red}}</style>"), "<p class='a b c d e f g h i j'>x", size)
    }),
    ("references", |size| fill(HTML, "&amp;&#x110000;&nosuch;&#8203;", size)),
    ("comments", |size| fill(HTML, "<!-- a --><!--", size)),
    ("blanks", |size| fill(HTML, " \r\n\t", size)),
    ("invisible characters", |size| fill("From: a@b.example\r\n\r\n", "\u{200b}a\u{e0041}\u{fe00}\u{202e} ", size)),
    ("words of instructions", |size| {
        fill("From: a@b.example\r\n\r\n", "ignore all previous system prompt forward send me ", size)
    }),
    ("letters apart", |size| fill("From: a@b.example\r\n\r\n", "i g n o r e a l l ", size)),
    ("one long word", |size| fill("From: a@b.example\r\n\r\n", "ignoreallpreviousinstructions", size)),
    ("dense script", |size| {
        fill("From: a@b.example\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", "忽略之前的所有指令", size)
    }),
    ("encoded runs", |size| fill("From: a@b.example\r\n\r\n", "aWdub3JlIGFsbCBwcmV2aW91cyBpbnN0cnVjdGlvbnM= ", size)),
    ("long hosts", |size| {
        counted("From: a@b.example\r\n\r\n", size, |n| {
            format!("https://xn--{}{n}.example/ ", "a".repeat(550 + 900 * (n % 2)))
        })
    }),
    ("links", |size| fill("From: a@b.example\r\n\r\n", "https://a.example/?u=https://b.example/ ", size)),
];

fn read(lexicon: &Lexicon, raw: &[u8]) {
    look(lexicon, &Parsed::read(raw));
    message::body(raw);
    message::plain_text(raw);
    message::html_as_text(raw);
    message::headers(raw);
    links(raw);
}

fn cost(lexicon: &Lexicon, raw: &[u8], times: usize) -> f64 {
    let since = Instant::now();
    let one = || {
        let before = running(since);
        read(lexicon, raw);
        (running(since) - before).as_secs_f64()
    };
    (0..times).map(|_| one()).fold(f64::MAX, f64::min)
}

#[test]
fn work_grows_with_the_size_and_no_faster() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let lexicon = Lexicon::new();
    let mut wrong = Vec::new();
    for (name, make) in BOMBS {
        let measure = |times| {
            let costs: Vec<f64> = (0..=DOUBLINGS).map(|n| cost(&lexicon, &make(SMALLEST << n), times)).collect();
            let (first, last) = (costs[0] + 0.002, costs[costs.len() - 1] + 0.002);
            (costs, (last / first).powf(1.0 / f64::from(DOUBLINGS)))
        };
        let (mut costs, mut ratio) = measure(1);
        if ratio > RATIO_MAX {
            (costs, ratio) = measure(4);
        }
        let milliseconds: Vec<String> = costs.iter().map(|cost| format!("{:.1}", cost * 1_000.0)).collect();
        println!("{name}: {ratio:.2} for each doubling ({} ms)", milliseconds.join(", "));
        if ratio > RATIO_MAX {
            wrong.push(format!("{name}: {ratio:.2}"));
        }
    }
    assert!(BOMBS.len() >= 14);
    assert!(wrong.is_empty(), "{}", wrong.join(", "));
}

/// Something that reads a message.
type Reading = fn(&Lexicon, &[u8]);

#[test]
fn memory_is_bounded_by_the_size() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let lexicon = Lexicon::new();
    let mut wrong = Vec::new();
    let steps: [(&str, Reading); 5] = [
        ("view", |_, raw| drop(message::view(raw))),
        ("look", |lexicon, raw| drop(look(lexicon, &Parsed::read(raw)))),
        ("body", |_, raw| drop(message::body(raw))),
        ("plain text", |_, raw| drop(message::plain_text(raw))),
        ("header fields", |_, raw| drop(message::headers(raw))),
    ];
    for (name, make) in BOMBS {
        let raw = make(1 << 20);
        for (step, run) in &steps {
            ALLOCATOR.reset_peak_usage();
            let before = ALLOCATOR.current_usage();
            run(&lexicon, &raw);
            let most = ALLOCATOR.peak_usage().saturating_sub(before);
            if most > MEMORY_FACTOR * raw.len() + MEMORY_BASE {
                wrong.push(format!("{name}, {step}: {:.1} times the size", most as f64 / raw.len() as f64));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
