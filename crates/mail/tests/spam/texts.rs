//! The sentences from which the corpus is built. Each kind has those for training and those that are held out: no sentence
//! is in both, and neither are names, companies, cities and things. `{…}` are places for them.

/// A kind of message.
pub struct Kind {
    pub name: &'static str,
    pub is_spam: bool,
    /// Subjects and sentences to learn from, and to be judged by.
    pub trained: Texts,
    pub held_out: Texts,
    /// How it looks.
    pub form: Form,
}

pub struct Texts {
    pub subjects: &'static [&'static str],
    pub sentences: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Plain,
    Reply,
    Newsletter,
    Receipt,
    Page,
    Phishing,
    Image,
    Program,
}

/// What stands in the places: for training, and held out.
pub struct Fillings {
    pub names: &'static [&'static str],
    pub companies: &'static [&'static str],
    pub cities: &'static [&'static str],
    pub things: &'static [&'static str],
    pub hosts: &'static [&'static str],
    pub bad_hosts: &'static [&'static str],
    pub greetings: &'static [&'static str],
    pub closings: &'static [&'static str],
}

pub const TRAINED: Fillings = Fillings {
    names: &["Anna", "Peter", "Maria", "Thomas", "Julia", "Martin", "Clara", "David", "Sofia", "Lukas", "Yuki", "Omar"],
    companies: &["Northwind", "Acme Tools", "Blue Harbor", "Linden & Sons", "Vertex Labs", "Oak Street Bakery"],
    cities: &["Berlin", "Lyon", "Porto", "Dublin", "Seattle", "Osaka"],
    things: &["the invoice", "the contract", "the report", "the server", "the offer", "the slides", "the parts list"],
    hosts: &["northwind.test", "acmetools.test", "blueharbor.test", "linden.test", "vertexlabs.test"],
    bad_hosts: &["best-deals24.test", "secure-verify.test", "winbig.test", "rx-store.test", "invest-pro.test"],
    greetings: &["Hi {name},", "Hello {name},", "Dear {name},", "Good morning,"],
    closings: &["Best regards,\n{name}", "Thanks,\n{name}", "Kind regards\n{name}, {company}"],
};

pub const HELD_OUT: Fillings = Fillings {
    names: &[
        "Ines", "George", "Laura", "Henrik", "Paula", "Viktor", "Emma", "Rashid", "Nora", "Felix", "Hana", "Tariq",
    ],
    companies: &[
        "Silverline",
        "Miller Freight",
        "Green Valley",
        "Quanta Systems",
        "Harper Publishing",
        "Sunrise Clinic",
    ],
    cities: &["Vienna", "Madrid", "Toronto", "Oslo", "Chicago", "Kyoto"],
    things: &[
        "the quote",
        "the agreement",
        "the budget",
        "the database",
        "the draft",
        "the drawings",
        "the stock list",
    ],
    hosts: &["silverline.test", "millerfreight.test", "greenvalley.test", "quanta.test", "harper.test"],
    bad_hosts: &["mega-promo.test", "account-safety.test", "luckydraw.test", "meds-direct.test", "coin-growth.test"],
    greetings: &["Hello,", "Dear colleagues,", "Hi all,", "Dear Ms {name},"],
    closings: &["Cheers,\n{name}", "Sincerely\n{name}", "All the best\n{name}\n{company}"],
};

const fn texts(subjects: &'static [&'static str], sentences: &'static [&'static str]) -> Texts {
    Texts { subjects, sentences }
}

const fn ham(name: &'static str, form: Form, trained: Texts, held_out: Texts) -> Kind {
    Kind { name, is_spam: false, trained, held_out, form }
}

const fn spam(name: &'static str, form: Form, trained: Texts, held_out: Texts) -> Kind {
    Kind { name, is_spam: true, trained, held_out, form }
}

pub const KINDS: &[Kind] = &[
    ham(
        "business",
        Form::Plain,
        texts(
            &["Meeting on {n} March", "{thing}", "Question about {thing}", "Plan for {city}"],
            &[
                "Could you send me {thing} before Thursday, so that I can go through it with {name}?",
                "We have moved the meeting to {n} o'clock in the large room.",
                "The customer in {city} asked for {n} more units, and {name} thinks that we can deliver in two weeks.",
                "I have attached {thing} with my comments; the numbers on page {n} are not final.",
                "Let us talk about it on the phone tomorrow morning.",
                "{company} has confirmed the date, and the team will be there from nine on.",
                "Please let me know if anything is missing in {thing}.",
            ],
        ),
        texts(
            &["Agenda for next week", "Update from {city}", "Re-planning {thing}", "Your visit to {company}"],
            &[
                "Attached you find {thing} as discussed with {name} on Monday.",
                "Our supplier cannot ship before the {n}th, which moves the whole project by a few days.",
                "Would you be available for a short call with {company} on Wednesday afternoon?",
                "I would rather wait for the answer of the lawyers before we sign {thing}.",
                "{name} will take over the project in {city} from next month on.",
                "The new prices are valid from April, see the table on page {n}.",
                "Thank you for the quick reply, that helps us a lot.",
            ],
        ),
    ),
    ham(
        "reply",
        Form::Reply,
        texts(
            &["Re: Meeting on {n} March", "Re: {thing}", "AW: Termin", "RE: Visit in {city}"],
            &[
                "That works for me, see you then.",
                "I have checked it with {name}, and we are fine with the change.",
                "Sorry for the late answer, I was travelling to {city}.",
                "Yes please, send me {thing} when it is ready.",
                "Could we do it half an hour later?",
            ],
        ),
        texts(
            &["Re: Agenda", "Re: Update from {city}", "Re: your question", "AW: Angebot"],
            &[
                "Perfect, I will tell {name} and the others.",
                "No objections from my side, but the second paragraph should be shorter.",
                "I am out on Friday; Tuesday would be better.",
                "Good point, I had not seen that in {thing}.",
                "Let me come back to you once {company} has answered.",
            ],
        ),
    ),
    ham(
        "newsletter",
        Form::Newsletter,
        texts(
            &["News from {company}", "What is new in March", "Our spring programme", "Release {n}.2 is out"],
            &[
                "This month we show how customers in {city} work with our new planner.",
                "The spring issue has {n} articles about gardens, balconies and bees.",
                "Version {n}.2 brings faster search, dark mode and many small corrections.",
                "Meet us at the fair in {city}, hall {n}.",
                "Read the interview with {name}, who leads our design team.",
                "Members get early access to the tickets for the summer concerts.",
            ],
        ),
        texts(
            &["{company} monthly", "Stories from {city}", "New in our library", "Changelog for March"],
            &[
                "Our editors picked {n} books for long evenings.",
                "How {company} cut its energy use by a third, and what others can learn from that.",
                "You can now export your boards as tables and share them with guests.",
                "The museum in {city} opens its new wing, and subscribers may visit it one day before.",
                "Save up to 20 percent on selected courses until the end of the month.",
                "Our podcast is back with a conversation about rivers and cities.",
            ],
        ),
    ),
    ham(
        "receipt",
        Form::Receipt,
        texts(
            &["Your order {n}", "Receipt from {company}", "Invoice {n} for March", "Booking confirmed: {city}"],
            &[
                "Thank you for your order {n}, which we received today.",
                "Total: 48.{n} EUR, paid by card ending in 11{n}.",
                "Your parcel was handed over to the carrier and arrives on Friday.",
                "The invoice is attached as a PDF file.",
                "You can see your booking and change it in your account until one day before.",
            ],
        ),
        texts(
            &["Order confirmation {n}", "Payment received, thank you", "Your tickets to {city}", "Delivery on Tuesday"],
            &[
                "We have received your payment of 129.{n} USD for the subscription until next year.",
                "Your package has left our warehouse and can be tracked with the number {n}4711{n}.",
                "The train to {city} leaves at {n}:15 from platform 3, coach 7.",
                "Keep this message as your proof of purchase.",
                "For questions about this bill answer to this message or call us.",
            ],
        ),
    ),
    ham(
        "agent",
        Form::Plain,
        texts(
            &["[agent] summary of the day", "Task {n} finished", "Request for approval: {thing}", "build {n} passed"],
            &[
                "status: done\nitems: {n}\nfailed: 0",
                "I have compared the three suppliers, and {company} is the cheapest for {n} pieces.",
                "The appointment with {name} was put into the calendar for {n} March, 10:00 UTC.",
                "Answer with APPROVE or REJECT; without an answer nothing is sent.",
                "Found {n} open invoices older than 30 days, the list is below.",
            ],
        ),
        texts(
            &[
                "Report of the scheduling assistant",
                "Job {n}: needs your input",
                "Hand-over: {thing}",
                "pipeline {n} failed",
            ],
            &[
                "result: partial\nprocessed: {n}\nskipped: 2",
                "I asked {company} for two alternatives and will write again when they answer.",
                "The draft of the answer to {name} is ready; shall I send it?",
                "Test suite finished in {n} minutes, two cases are red in the module of accounts.",
                "Next step: check the addresses of the {n} customers in {city}.",
            ],
        ),
    ),
    ham(
        "security_notice",
        Form::Receipt,
        texts(
            &["New sign-in to your account", "Your verification code", "Your password was changed"],
            &[
                "There was a new sign-in from a browser in {city}.",
                "If it was you, there is nothing to do.",
                "Your code is 48{n}1. It is valid for ten minutes.",
                "You can see all devices in the settings of {company}.",
            ],
        ),
        texts(
            &["Login code", "A new device was added", "Confirm your email address"],
            &[
                "Use 77{n}0 to finish signing in to {company}; do not share it with anybody.",
                "A phone in {city} was connected with your profile today.",
                "You are getting this message because somebody asked for a new password for this address.",
                "If you did not ask for it, you may ignore this message.",
            ],
        ),
    ),
    ham(
        "list",
        Form::Reply,
        texts(
            &["Re: [dev] patch for the parser", "[users] how to upgrade", "Re: [dev] release {n}"],
            &[
                "The patch applies cleanly, but the test in the second commit fails here.",
                "I think that the loop should stop at the first error; otherwise the buffer is read twice.",
                "Has anybody tried this on a machine with little memory?",
                "+1 for the release, the checksums are fine.",
            ],
        ),
        texts(
            &["Re: [ops] backup window", "[dev] proposal: new file layout", "Re: [users] crash on start"],
            &[
                "Could you post the log with the debug option turned on?",
                "The proposal looks good to me; I would only keep the old names for one more version.",
                "We saw the same after the update to kernel six, going back helped.",
                "Please open a ticket so that it does not get lost.",
            ],
        ),
    ),
    ham(
        "german",
        Form::Plain,
        texts(
            &["Angebot für {company}", "Termin am {n}. März", "Rückfrage zur Rechnung"],
            &[
                "anbei erhalten Sie unser Angebot über {n} Stück wie besprochen.",
                "Könnten wir den Termin in {city} auf Donnerstag verschieben?",
                "Die Unterlagen habe ich gestern an Frau {name} geschickt.",
                "Bitte geben Sie mir kurz Bescheid, ob das so passt.",
            ],
        ),
        texts(
            &["Protokoll der Besprechung", "Lieferung verzögert sich", "Urlaubsvertretung"],
            &[
                "im Anhang finden Sie das Protokoll mit den offenen Punkten.",
                "Leider kann der Spediteur erst am {n}. liefern, wir bitten um Verständnis.",
                "In meiner Abwesenheit hilft Ihnen {name} gerne weiter.",
                "Die neue Preisliste gilt ab April und ist mit dem Einkauf abgestimmt.",
            ],
        ),
    ),
    ham(
        "french",
        Form::Plain,
        texts(
            &["Compte rendu de la réunion", "Devis pour {company}", "Rendez-vous à {city}"],
            &[
                "Veuillez trouver ci-joint le devis pour {n} pièces.",
                "Pourrions-nous déplacer la réunion à jeudi après-midi ?",
                "Le dossier est complet, il manque seulement la signature de {name}.",
            ],
        ),
        texts(
            &["Suite à notre appel", "Planning de la semaine", "Livraison à {city}"],
            &[
                "Merci pour votre retour rapide, je transmets à {name}.",
                "La livraison est prévue le {n} avril au matin.",
                "Je vous envoie le contrat corrigé dès que possible.",
            ],
        ),
    ),
    ham(
        "spanish",
        Form::Plain,
        texts(
            &["Reunión del jueves", "Presupuesto para {company}", "Visita a {city}"],
            &[
                "Adjunto el presupuesto con los cambios que hablamos.",
                "¿Podemos mover la llamada a las {n}?",
                "{name} ya revisó el contrato y está de acuerdo.",
            ],
        ),
        texts(
            &["Avance del proyecto", "Horario de la semana", "Factura de marzo"],
            &[
                "Les comparto el avance del proyecto, faltan {n} tareas.",
                "El proveedor confirmó la entrega en {city} para el martes.",
                "Quedo atento a sus comentarios.",
            ],
        ),
    ),
    ham(
        "japanese",
        Form::Plain,
        texts(
            &["会議の件", "見積書を送ります"],
            &[
                "来週の会議は{n}時からに変更になりました。",
                "見積書を添付いたしますのでご確認ください。",
                "よろしくお願いいたします。",
            ],
        ),
        texts(
            &["打ち合わせの日程", "資料の送付"],
            &[
                "打ち合わせの日程を{n}日でお願いできますか。",
                "資料を添付しましたのでご覧ください。",
                "お手数ですがご返信をお待ちしております。",
            ],
        ),
    ),
    ham(
        "personal",
        Form::Plain,
        texts(
            &["Weekend", "Photos from {city}", "Dinner?"],
            &[
                "Are you free on Saturday? {name} is cooking and there is plenty for everybody.",
                "The children loved the zoo, and it did not even rain.",
                "I will bring the cake, you bring the coffee.",
                "Grandma says hello and asks when you will visit her.",
            ],
        ),
        texts(
            &["Holiday plans", "Football on Sunday", "Book club"],
            &[
                "We found a small house near {city} for the second week of August, do you want to join?",
                "{name} cannot play, so we need one more goalkeeper.",
                "I finished the book last night and have to talk with somebody about the end.",
                "Could you water the plants while we are away?",
            ],
        ),
    ),
    spam(
        "fortune",
        Form::Plain,
        texts(
            &["Business proposal", "URGENT RESPONSE NEEDED", "Dear beloved", "From the desk of barrister {name}"],
            &[
                "I am barrister {name}, the lawyer of a late client who left {n} million dollars without next of kin.",
                "I seek your permission to present you as the next of kin so that the bank releases the inheritance fund.",
                "You will get forty percent of the money for your assistance, with utmost confidentiality.",
                "Kindly send me your full name, address and telephone number.",
                "This transaction is legal and free of risk for both of us.",
            ],
        ),
        texts(
            &["Mutual benefit", "MY DONATION TO YOU", "Unclaimed funds", "Attention beneficiary"],
            &[
                "My name is Mrs {name}, a widow dying of cancer, and I have decided to donate to you my late husband's wealth.",
                "The sum of {n} million euros is deposited in a security company in {city} as a consignment box.",
                "I need a foreign partner who can receive the unclaimed funds on my behalf.",
                "Reply to my private email with your banking details so that the transfer of the fund can begin.",
                "Please treat this matter as strictly confidential.",
            ],
        ),
    ),
    spam(
        "lottery",
        Form::Page,
        texts(
            &["CONGRATULATIONS!!! YOU HAVE WON", "You are a winner, claim your prize", "Your gift card is waiting!!"],
            &[
                "You have been selected as the lucky winner of our weekly lottery, prize number {n}00,000.",
                "Claim your prize within 24 hours or it goes to somebody else.",
                "Click here to get your gift card worth 500 dollars, absolutely free.",
                "Play at our casino today with {n} free spins and no deposit.",
            ],
        ),
        texts(
            &["WINNER NOTIFICATION $$$", "Last chance to claim your reward", "{n} free spins for you!!"],
            &[
                "Your address won the international sweepstakes draw in {city}.",
                "To claim your reward answer a short survey and pay only the handling.",
                "The jackpot has reached {n} million, and your bonus code is active now.",
                "Don't miss it: the offer expires tonight.",
            ],
        ),
    ),
    spam(
        "pharmacy",
        Form::Page,
        texts(
            &["Cheap pills online", "VIAGRA 80% OFF", "Lose weight in two weeks"],
            &[
                "Buy viagra and cialis without prescription from our online pharmacy.",
                "All tablets are sent in plain boxes, worldwide shipping, best prices.",
                "Lose weight without diet: our patients burn fat while they sleep.",
                "Order now and get {n} pills for free.",
            ],
        ),
        texts(
            &["Your meds are ready", "Doctors hate this trick", "Special price for tramadol!!"],
            &[
                "Canadian pharmacy with levitra, xanax and tramadol, no prescription needed.",
                "This miracle cure melts belly fat, and doctors hate it.",
                "Male enhancement that works, satisfaction guaranteed or money back.",
                "Only today {n} percent off all medicines, buy now.",
            ],
        ),
    ),
    spam(
        "phishing",
        Form::Phishing,
        texts(
            &["Your account has been suspended", "Action required: verify your account", "Mailbox quota exceeded"],
            &[
                "Dear customer, we noticed unusual activity, and your account has been limited.",
                "Click the link below to verify your account within 24 hours.",
                "Otherwise your account will be closed and all data is lost.",
                "Your mailbox is full and {n} undelivered messages are waiting.",
            ],
        ),
        texts(
            &[
                "Security alert!! Password expires today",
                "Update your payment details",
                "You have {n} pending messages",
            ],
            &[
                "Dear user, your password will expire; keep the same password by confirming it on our page.",
                "We could not charge your card: update your billing information to avoid suspension.",
                "The IT helpdesk is upgrading all mailboxes, validate your account now.",
                "Failure to restore access leads to termination of {n} services.",
            ],
        ),
    ),
    spam(
        "investment",
        Form::Page,
        texts(
            &["Earn up to {n}00 dollars per day", "Bitcoin is making people rich", "Financial freedom now"],
            &[
                "Our trading bot makes guaranteed profit of {n} percent every week without risk.",
                "Double your bitcoin in one day, thousands already did.",
                "Work from home and earn up to 900 dollars per day, no experience needed.",
                "Start with only 250 dollars and watch your passive income grow.",
            ],
        ),
        texts(
            &["This crypto will explode!!", "Quit your job by summer", "Private invitation: airdrop"],
            &[
                "Join the exclusive crypto giveaway, connect your wallet and get {n} coins.",
                "Forex signals with guaranteed returns for everybody, get rich with a few minutes a day.",
                "A hot stock is about to rise by {n}00 percent, act now.",
                "Make money online with extra income that never stops, risk free.",
            ],
        ),
    ),
    spam(
        "seo",
        Form::Plain,
        texts(
            &["Your website", "First page of Google", "Quick question about your site"],
            &[
                "I was looking at your website and found errors on your website that keep it from the first page of Google.",
                "Our SEO services bring you more traffic at an affordable price.",
                "We also sell guest posts on sites with high domain authority.",
                "Shall I send you our SEO packages and price list?",
            ],
        ),
        texts(
            &["Ranking proposal", "Guest posting", "Leads for {company}"],
            &[
                "We are a web development company and could redesign your website for a small budget.",
                "Do you want to rank on Google above your competitors? Our SEO expert can increase your traffic in {n} days.",
                "We offer backlinks and link building with real domains.",
                "Would you like to buy the attendees list with {n}00 targeted leads?",
            ],
        ),
    ),
    spam(
        "loan",
        Form::Page,
        texts(
            &["You are pre approved", "Instant loan, no credit check", "Consolidate your debt"],
            &[
                "Get a personal loan of {n}0,000 today, bad credit is no problem.",
                "Your business loan is pre approved with an interest rate of 2 percent.",
                "No credit check, money in your account within 24 hours.",
                "Apply in one minute, limited time only.",
            ],
        ),
        texts(
            &["Loan offer", "Eliminate debt now", "Cash for your business!!"],
            &[
                "We are private lenders with a loan offer from {n}000 to 5 million, interest rate of 3 percent.",
                "Credit repair that works: eliminate debt and lower your rate.",
                "An instant loan for everybody, even with bad credit, answer with amount and duration.",
                "Last chance to be funded this week.",
            ],
        ),
    ),
    spam(
        "adult",
        Form::Page,
        texts(
            &["Hot singles in your area", "I saw your profile ;)", "{name} sent you a photo"],
            &[
                "Lonely women in {city} want to meet you tonight.",
                "See my photos, I am online now and waiting.",
                "Free hookup site, no card needed.",
                "Sexy girls chat with you live.",
            ],
        ),
        texts(
            &["Meet women tonight", "She likes you!!", "private message from {name}"],
            &[
                "Beautiful Russian women look for a husband like you.",
                "There are {n} hot girls near {city}, one click and you see their nudes.",
                "My profile is private, click here to see my photos.",
                "Singles in your area are waiting, join free.",
            ],
        ),
    ),
    spam(
        "extortion",
        Form::Plain,
        texts(
            &["I know your password", "Pay attention", "You have been hacked"],
            &[
                "I hacked your device and recorded you with your webcam while you visited an adult site.",
                "Send {n}00 dollars in bitcoin to my BTC wallet within 48 hours.",
                "If I do not get the money, the video goes to all your contacts.",
                "Do not try to find me, my address is made for this.",
            ],
        ),
        texts(
            &["Your private life", "Final warning!!", "Video"],
            &[
                "My program infected your device some months ago, and I have full access to your files and camera.",
                "You like adult websites, and I have a compromising video of you.",
                "Transfer {n}50 USD to this BTC address and I delete everything.",
                "You have 50 hours; when you opened this letter the time began.",
            ],
        ),
    ),
    spam(
        "parcel",
        Form::Phishing,
        texts(
            &["Your parcel is waiting", "Delivery attempt failed", "Customs fee not paid"],
            &[
                "Your package could not be delivered because the shipping fee of 1.{n} was not paid.",
                "Pay the customs fee within 24 hours, or the parcel goes back.",
                "Click here to reschedule your delivery.",
            ],
        ),
        texts(
            &["Parcel {n}: action needed!!", "We could not reach you", "Final notice about your shipment"],
            &[
                "A parcel is waiting in our depot in {city}; a redelivery fee of 2.{n} is due.",
                "Confirm your address and card to get it, click below.",
                "Without payment your parcel could not be delivered and is destroyed.",
            ],
        ),
    ),
    spam(
        "program",
        Form::Program,
        texts(
            &["Invoice {n}", "Payment advice", "Scanned document"],
            &[
                "Kindly find the attached payment advice and confirm your bank account.",
                "Please open the attached document and enable its content.",
                "See the invoice for the last order, it is overdue.",
            ],
        ),
        texts(
            &["Purchase order {n}", "SWIFT copy", "Overdue statement"],
            &[
                "Attached is the swift copy of the transfer, kindly check.",
                "We want to order the goods of the attached list, send your best price urgently.",
                "Your statement is attached; open it with the password 1234.",
            ],
        ),
    ),
    spam(
        "image",
        Form::Image,
        texts(
            &["Flash sale", "Replica watches", "You will love it"],
            &["Shop now", "Up to {n} percent off", "View in browser"],
        ),
        texts(&["Mega sale!!", "Designer bags", "Only today"], &["Get it", "{n} left", "Open the offer"]),
    ),
    spam(
        "german_spam",
        Form::Page,
        texts(
            &["Sie haben gewonnen!!", "Ihr Konto wurde gesperrt", "Geld verdienen von zu Hause"],
            &[
                "Sie haben gewonnen: holen Sie Ihren Gewinn von {n}0.000 Euro jetzt ab.",
                "Ihr Konto wurde gesperrt, bestätigen Sie Ihre Daten innerhalb von 24 Stunden.",
                "Kredit ohne Schufa, Sofortkredit in einer Stunde, klicken Sie hier.",
                "Potenzmittel ohne Rezept, diskret geliefert.",
            ],
        ),
        texts(
            &["Ihr Paket wartet", "Passives Einkommen ohne Risiko!!", "Schnell abnehmen"],
            &[
                "Ihr Paket wartet im Zentrum {city}, die Zollgebühr von 2,{n} Euro ist offen; jetzt klicken.",
                "Mit passives Einkommen zum Reichtum: Geld verdienen im Schlaf.",
                "Schnell abnehmen ohne Sport, heute gratis testen.",
                "Ihr Gewinn verfällt heute, klicken Sie hier.",
            ],
        ),
    ),
    spam(
        "other_languages",
        Form::Page,
        texts(
            &["Vous avez gagné!!", "Ha ganado un premio", "Вы выиграли", "恭喜您中奖"],
            &[
                "Vous avez gagné un téléphone, cliquez ici pour le recevoir.",
                "Ha ganado {n}000 euros, haga clic aquí para cobrar.",
                "Вы выиграли приз, нажмите здесь.",
                "恭喜您中奖，点击这里领取奖金。",
                "Viagra sans ordonnance, livraison discrète.",
            ],
        ),
        texts(
            &["Votre compte sera suspendu", "Ganar dinero desde casa!!", "Кредит онлайн", "Você ganhou"],
            &[
                "Votre colis est bloqué, payez les frais de livraison de 1,{n} euro, cliquez ici.",
                "Su cuenta será suspendida, verifique su cuenta y haga clic aquí.",
                "Кредит онлайн за {n} минут, заработок в интернете, нажмите здесь.",
                "Você ganhou um prêmio, clique aqui para ganhar dinheiro.",
                "Perder peso sin receta, oferta de hoy.",
            ],
        ),
    ),
];
