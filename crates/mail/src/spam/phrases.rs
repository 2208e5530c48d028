//! What spam is about, in the words that it likes. A table, looked at where a word stands that may begin a phrase; what it
//! says is weak by itself and bounded in sum: people write about lotteries, too.

use super::letters::for_sign;
use super::words::Words;
use postfleet_core::spam::SpamReason;

/// What all themes add at most, in hundredths.
const ALL_MOST: i64 = 500;

/// What phrases have in common.
struct Theme {
    name: &'static str,
    /// What it is about, in the reason.
    about: &'static str,
    /// What each phrase adds, and what all add at most.
    each: i64,
    most: i64,
}

const THEMES: [Theme; 11] = [
    Theme { name: "phrase_fortune", about: "a fortune that waits for the reader", each: 140, most: 400 },
    Theme { name: "phrase_lottery", about: "a prize", each: 110, most: 300 },
    Theme { name: "phrase_medicine", about: "medicines and diets", each: 100, most: 300 },
    Theme { name: "phrase_account", about: "an account that is in danger", each: 110, most: 300 },
    Theme { name: "phrase_investment", about: "money that grows by itself", each: 110, most: 300 },
    Theme { name: "phrase_seo", about: "a better place for a website", each: 130, most: 390 },
    Theme { name: "phrase_loan", about: "loans and debts", each: 120, most: 360 },
    Theme { name: "phrase_adult", about: "sex and acquaintances", each: 110, most: 300 },
    Theme { name: "phrase_extortion", about: "a threat", each: 170, most: 500 },
    Theme { name: "phrase_pressure", about: "an offer that ends soon", each: 40, most: 160 },
    Theme { name: "phrase_parcel", about: "a parcel that waits for a fee", each: 120, most: 360 },
];

const FORTUNE: u8 = 0;
const LOTTERY: u8 = 1;
const MEDICINE: u8 = 2;
const ACCOUNT: u8 = 3;
const INVESTMENT: u8 = 4;
const SEO: u8 = 5;
const LOAN: u8 = 6;
const ADULT: u8 = 7;
const EXTORTION: u8 = 8;
const PRESSURE: u8 = 9;
const PARCEL: u8 = 10;

/// The phrases, as words are read: small letters, single spaces, without apostrophes.
const PHRASES: &[(u8, &str)] = &[
    (FORTUNE, "next of kin"),
    (FORTUNE, "million dollars"),
    (FORTUNE, "million united states dollars"),
    (FORTUNE, "million usd"),
    (FORTUNE, "million euros"),
    (FORTUNE, "unclaimed funds"),
    (FORTUNE, "unclaimed inheritance"),
    (FORTUNE, "inheritance fund"),
    (FORTUNE, "deceased client"),
    (FORTUNE, "late client"),
    (FORTUNE, "late husband"),
    (FORTUNE, "dying of cancer"),
    (FORTUNE, "business proposal"),
    (FORTUNE, "mutual benefit"),
    (FORTUNE, "transfer of the fund"),
    (FORTUNE, "transfer the funds"),
    (FORTUNE, "dear beneficiary"),
    (FORTUNE, "dear beloved"),
    (FORTUNE, "utmost confidentiality"),
    (FORTUNE, "strictly confidential"),
    (FORTUNE, "compensation fund"),
    (FORTUNE, "consignment box"),
    (FORTUNE, "foreign partner"),
    (FORTUNE, "donate to you"),
    (FORTUNE, "donation of"),
    (FORTUNE, "atm card"),
    (FORTUNE, "erbschaft von"),
    (FORTUNE, "millionen euro"),
    (FORTUNE, "héritage de"),
    (FORTUNE, "millions deuros"),
    (FORTUNE, "millones de dólares"),
    (FORTUNE, "milhões de dólares"),
    (FORTUNE, "fondos no reclamados"),
    (LOTTERY, "you have won"),
    (LOTTERY, "youve won"),
    (LOTTERY, "you are a winner"),
    (LOTTERY, "you have been selected"),
    (LOTTERY, "lucky winner"),
    (LOTTERY, "winning number"),
    (LOTTERY, "claim your prize"),
    (LOTTERY, "claim your reward"),
    (LOTTERY, "claim your gift"),
    (LOTTERY, "claim your free"),
    (LOTTERY, "gift card worth"),
    (LOTTERY, "lottery"),
    (LOTTERY, "sweepstakes"),
    (LOTTERY, "free spins"),
    (LOTTERY, "casino"),
    (LOTTERY, "jackpot"),
    (LOTTERY, "sie haben gewonnen"),
    (LOTTERY, "ihr gewinn"),
    (LOTTERY, "vous avez gagné"),
    (LOTTERY, "ha ganado"),
    (LOTTERY, "has ganado"),
    (LOTTERY, "você ganhou"),
    (LOTTERY, "hai vinto"),
    (LOTTERY, "вы выиграли"),
    (LOTTERY, "中 奖"),
    (LOTTERY, "当 選"),
    (MEDICINE, "viagra"),
    (MEDICINE, "cialis"),
    (MEDICINE, "levitra"),
    (MEDICINE, "tramadol"),
    (MEDICINE, "xanax"),
    (MEDICINE, "phentermine"),
    (MEDICINE, "online pharmacy"),
    (MEDICINE, "canadian pharmacy"),
    (MEDICINE, "without prescription"),
    (MEDICINE, "no prescription"),
    (MEDICINE, "lose weight"),
    (MEDICINE, "weight loss"),
    (MEDICINE, "burn fat"),
    (MEDICINE, "belly fat"),
    (MEDICINE, "keto gummies"),
    (MEDICINE, "miracle cure"),
    (MEDICINE, "erectile dysfunction"),
    (MEDICINE, "male enhancement"),
    (MEDICINE, "doctors hate"),
    (MEDICINE, "ohne rezept"),
    (MEDICINE, "sans ordonnance"),
    (MEDICINE, "sin receta"),
    (MEDICINE, "sem receita"),
    (MEDICINE, "без рецепта"),
    (MEDICINE, "perdre du poids"),
    (MEDICINE, "perder peso"),
    (MEDICINE, "schnell abnehmen"),
    (ACCOUNT, "verify your account"),
    (ACCOUNT, "verify your mailbox"),
    (ACCOUNT, "verify your identity"),
    (ACCOUNT, "validate your account"),
    (ACCOUNT, "confirm your account"),
    (ACCOUNT, "confirm your identity"),
    (ACCOUNT, "update your payment"),
    (ACCOUNT, "update your billing"),
    (ACCOUNT, "account has been suspended"),
    (ACCOUNT, "account will be suspended"),
    (ACCOUNT, "account has been limited"),
    (ACCOUNT, "account will be closed"),
    (ACCOUNT, "account will be terminated"),
    (ACCOUNT, "account has been locked"),
    (ACCOUNT, "mailbox is full"),
    (ACCOUNT, "mailbox is almost full"),
    (ACCOUNT, "mailbox quota"),
    (ACCOUNT, "storage is full"),
    (ACCOUNT, "password will expire"),
    (ACCOUNT, "password expires today"),
    (ACCOUNT, "keep same password"),
    (ACCOUNT, "keep the same password"),
    (ACCOUNT, "unusual activity"),
    (ACCOUNT, "unusual sign in"),
    (ACCOUNT, "suspicious activity"),
    (ACCOUNT, "pending messages"),
    (ACCOUNT, "undelivered messages"),
    (ACCOUNT, "held messages"),
    (ACCOUNT, "restore access"),
    (ACCOUNT, "avoid deactivation"),
    (ACCOUNT, "avoid suspension"),
    (ACCOUNT, "avoid termination"),
    (ACCOUNT, "dear customer"),
    (ACCOUNT, "dear user"),
    (ACCOUNT, "dear account holder"),
    (ACCOUNT, "konto wurde gesperrt"),
    (ACCOUNT, "konto wird gesperrt"),
    (ACCOUNT, "bestätigen sie ihre"),
    (ACCOUNT, "compte a été suspendu"),
    (ACCOUNT, "compte sera suspendu"),
    (ACCOUNT, "vérifier votre compte"),
    (ACCOUNT, "cuenta ha sido suspendida"),
    (ACCOUNT, "cuenta será suspendida"),
    (ACCOUNT, "verifique su cuenta"),
    (ACCOUNT, "conta foi suspensa"),
    (ACCOUNT, "conta será bloqueada"),
    (ACCOUNT, "verifica il tuo account"),
    (ACCOUNT, "аккаунт заблокирован"),
    (INVESTMENT, "guaranteed returns"),
    (INVESTMENT, "guaranteed profit"),
    (INVESTMENT, "guaranteed income"),
    (INVESTMENT, "double your"),
    (INVESTMENT, "passive income"),
    (INVESTMENT, "financial freedom"),
    (INVESTMENT, "work from home"),
    (INVESTMENT, "make money online"),
    (INVESTMENT, "make money fast"),
    (INVESTMENT, "earn up to"),
    (INVESTMENT, "extra income"),
    (INVESTMENT, "per day from home"),
    (INVESTMENT, "trading bot"),
    (INVESTMENT, "crypto giveaway"),
    (INVESTMENT, "forex signals"),
    (INVESTMENT, "risk free"),
    (INVESTMENT, "no risk"),
    (INVESTMENT, "get rich"),
    (INVESTMENT, "penny stock"),
    (INVESTMENT, "hot stock"),
    (INVESTMENT, "airdrop"),
    (INVESTMENT, "connect your wallet"),
    (INVESTMENT, "geld verdienen"),
    (INVESTMENT, "passives einkommen"),
    (INVESTMENT, "gagner de largent"),
    (INVESTMENT, "ganar dinero"),
    (INVESTMENT, "ganhar dinheiro"),
    (INVESTMENT, "guadagnare soldi"),
    (INVESTMENT, "заработок в интернете"),
    (SEO, "first page of google"),
    (SEO, "page one of google"),
    (SEO, "top of google"),
    (SEO, "rank on google"),
    (SEO, "google ranking"),
    (SEO, "google rankings"),
    (SEO, "seo services"),
    (SEO, "seo expert"),
    (SEO, "seo package"),
    (SEO, "seo packages"),
    (SEO, "guest post"),
    (SEO, "guest posts"),
    (SEO, "backlinks"),
    (SEO, "domain authority"),
    (SEO, "link building"),
    (SEO, "increase your traffic"),
    (SEO, "more traffic"),
    (SEO, "website traffic"),
    (SEO, "redesign your website"),
    (SEO, "errors on your website"),
    (SEO, "web design services"),
    (SEO, "web development company"),
    (SEO, "email lists"),
    (SEO, "targeted leads"),
    (SEO, "decision makers list"),
    (SEO, "attendees list"),
    (SEO, "mailing list of"),
    (SEO, "affordable price"),
    (LOAN, "loan offer"),
    (LOAN, "business loan"),
    (LOAN, "personal loan"),
    (LOAN, "instant loan"),
    (LOAN, "pre approved"),
    (LOAN, "bad credit"),
    (LOAN, "credit repair"),
    (LOAN, "no credit check"),
    (LOAN, "consolidate your debt"),
    (LOAN, "eliminate debt"),
    (LOAN, "lower your rate"),
    (LOAN, "interest rate of"),
    (LOAN, "kredit ohne schufa"),
    (LOAN, "sofortkredit"),
    (LOAN, "prêt rapide"),
    (LOAN, "préstamo rápido"),
    (LOAN, "empréstimo"),
    (LOAN, "кредит онлайн"),
    (ADULT, "hot girls"),
    (ADULT, "hot singles"),
    (ADULT, "singles in your area"),
    (ADULT, "lonely women"),
    (ADULT, "sexy"),
    (ADULT, "porn"),
    (ADULT, "xxx"),
    (ADULT, "nude"),
    (ADULT, "nudes"),
    (ADULT, "hookup"),
    (ADULT, "meet women"),
    (ADULT, "russian women"),
    (ADULT, "my photos"),
    (ADULT, "heiße frauen"),
    (ADULT, "mujeres solteras"),
    (ADULT, "femmes célibataires"),
    (EXTORTION, "your webcam"),
    (EXTORTION, "recorded you"),
    (EXTORTION, "adult site"),
    (EXTORTION, "adult websites"),
    (EXTORTION, "i hacked"),
    (EXTORTION, "hacked your"),
    (EXTORTION, "infected your device"),
    (EXTORTION, "full access to your"),
    (EXTORTION, "your contacts"),
    (EXTORTION, "bitcoin wallet"),
    (EXTORTION, "btc wallet"),
    (EXTORTION, "btc address"),
    (EXTORTION, "send the bitcoin"),
    (EXTORTION, "in bitcoin"),
    (EXTORTION, "your dirty"),
    (EXTORTION, "compromising video"),
    (EXTORTION, "ihre webcam"),
    (EXTORTION, "votre webcam"),
    (EXTORTION, "su cámara"),
    (PRESSURE, "act now"),
    (PRESSURE, "click here"),
    (PRESSURE, "click below"),
    (PRESSURE, "click the link below"),
    (PRESSURE, "limited time"),
    (PRESSURE, "offer expires"),
    (PRESSURE, "expires soon"),
    (PRESSURE, "order now"),
    (PRESSURE, "buy now"),
    (PRESSURE, "dont miss"),
    (PRESSURE, "last chance"),
    (PRESSURE, "final notice"),
    (PRESSURE, "once in a lifetime"),
    (PRESSURE, "special promotion"),
    (PRESSURE, "exclusive deal"),
    (PRESSURE, "100 free"),
    (PRESSURE, "absolutely free"),
    (PRESSURE, "satisfaction guaranteed"),
    (PRESSURE, "money back"),
    (PRESSURE, "this is not spam"),
    (PRESSURE, "within 24 hours"),
    (PRESSURE, "within 48 hours"),
    (PRESSURE, "kindly"),
    (PRESSURE, "jetzt klicken"),
    (PRESSURE, "klicken sie hier"),
    (PRESSURE, "cliquez ici"),
    (PRESSURE, "haga clic aquí"),
    (PRESSURE, "clique aqui"),
    (PRESSURE, "clicca qui"),
    (PRESSURE, "нажмите здесь"),
    (PRESSURE, "点 击 这 里"),
    (PARCEL, "package could not be delivered"),
    (PARCEL, "parcel could not be delivered"),
    (PARCEL, "package is waiting"),
    (PARCEL, "parcel is waiting"),
    (PARCEL, "shipping fee"),
    (PARCEL, "customs fee"),
    (PARCEL, "redelivery fee"),
    (PARCEL, "delivery attempt failed"),
    (PARCEL, "reschedule your delivery"),
    (PARCEL, "tracking code below"),
    (PARCEL, "ihr paket wartet"),
    (PARCEL, "zollgebühr"),
    (PARCEL, "votre colis"),
    (PARCEL, "frais de livraison"),
    (PARCEL, "su paquete"),
    (PARCEL, "sua encomenda"),
];

/// Words that are disguised, in order.
const DISGUISED: &[&str] = &[
    "account",
    "amazon",
    "antivirus",
    "apple",
    "bank",
    "bitcoin",
    "bonus",
    "cash",
    "casino",
    "cheap",
    "cialis",
    "click",
    "credit",
    "crypto",
    "degree",
    "discount",
    "drugs",
    "free",
    "gift",
    "girls",
    "invoice",
    "jackpot",
    "levitra",
    "loan",
    "lottery",
    "medicine",
    "meds",
    "microsoft",
    "money",
    "mortgage",
    "netflix",
    "offer",
    "password",
    "paypal",
    "penis",
    "pharmacy",
    "pills",
    "porn",
    "prescription",
    "prize",
    "replica",
    "rolex",
    "sale",
    "sexy",
    "singles",
    "slots",
    "software",
    "tablets",
    "urgent",
    "viagra",
    "watches",
    "weight",
    "winner",
    "xanax",
];

/// Chains of phrases by their first word, and the second word of each: what stands there in a message is compared before
/// anything else.
struct Index {
    heads: [u16; HEADS],
    next: [u16; PHRASES.len()],
    /// The first eight octets of it; nought if there is none.
    seconds: [u64; PHRASES.len()],
}

const HEADS: usize = 4_096;

/// The end of a chain.
const NONE: u16 = u16::MAX;

const INDEX: &Index = &index();

const fn index() -> Index {
    let mut index = Index { heads: [NONE; HEADS], next: [NONE; PHRASES.len()], seconds: [0; PHRASES.len()] };
    let mut at = 0;
    while at < PHRASES.len() {
        let phrase = PHRASES[at].1.as_bytes();
        let (first, second) = eight_of_word(phrase, 0);
        index.next[at] = index.heads[head(first)];
        index.heads[head(first)] = at as u16;
        index.seconds[at] = eight_of_word(phrase, second).0;
        at += 1;
    }
    index
}

/// The first eight octets of the word that begins there, the first one lowest; and where the next word does.
const fn eight_of_word(phrase: &[u8], start: usize) -> (u64, usize) {
    let (mut eight, mut at) = (0, start);
    while at < phrase.len() && phrase[at] != b' ' {
        if at < start + 8 {
            eight |= (phrase[at] as u64) << (8 * (at - start));
        }
        at += 1;
    }
    (eight, at + 1)
}

/// Where the chain of a word begins, by the first eight octets of it.
const fn head(eight: u64) -> usize {
    (eight.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize
}

/// Whether a phrase may begin with a word, by the first eight octets of it.
pub(super) fn may_begin(eight: u64) -> bool {
    INDEX.heads[head(eight)] != NONE
}

/// Octets of the longest word that is disguised.
const DISGUISED_OCTETS_MAX: usize = 12;

/// The word that is disguised as another, by digits and signs in place of letters or not at all.
pub(super) fn disguised(word: &str) -> Option<&'static str> {
    if word.len() > DISGUISED_OCTETS_MAX {
        return None;
    }
    let read = || word.chars().map(for_sign);
    DISGUISED.binary_search_by(|one| one.chars().cmp(read())).ok().map(|at| DISGUISED[at])
}

/// A reason for each theme of which there are phrases.
pub(super) fn look(words: &Words) -> Vec<SpamReason> {
    let mut found: [Vec<&'static str>; THEMES.len()] = Default::default();
    for number in words.beginnings.iter().map(|number| *number as usize) {
        let second = words.eight(number + 1);
        let mut at = INDEX.heads[head(words.eight(number))];
        while at != NONE {
            let (theme, phrase) = PHRASES[usize::from(at)];
            let of_theme = &mut found[usize::from(theme)];
            let may_stand = matches!(INDEX.seconds[usize::from(at)], wanted if wanted == 0 || wanted == second);
            if may_stand && stands_at(words, number, phrase) && !of_theme.contains(&phrase) {
                of_theme.push(phrase);
            }
            at = INDEX.next[usize::from(at)];
        }
    }
    let mut left = ALL_MOST;
    let mut reasons = Vec::new();
    for (theme, phrases) in THEMES.iter().zip(found).filter(|(_, phrases)| !phrases.is_empty()) {
        let count = i64::try_from(phrases.len()).unwrap_or(theme.most);
        let score = (theme.each * count).min(theme.most).min(left);
        left -= score;
        let shown = phrases.iter().take(4).map(|phrase| format!("{phrase:?}")).collect::<Vec<_>>().join(", ");
        reasons.push(SpamReason::new(theme.name, score, format!("it is about {}: {shown}", theme.about)));
    }
    reasons
}

fn stands_at(words: &Words, number: usize, phrase: &str) -> bool {
    phrase.split(' ').enumerate().all(|(offset, word)| words.get(number + offset) == Some(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use postfleet_core::spam::TokenHasher;

    fn check(text: &str, expected: &[(&str, i64)]) {
        let mut words = Words::new(TokenHasher::new([1, 2]));
        words.text(text);
        let found = look(&words);
        let found: Vec<_> = found.iter().map(|reason| (reason.name.as_str(), reason.hundredths())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn what_a_message_is_about() {
        check("The minutes of our meeting are attached.", &[]);
        check("You have WON the lottery! You have won!", &[("phrase_lottery", 220)]);
        check("Cheap V1agra, and ci@lis without prescription, no prescription", &[("phrase_medicine", 300)]);
        check("恭喜中奖", &[("phrase_lottery", 110)]);
        check("you have", &[]);
        check("Вы выиграли", &[("phrase_lottery", 110)]);
        let all =
            "you have won the lottery jackpot casino viagra cialis xanax click here act now loan offer bad credit";
        let mut words = Words::new(TokenHasher::new([1, 2]));
        words.text(all);
        assert_eq!(look(&words).iter().map(SpamReason::hundredths).sum::<i64>(), ALL_MOST);
    }

    #[test]
    fn the_tables_are_as_words_are_read() {
        assert!(DISGUISED.is_sorted());
        assert!(DISGUISED.iter().all(|word| word.is_ascii() && word.len() <= DISGUISED_OCTETS_MAX));
        for (theme, phrase) in PHRASES {
            assert!(usize::from(*theme) < THEMES.len());
            let mut words = Words::new(TokenHasher::new([1, 2]));
            words.text(phrase);
            assert_eq!(words.iter().collect::<Vec<_>>().join(" "), *phrase);
            assert!(stands_at(&words, 0, phrase), "{phrase}");
        }
        let mut all: Vec<_> = PHRASES.iter().map(|(_, phrase)| phrase).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), PHRASES.len());
    }
}
