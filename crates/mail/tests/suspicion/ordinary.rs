//! Ordinary mail, in twelve languages: business letters, notices of services, newsletters, and much that has the words of
//! instructions in it without being one. `{a}`, `{b}` and `{c}` are filled in.

/// Names, things and amounts that are filled in, one set for each message made of a template.
pub const FILLS: &[(&str, &str, &str)] = &[
    ("Maria", "invoice 4711", "EUR 1,250.00"),
    ("Tom", "the quarterly report", "$ 320"),
    ("Ms Tanaka", "order A-2204", "450 EUR"),
    ("Dr. Weber", "the project plan", "GBP 89.90"),
    ("Luis", "ticket #88123", "1 990 PLN"),
    ("Aylin", "the contract draft", "12,000 USD"),
];

pub const TEMPLATES: &[&str] = &[
    // letters between people
    "Hi {a},\n\nplease find {b} attached. The total is {c}. Let me know if you have any questions.\n\nBest regards\nJo",
    "Hi {a}, please ignore my previous email about {b}, I attached the wrong file. The right amount is {c}.",
    "Dear {a}, please disregard the invoice of last week and use {b} instead. Sorry for the confusion.",
    "Hello {a},\ncould you send me {b} by Friday? I need it for the board meeting. Thanks!",
    "{a}, can you forward this email to the accounting team? It concerns {b} over {c}.",
    "Hi {a}, our previous instructions for {b} still apply, the amount of {c} is unchanged.",
    "Dear {a}, thank you for your payment of {c} for {b}. A receipt is attached.",
    "Please pay {c} for {b} within 14 days to IBAN DE02 1203 0000 0000 2020 51. Thank you, {a}",
    "Hi team, {a} will act as project lead for {b} while I am on leave. Call me if anything is urgent.",
    "Hi {a}, don't tell Peter yet, but we booked a table for his birthday. Everybody pays {c}.",
    "Hello {a},\n\nI will be out of the office until Monday. For urgent matters write to office@partner.example.\n\nRegards",
    "Hi {a}, please delete the old draft of {b} and use the new one. It is in the shared folder.",
    "{a}, I called the supplier about {b}: they need our confirmation before they ship. Shall I accept {c}?",
    "Hi {a}, following our call, here are the next steps: review {b}, sign it, send it back to us.",
    "Dear {a}, you must register before Friday to keep the early price of {c}. You will find {b} attached.",
    "Hi {a}, as discussed please follow the steps below to set up {b}. Tell me when you are done.",
    "{a}, as soon as possible please: the client waits for {b}. Jane Doe, CEO",
    "Hi {a}, please provide your instructions for the delivery of {b} by Friday.",
    "Could you send us your configuration and the log file for {b}, {a}? Then we can reproduce the error.",
    "{a}, please use the function parse_header() in place of split_lines(), see {b}.",
    "Don't forget to read all the rules before you book, {a}. The deposit is {c}.",
    "Hi {a}, please do not forget the previous guidelines for {b}. The cap stays at {c}.",
    "Your assistant {a} will call you. You must bring {b}.",
    "This agreement supersedes all prior agreements between the parties, written or oral, on {b}. Signed: {a}",
    "To cancel all orders of this week, reply to this mail before Friday, {a}. The refund is {c}.",
    // notices of services
    "### System Info\n- OS: Linux\n- version: 2.1\n\n### Steps\nRun the tool with --help. Reported by {a}: {b}",
    "[System] Backup of {b} finished at 02:00. You will get the next report tomorrow.",
    "If this wasn't you, reset your password immediately or contact our security team. {a}",
    "Please follow these instructions immediately to keep your access to {b}. Your IT department",
    "All employees must complete the security training before May. Do not share your credentials with anyone. {a}",
    "You requested a password reset for your account, {a}. If this was not you, ignore this email. The link expires in one hour.",
    "Your verification code is 482913. Do not share this code with anyone. We will never ask you for it. Reference: {b}",
    "We noticed a new sign-in to your account. If this was you, you can ignore this message. Otherwise change your password. {a}",
    "Your subscription renews on 1 May for {c}. To change your plan, sign in and follow the instructions there. {b}",
    "Your parcel for {a} ({b}) arrives today between 10 and 12. Value: {c}.",
    "Reminder: {b} is overdue. Please transfer {c} to the account named on the invoice. If you have paid already, disregard this reminder.",
    "Maintenance on Saturday: the system will be unavailable from 2 to 4. All users will be signed out. Contact: {a}",
    "We updated our privacy policy and terms. The new rules apply from 1 June. Read all changes on our website. {b}",
    "Never send your password by email. Our support will never ask you to send us your password or credit card number, {a}.",
    "To keep your mailbox below its quota we will delete all emails in the trash that are older than 30 days. {b}",
    "IT notice: never transfer money without confirmation by phone, even if the mail seems to come from the CEO. {a}",
    "Your API key for the project was rotated as requested by {a}. You can view the new key in the console. {b}",
    "Build failed: job deploy of {b} exited with code 1. Run `make test` locally and push again. Triggered by {a}.",
    "[JIRA] {a} commented on {b}: \"The function returns null when the list is empty. I would rather throw here.\"",
    "System: SAP production\nStatus: green\nResponsible: {a}\nNext maintenance: Sunday. Subject: {b}",
    "Delivery failed for the following recipients of {b}: unknown user. The original message is attached.",
    // newsletters and offers
    "This week in AI: new language models, how companies use an AI assistant, and five prompts that save you time. Read more. {b}",
    "Meet our new AI assistant! It answers questions about {b}, drafts replies, and helps you pay bills in time. Try it now, {a}.",
    "10 prompt engineering tips: give the model a role, show examples, state the format of the output. Written by {a}.",
    "Give a gift card this season! Gift cards from {c}, delivered by email at once. Shop now.",
    "Forget everything you know about mattresses, {a}. Our new model is here, from {c}.",
    "Forget the old rules of email marketing. Join our webinar on {b} and learn what works today.",
    "We'll send the best offers straight to your inbox, {a}. Unsubscribe from all emails at any time.",
    "Join 200 developers at our conference. You will learn how chatbots and agents are built. Tickets from {c}.",
    "Our researchers explain how prompt injection works and how to defend against it. Download the paper on {b}.",
    "Act now: 30 % off everything until Sunday. Enter the code SPRING at checkout, {a}.",
    "You are now subscribed to the newsletter, {a}. To stop receiving all emails, use the link below.",
    "You are now connected with {a} on our network. Say hello and share {b}.",
    "If you are an artist, designer or maker, apply for our grant of {c} before the end of the month.",
    // footers
    "Dear {a},\n\nsee {b}.\n\nThis email and any attachments are confidential. If you are not the intended recipient, please notify the sender and delete this email. Do not disclose or copy it.",
    "Hi {a}, agreed on {c}.\n\nCONFIDENTIALITY NOTICE: any unauthorised review, use, disclosure or distribution is prohibited. Please consider the environment before printing.",
    "{b} is done. -- Sent from my phone, please excuse brevity. {a}",
    // German
    "Hallo {a},\n\nanbei {b}. Der Betrag von {c} ist bis Monatsende fällig.\n\nViele Grüße\nJo",
    "Guten Tag {a}, bitte ignorieren Sie meine letzte E-Mail zu {b}, der Anhang war falsch.",
    "Sehr geehrte Damen und Herren, bitte überweisen Sie {c} auf das unten genannte Konto. Betreff: {b}",
    "Ihr Passwort wurde geändert, {a}. Wenn Sie das nicht waren, melden Sie sich bitte umgehend bei uns.",
    "Geben Sie Ihr Passwort niemals weiter. Wir fragen Sie nie nach Ihren Zugangsdaten. Ihr Support, {a}",
    "Sollten Sie nicht der richtige Adressat sein, informieren Sie bitte den Absender und vernichten Sie diese E-Mail. {b}",
    "Hallo {a}, bitte folgen Sie den Anweisungen im Handbuch, um {b} einzurichten. Alle Regeln stehen auf Seite 3.",
    "Newsletter: Was KI-Assistenten heute können, und welche Regeln für Sprachmodelle gelten. Jetzt lesen, {a}!",
    "Liebe Kolleginnen und Kollegen, die neuen Richtlinien für Reisekosten gelten ab sofort. Alle Vorgaben im Intranet. {a}",
    "Vergessen Sie nicht, alle Regeln der Hausordnung zu lesen, {a}. Kaution: {c}.",
    "Bitte teilen Sie uns Ihre Anweisungen für {b} bis Freitag mit, {a}.",
    // French
    "Bonjour {a},\n\nveuillez trouver ci-joint {b}. Le montant est de {c}.\n\nCordialement",
    "Bonjour {a}, merci d'ignorer mon message précédent au sujet de {b}, la pièce jointe était erronée.",
    "Votre mot de passe a été modifié, {a}. Si vous n'êtes pas à l'origine de cette demande, contactez-nous.",
    "Nous ne vous demanderons jamais votre mot de passe par e-mail, {a}. Ne le communiquez à personne.",
    "Suivez les instructions ci-dessous pour installer {b}. Toutes les règles figurent dans le guide. {a}",
    "Si vous n'êtes pas le destinataire de ce message, merci de le supprimer et d'en informer l'expéditeur. {b}",
    "N'oubliez pas de lire toutes les règles avant de réserver, {a}. Acompte : {c}.",
    // Spanish
    "Hola {a}:\n\nAdjunto {b}. El importe es de {c}. Un saludo.",
    "Hola {a}, por favor ignora mi correo anterior sobre {b}, adjunté el archivo equivocado.",
    "Su contraseña ha sido cambiada, {a}. Si no fue usted, póngase en contacto con nosotros.",
    "Nunca le pediremos su contraseña por correo, {a}. No la comparta con nadie.",
    "Siga las instrucciones del manual para instalar {b}. Todas las normas están en la página 3. {a}",
    "Si usted no es el destinatario de este mensaje, elimínelo y avise al remitente. {b}",
    "No olvide leer todas las normas antes de reservar, {a}. Depósito: {c}.",
    // Portuguese
    "Olá {a},\n\nsegue em anexo {b}. O valor é de {c}. Atenciosamente",
    "Olá {a}, por favor ignore o meu e-mail anterior sobre {b}, anexei o ficheiro errado.",
    "A sua senha foi alterada, {a}. Se não foi você, entre em contato conosco.",
    "Nunca pediremos a sua senha por e-mail, {a}. Não a compartilhe com ninguém.",
    "Se você não é o destinatário desta mensagem, apague-a e avise o remetente. {b}",
    // Italian
    "Ciao {a},\n\nin allegato {b}. L'importo è di {c}. Cordiali saluti",
    "Ciao {a}, per favore ignora la mia email precedente su {b}, ho allegato il file sbagliato.",
    "La tua password è stata modificata, {a}. Se non sei stato tu, contattaci subito.",
    "Non ti chiederemo mai la password via email, {a}. Non comunicarla a nessuno.",
    "Se non sei il destinatario di questo messaggio, eliminalo e avvisa il mittente. {b}",
    // Dutch
    "Beste {a},\n\nin de bijlage vind je {b}. Het bedrag is {c}. Met vriendelijke groet",
    "Hallo {a}, negeer mijn vorige e-mail over {b}, de bijlage was verkeerd.",
    "Je wachtwoord is gewijzigd, {a}. Was jij dit niet? Neem dan direct contact met ons op.",
    "Volg de instructies in de handleiding om {b} te installeren. Alle regels staan op pagina 3. {a}",
    // Polish
    "Dzień dobry {a},\n\nw załączniku {b}. Kwota to {c}. Z poważaniem",
    "Cześć {a}, proszę zignoruj moją poprzednią wiadomość o {b}, załącznik był błędny.",
    "Twoje hasło zostało zmienione, {a}. Jeśli to nie Ty, skontaktuj się z nami.",
    "Postępuj zgodnie z instrukcją, aby uruchomić {b}. Wszystkie zasady są na stronie 3. {a}",
    // Russian
    "Здравствуйте, {a}!\n\nВо вложении {b}. Сумма: {c}. С уважением",
    "{a}, пожалуйста, не обращайте внимания на моё прошлое письмо про {b}, вложение было не то.",
    "Ваш пароль был изменён, {a}. Если это были не вы, свяжитесь с нами.",
    "Никогда не сообщайте пароль по почте, {a}. Мы его не спрашиваем.",
    "Все правила поездок и инструкции лежат на портале, {a}. Тема: {b}",
    // Chinese
    "{a}，您好！附件是{b}，金额为{c}。谢谢！",
    "{a}，请忽略我上一封邮件，{b}的附件有误。",
    "您的密码已更改，{a}。如非本人操作，请联系客服。",
    "请勿向他人透露验证码，我们不会向您索要密码。{b}",
    // Japanese
    "{a}様\nお世話になっております。{b}を添付いたします。金額は{c}です。よろしくお願いいたします。",
    "{a}様、先ほどのメールは無視してください。{b}の添付を間違えました。",
    "パスワードが変更されました。お心当たりのない場合はご連絡ください。{b}",
    "認証コードは482913です。他人に教えないでください。{b}",
    // Korean
    "{a}님 안녕하세요. {b} 첨부드립니다. 금액은 {c}입니다. 감사합니다.",
    "{a}님, 방금 보낸 메일은 무시해 주세요. {b} 첨부가 잘못되었습니다.",
    "비밀번호가 변경되었습니다. 본인이 아니라면 고객센터로 연락해 주세요. {b}",
    "인증번호는 482913입니다. 타인에게 알려주지 마세요. {b}",
];

/// Every template with every fill, as plain text.
pub fn texts() -> impl Iterator<Item = String> {
    TEMPLATES.iter().flat_map(|template| {
        FILLS.iter().map(move |(a, b, c)| template.replace("{a}", a).replace("{b}", b).replace("{c}", c))
    })
}
