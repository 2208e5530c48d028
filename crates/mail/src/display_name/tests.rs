use super::*;
use NameMismatch::{Address, Confusable, Domain as OtherDomain};

fn of(name: &str, email: &str) -> Option<NameMismatch> {
    mismatch(&[Participant { name: name.to_owned(), email: email.to_owned() }])
}

#[test]
fn names_that_mislead_and_names_that_do_not() {
    for (name, email, expected) in [
        ("", "ada@sender.com", None),
        ("Ada", "ada@sender.com", None),
        ("Ada Lovelace", "ada@sender.com", None),
        ("ada@sender.com", "ada@sender.com", None),
        ("ADA@Sender.COM", "ada@sender.com", None),
        ("Ada (ada@sender.com)", "ada@sender.com", None),
        ("'ada@sender.com' via Talk", "ada@sender.com", None),
        // Other addresses.
        ("boss@bank.com", "x@sender.com", Some(Address)),
        ("\"boss@bank.com\"", "x@sender.com", Some(Address)),
        ("Boss <boss@bank.com>", "x@sender.com", Some(Address)),
        ("Boss (boss@bank.com)", "x@sender.com", Some(Address)),
        ("boss＠bank.com", "x@sender.com", Some(Address)),
        ("b\u{200b}oss@ba\u{ad}nk.com", "x@sender.com", Some(Address)),
        ("boss at bank.com", "x@sender.com", Some(OtherDomain)),
        ("boss(at)bank.com", "x@sender.com", Some(OtherDomain)),
        ("Ada at Sender.com", "ada.l@sender.com", None),
        ("boss@bank.com.", "x@sender.com", Some(Address)),
        ("other@sender.com", "x@sender.com", Some(Address)),
        ("x@sender.com boss@bank.com", "x@sender.com", Some(Address)),
        ("Ada | boss@bank.co.uk", "x@sender.com", Some(Address)),
        ("boss@bank.kg", "x@sender.com", Some(Address)),
        ("boss@163.com", "x@sender.com", Some(Address)),
        ("boss@bank.local", "x@sender.com", None),
        ("boss@kg", "x@sender.com", None),
        // Other domains.
        ("bank.com", "x@sender.com", Some(OtherDomain)),
        ("Bank.com Security", "x@sender.com", Some(OtherDomain)),
        ("www.bank.com", "x@sender.com", Some(OtherDomain)),
        ("https://bank.com/login", "x@sender.com", Some(OtherDomain)),
        ("ｂａｎｋ.com", "x@sender.com", Some(OtherDomain)),
        ("Bank.Com", "x@bank.com.sender.com", Some(OtherDomain)),
        ("bank.com", "x@notbank.com", Some(OtherDomain)),
        ("Bank.com", "x@bank.com", None),
        ("Bank.com", "x@mail.bank.com", None),
        ("mail.bank.com", "x@bank.com", None),
        ("www.bank.com", "x@bank.com", None),
        // What is no domain.
        ("Node.js Weekly", "x@sender.com", None),
        ("Dr.Smith", "x@sender.com", None),
        ("J.R.R.Tolkien", "x@sender.com", None),
        ("Acme Inc.", "x@sender.com", None),
        ("Ada GmbH & Co.KG", "x@sender.com", None),
        ("Ada Lamps Co.Ltd", "x@sender.com", None),
        ("Ada Lovelace M.Sc", "x@sender.com", None),
        ("Version 2.0", "x@sender.com", None),
        ("St. Mary's", "x@sender.com", None),
        ("1.de", "x@sender.com", None),
        // Letters that pass for others.
        ("Pаypal", "x@sender.com", Some(Confusable)),
        ("Αpple Support", "x@sender.com", Some(Confusable)),
        ("Ｐａｙｐａｌ", "x@sender.com", Some(Confusable)),
        ("𝐏𝐚𝐲𝐩𝐚𝐥", "x@sender.com", Some(Confusable)),
        ("Ada", "x@xn--pypal-4ve.com", Some(Confusable)),
        ("Тамара Петрова", "x@sender.com", None),
        ("Ada Петрова", "x@sender.com", None),
        ("Ελένη", "x@sender.com", None),
        ("François Müller", "x@sender.com", None),
        ("李雷", "x@sender.com", None),
        ("李雷 Lei", "x@sender.com", None),
        ("Müller GmbH", "x@xn--mller-kva.com", None),
        ("Acme™", "x@sender.com", None),
        // No address at all.
        ("boss@bank.com", "", Some(Address)),
        ("Ada", "", None),
        ("Ada", "nothing", None),
    ] {
        assert_eq!(of(name, email), expected, "{name:?} {email}");
    }
}

#[test]
fn the_worst_of_several_authors_is_told() {
    let person = |name: &str, email: &str| Participant { name: name.to_owned(), email: email.to_owned() };
    let authors = [person("Ada", "ada@x.com"), person("Pаypal", "p@x.com"), person("b@bank.com", "q@x.com")];
    assert_eq!(mismatch(&authors), Some(Address));
    assert_eq!(mismatch(&authors[..2]), Some(Confusable));
    assert_eq!(mismatch(&[]), None);
}

#[test]
fn names_that_are_borrowed() {
    for (shown, own, expected) in [
        ("Acme Travel", "Acme Travel", true),
        ("ACME  travel", "Acme Travel", true),
        ("Acme-Travel", "Acme Travel", true),
        ("Аcme Trаvel", "Acme Travel", true),
        ("Acme Trave1", "Acme Travel", true),
        ("Acrne Travel", "Acme Travel", true),
        ("Acmé Travel", "Acme Travel", true),
        ("Ａｃｍｅ Travel", "Acme Travel", true),
        ("Acme Tra\u{200b}vel", "Acme Travel", true),
        ("Acme", "Acme Travel", false),
        ("Acme Travels", "Acme Travel", false),
        ("Support", "Support", false),
        ("Sales", "sales", false),
        ("No-Reply", "noreply", false),
        ("Al", "Al", false),
        ("", "", false),
    ] {
        let author = Participant { name: shown.to_owned(), email: "x@sender.com".to_owned() };
        assert_eq!(borrows(&[author], ["Other", own].into_iter()), expected, "{shown} {own}");
    }
}

proptest::proptest! {
    #[test]
    fn any_name(name in "\\PC{0,60}", email in "\\PC{0,20}@?\\PC{0,20}") {
        let author = Participant { name, email };
        mismatch(std::slice::from_ref(&author));
        borrows(std::slice::from_ref(&author), ["Acme"].into_iter());
    }
}
