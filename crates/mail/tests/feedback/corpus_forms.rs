//! The forms in which servers report a failure, each as its server builds it: structure, fields, sentences, languages.

use super::corpus::Sample;
use super::mail;

/// To whom all samples were written.
pub const RECIPIENT: &str = "bob@remote.test";

/// The report of a sample.
pub fn report(sample: &Sample) -> String {
    let (form, language) = sample.form.split_once('.').unwrap_or((sample.form, "en"));
    let reply = reply(sample);
    match form {
        "postfix" => postfix(sample, &reply),
        "gmail" => gmail(sample, &reply, language),
        "exchange" => exchange(sample, &reply, language),
        "exchange2003" => exchange_2003(sample),
        "sendmail" => sendmail(sample, &reply),
        "sendmail-old" => sendmail_old(sample, &reply),
        "exim" => exim(sample),
        "exim-dsn" => exim_dsn(sample),
        "qmail" => qmail(sample),
        "yahoo" => yahoo(&reply),
        "gmx" => gmx(sample, &reply),
        "oracle" => oracle(sample, &reply),
        "zoho" => zoho(sample, &reply),
        "mailru" => mailru(sample, &reply),
        "mimecast" => mimecast(&reply),
        "qq" => qq(sample, &reply),
        "netease" => netease(sample, &reply),
        "domino" => domino(sample),
        "groupwise" => groupwise(sample),
        "courier" => courier(sample, &reply),
        "ses" => ses(sample, &reply),
        other => panic!("no such form: {other}"),
    }
}

/// What the server said, in one line: code, status, text.
fn reply(sample: &Sample) -> String {
    let code = if sample.code == 0 { String::new() } else { sample.code.to_string() };
    let words = [code.as_str(), sample.status, &sample.text].into_iter().filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The message that failed, as reports quote it.
const QUOTED: &str = "Return-Path: <b-abc@acme.test>\r\nX-Feedback-Token: b-abc@acme.test\r\n\
    From: agent@acme.test\r\nTo: bob@remote.test\r\nSubject: Hello\r\nMessage-ID: <1@acme.test>\r\n";

/// A report in the standard form: fields, what people read, what machines read, and what is quoted.
fn standard(fields: &str, human: &str, about_message: &str, about_recipient: &str) -> String {
    let lines = |text: &str| text.lines().map(|line| format!("{line}\r\n")).collect::<String>();
    format!(
        "{}MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"=_b1/x\"\r\n\r\n\
         This is a MIME-encapsulated message.\r\n\r\n--=_b1/x\r\n{}\r\n--=_b1/x\r\n\
         Content-Description: Delivery report\r\nContent-Type: message/delivery-status\r\n\r\n{}\r\n{}\r\n--=_b1/x\r\n\
         Content-Type: text/rfc822-headers\r\n\r\n{QUOTED}\r\n--=_b1/x--\r\n",
        lines(fields),
        lines(human),
        lines(about_message),
        lines(about_recipient)
    )
}

fn plain(text: &str) -> String {
    format!("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}\n")
}

/// The status of the group: what was said, else what the standard has for that.
fn status(sample: &Sample) -> &str {
    match (sample.status, sample.code / 100) {
        ("", 4) => "4.0.0",
        ("", _) => "5.0.0",
        (status, _) => status,
    }
}

fn postfix(sample: &Sample, reply: &str) -> String {
    let said = match sample.code {
        0 => sample.text.clone(),
        _ => format!("host mx.remote.test[192.0.2.7] said: {reply}"),
    };
    let human = plain(&format!(
        "This is the mail system at host out.acme.test.\n\nI'm sorry to have to inform you that your message could not\n\
         be delivered to one or more recipients. It's attached below.\n\n\
         For further assistance, please send mail to postmaster.\n\n                   The mail system\n\n\
         <{RECIPIENT}>: {said}"
    ));
    let diagnostic = match sample.code {
        0 => format!("X-Postfix; {}", sample.text),
        _ => format!("smtp; {reply}"),
    };
    standard(
        "From: MAILER-DAEMON@out.acme.test (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender\n\
         Auto-Submitted: auto-replied",
        &human,
        "Reporting-MTA: dns; out.acme.test\nX-Postfix-Queue-ID: 4F2A1\nX-Postfix-Sender: rfc822; b-abc@acme.test\n\
         Arrival-Date: Mon,  2 Mar 2026 10:00:00 +0000 (UTC)",
        &format!(
            "Final-Recipient: rfc822; {RECIPIENT}\nOriginal-Recipient: rfc822;{RECIPIENT}\nAction: failed\n\
             Status: {}\nRemote-MTA: dns; mx.remote.test\nDiagnostic-Code: {diagnostic}",
            status(sample)
        ),
    )
}

fn gmail(sample: &Sample, reply: &str, language: &str) -> String {
    let (title, sentence) = match language {
        "de" => ("Nachricht nicht zugestellt", "Ihre Nachricht konnte nicht zugestellt werden an"),
        "fr" => ("Message non distribué", "Votre message n'a pas pu être distribué à"),
        "ja" => ("メールは配信されませんでした", "次の宛先にメールを配信できませんでした:"),
        "pt" => ("Mensagem não entregue", "Sua mensagem não foi entregue para"),
        _ => ("Message not delivered", "Your message wasn't delivered to"),
    };
    let html = format!(
        "Content-Type: text/html; charset=utf-8\n\n<html><body><h2>{title}</h2><p>{sentence} <b>{RECIPIENT}</b>.</p>\
         <p>{reply}</p></body></html>\n"
    );
    // Every line of a long reply carries the codes again.
    let (first, second) = sample.text.split_at(sample.text.find(". ").map_or(0, |at| at + 2));
    let diagnostic = match (sample.code, first.is_empty()) {
        (0, _) => format!("smtp; {}", sample.text),
        (_, true) => format!("smtp; {reply}"),
        (code, false) => {
            format!("smtp; {code}-{} {first}\n {code} {} {second} a1-20020adf.7 - gsmtp", sample.status, sample.status)
        }
    };
    standard(
        "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nAuto-Submitted: auto-replied\n\
         Subject: Delivery Status Notification (Failure)\nX-Failed-Recipients: bob@remote.test",
        &html,
        "Reporting-MTA: dns; googlemail.com\nArrival-Date: Mon, 02 Mar 2026 02:00:00 -0800 (PST)\n\
         X-Original-Message-ID: <1@acme.test>",
        &format!(
            "Final-Recipient: rfc822; {RECIPIENT}\nAction: failed\nStatus: {}\n\
             Remote-MTA: dns; mx.remote.test. (192.0.2.7, the server for the domain remote.test.)\n\
             Diagnostic-Code: {diagnostic}\nLast-Attempt-Date: Mon, 02 Mar 2026 02:00:01 -0800 (PST)",
            status(sample)
        ),
    )
}

fn exchange(sample: &Sample, reply: &str, language: &str) -> String {
    let (subject, sentence) = match language {
        "de" => ("Unzustellbar: Hello", "Fehler bei der Nachrichtenzustellung an folgende Empfänger oder Gruppen:"),
        "fr" => ("Non remis : Hello", "Échec de la remise pour ces destinataires ou groupes :"),
        "es" => ("No se puede entregar: Hello", "No se pudo entregar el mensaje a estos destinatarios o grupos:"),
        "pt" => ("Não é possível entregar: Hello", "Falha na entrega para estes destinatários ou grupos:"),
        "ja" => ("配信不能: Hello", "次の受信者またはグループに配信できませんでした:"),
        "zh" => ("无法送达: Hello", "未能向以下收件人或组传递邮件:"),
        _ => ("Undeliverable: Hello", "Delivery has failed to these recipients or groups:"),
    };
    let html = format!(
        "Content-Type: text/html; charset=\"utf-8\"\n\n<html><body><p><b>{sentence}</b></p>\
         <p><a href=\"mailto:{RECIPIENT}\">{RECIPIENT}</a></p><p>Remote Server returned '{reply}'</p></body></html>\n"
    );
    let diagnostic = if sample.code == 0 { String::new() } else { format!("\nDiagnostic-Code: smtp;{reply}") };
    standard(
        &format!(
            "From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@acme.test>\nSubject: {subject}\n\
             Auto-Submitted: auto-replied\nX-MS-Exchange-Message-Is-Ndr:\nContent-Language: {language}"
        ),
        &html,
        "Reporting-MTA: dns;AM0PR01MB0001.eurprd01.prod.exchangelabs.com\n\
         Received-From-MTA: dns;out.acme.test\nArrival-Date: Mon, 2 Mar 2026 10:00:00 +0000",
        &format!(
            "Final-Recipient: rfc822;{RECIPIENT}\nAction: failed\nStatus: {}{diagnostic}\nX-Display-Name: Bob",
            status(sample)
        ),
    )
}

/// It says in words what the status means, and quotes no server.
fn exchange_2003(sample: &Sample) -> String {
    let human = plain(&format!(
        "Your message did not reach some or all of the intended recipients.\n\n      Subject:  Hello\n      \
         Sent:     3/2/2026 10:00 AM\n\nThe following recipient(s) cannot be reached:\n\n      \
         {RECIPIENT} on 3/2/2026 10:00 AM\n            {}\n            <mail.remote.test #{}>",
        sample.text, sample.status
    ));
    standard(
        "From: postmaster@remote.test\nSubject: Delivery Status Notification (Failure)\nX-DSNContext: 335a7efd - 4523",
        &human,
        "Reporting-MTA: dns;mail.remote.test\nReceived-From-MTA: dns;out.acme.test\nArrival-Date: Mon, 2 Mar 2026 10:00:00",
        &format!("Final-Recipient: rfc822;{RECIPIENT}\nAction: failed\nStatus: {}", sample.status),
    )
}

fn sendmail_words(reply: &str) -> String {
    format!(
        "The original message was received at Mon, 2 Mar 2026 10:00:00 GMT\nfrom out.acme.test [192.0.2.10]\n\n   \
         ----- The following addresses had permanent fatal errors -----\n<{RECIPIENT}>\n    (reason: {reply})\n\n   \
         ----- Transcript of session follows -----\n... while talking to mx.remote.test.:\n\
         >>> RCPT To:<{RECIPIENT}>\n<<< {reply}"
    )
}

fn sendmail(sample: &Sample, reply: &str) -> String {
    let diagnostic = if sample.code == 0 { &sample.text } else { reply };
    standard(
        "From: Mail Delivery Subsystem <MAILER-DAEMON@mx.remote.test>\nSubject: Returned mail: see transcript for details\n\
         Auto-Submitted: auto-generated (failure)",
        &plain(&sendmail_words(reply)),
        "Reporting-MTA: dns; mx.remote.test\nReceived-From-MTA: DNS; out.acme.test\n\
         Arrival-Date: Mon, 2 Mar 2026 10:00:00 GMT",
        &format!(
            "Final-Recipient: RFC822; {RECIPIENT}\nAction: failed\nStatus: {}\nRemote-MTA: DNS; mx.remote.test\n\
             Diagnostic-Code: SMTP; {diagnostic}\nLast-Attempt-Date: Mon, 2 Mar 2026 10:00:01 GMT",
            status(sample)
        ),
    )
}

fn sendmail_old(_: &Sample, reply: &str) -> String {
    mail(
        "From: Mail Delivery Subsystem <MAILER-DAEMON@mx.remote.test>\nSubject: Returned mail: User unknown",
        &format!("{}\n\n   ----- Unsent message follows -----\n{QUOTED}", sendmail_words(reply)),
    )
}

const EXIM_FIELDS: &str = "From: Mail Delivery System <Mailer-Daemon@mx.remote.test>\n\
    Subject: Mail delivery failed: returning message to sender\nX-Failed-Recipients: bob@remote.test\n\
    Auto-Submitted: auto-replied\nContent-Type: text/plain; charset=utf-8";

fn exim_words(sample: &Sample) -> String {
    let host = if sample.code == 0 { "" } else { "host mx.remote.test [192.0.2.7]\n    " };
    format!(
        "This message was created automatically by mail delivery software.\n\n\
         A message that you sent could not be delivered to one or more of its\n\
         recipients. This is a permanent error. The following address(es) failed:\n\n  {RECIPIENT}\n    {host}{}\n",
        sample.text
    )
}

fn exim(sample: &Sample) -> String {
    let quoted = "------ This is a copy of the message, including all the headers. ------";
    mail(EXIM_FIELDS, &format!("{}\n{quoted}\n\n{QUOTED}", exim_words(sample)))
}

fn exim_dsn(sample: &Sample) -> String {
    let fields = EXIM_FIELDS.lines().take(4).collect::<Vec<_>>().join("\n");
    // The reply is what stands behind the name of the phase.
    let said = sample.text.rsplit_once(">: ").or(sample.text.rsplit_once("data: ")).map(|(_, said)| said);
    let diagnostic = match (sample.code, said) {
        (0, _) => String::new(),
        (_, said) => {
            format!("\nRemote-MTA: dns; mx.remote.test\nDiagnostic-Code: smtp; {}", said.unwrap_or(&sample.text))
        }
    };
    standard(
        &fields,
        &plain(&exim_words(sample)),
        "Reporting-MTA: dns; mx.remote.test",
        &format!("Action: failed\nFinal-Recipient: rfc822;{RECIPIENT}\nStatus: {}{diagnostic}", sample.status),
    )
}

fn qmail(sample: &Sample) -> String {
    mail(
        "From: MAILER-DAEMON@mx.remote.test\nSubject: failure notice",
        &format!(
            "Hi. This is the qmail-send program at mx.remote.test.\n\
             I'm afraid I wasn't able to deliver your message to the following addresses.\n\
             This is a permanent error; I've given up. Sorry it didn't work out.\n\n<{RECIPIENT}>:\n{}\n\n\
             --- Below this line is a copy of the message.\n\n{QUOTED}",
            sample.text
        ),
    )
}

fn yahoo(reply: &str) -> String {
    mail(
        "From: MAILER-DAEMON@yahoo.com\nSubject: Failure Notice",
        &format!(
            "Sorry, we were unable to deliver your message to the following address.\n\n<{RECIPIENT}>:\n{reply}\n\n\
             --- Below this line is a copy of the message.\n\n{QUOTED}"
        ),
    )
}

fn gmx(sample: &Sample, reply: &str) -> String {
    let said = match sample.code {
        0 => sample.text.clone(),
        _ => {
            format!("SMTP error from remote server for RCPT TO command, host: mx00.gmx.net (192.0.2.7) reason: {reply}")
        }
    };
    mail(
        "From: GMX Mailer Daemon <mailer-daemon@gmx.net>\nSubject: Mail delivery failed: returning message to sender\n\
         Content-Type: text/plain; charset=utf-8\nAuto-Submitted: auto-replied",
        &format!(
            "This message was created automatically by mail delivery software.\n\n\
             A message that you sent could not be delivered to\none or more of its recipients. This is a permanent error.\n\n\
             The following address failed:\n\n{RECIPIENT}:\n{said}\n\n\
             --- The header of the original message is following. ---\n\n{QUOTED}"
        ),
    )
}

fn oracle(sample: &Sample, reply: &str) -> String {
    let human = plain(&format!(
        "This report relates to a message you sent with the following header fields:\n\n  Message-id: <1@acme.test>\n\n\
         Your message cannot be delivered to the following recipients:\n\n  Recipient address: {RECIPIENT}\n  \
         Reason: Remote SMTP server has rejected address\n  Diagnostic code: smtp;{reply}"
    ));
    standard(
        "From: Internet Mail Delivery <postmaster@mac.com>\nSubject: Delivery Notification: Delivery has failed",
        &human,
        "Reporting-MTA: dns;st11p00im-smtpin.me.com (tcp-daemon)",
        &format!(
            "Original-recipient: rfc822;{RECIPIENT}\nFinal-recipient: rfc822;{RECIPIENT}\nAction: failed\nStatus: {} \
             (Remote SMTP server has rejected address)\nDiagnostic-code: smtp;{reply}",
            status(sample)
        ),
    )
}

fn zoho(sample: &Sample, reply: &str) -> String {
    mail(
        "From: mailer-daemon@mail.zoho.com\nSubject: Undelivered Mail Returned to Sender\n\
         Content-Type: text/plain; charset=utf-8",
        &format!(
            "This message was created automatically by mail delivery software.\n\
             A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.\n\n\
             {RECIPIENT}, ERROR CODE :{} - {}\n\n\
             Received: from out.acme.test by mx.zoho.com\n{QUOTED}",
            sample.code,
            reply.split_once(' ').map_or(reply, |(_, said)| said)
        ),
    )
}

fn mailru(sample: &Sample, reply: &str) -> String {
    let said = match sample.code {
        0 => sample.text.clone(),
        _ => format!(
            "host mxs.mail.ru [192.0.2.7]\n    SMTP error from remote mail server after RCPT TO:<{RECIPIENT}>:\n    {reply}"
        ),
    };
    mail(
        "From: <mailer-daemon@corp.mail.ru>\nSubject: =?UTF-8?B?0KHQvtC+0LHRidC10L3QuNC1INC90LUg0LTQvtGB0YLQsNCy0LvQtdC90L4=?=\n\
         X-Failed-Recipients: bob@remote.test\nContent-Type: text/plain; charset=utf-8",
        &format!(
            "Это письмо создано автоматически сервером Mail.ru, отвечать на него не нужно.\n\n\
             К сожалению, Ваше письмо не может быть доставлено одному или нескольким получателям:\n\n  {RECIPIENT}\n    {said}\n"
        ),
    )
}

fn mimecast(reply: &str) -> String {
    standard(
        "From: MAILER-DAEMON@uk-mta-1.mimecast.lan\nSubject: [Postmaster] Email Delivery Failure\nAuto-Submitted: auto-generated",
        &plain(&format!(
            "This is a delivery failure notification message indicating that\nan email you addressed to email address :\n\
             -- {RECIPIENT}\n\ncould not be delivered. The problem appears to be :\n-- Recipient server rejected the message\n\n\
             Additional information follows :\n-- {reply}"
        )),
        "Reporting-MTA: dns; uk-mta-1.mimecast.lan",
        &format!("Final-Recipient: rfc822; {RECIPIENT}\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; {reply}"),
    )
}

fn qq(sample: &Sample, reply: &str) -> String {
    let said = match sample.code {
        0 => sample.text.clone(),
        _ => format!("host mx3.qq.com[192.0.2.7] said: {reply}"),
    };
    mail(
        "From: <PostMaster@qq.com>\nSubject: =?utf-8?B?57O757uf6YCA5L+h?=\nContent-Type: text/html; charset=utf-8",
        &format!(
            "<html><body><div>抱歉，您的邮件被退回来了……</div><table><tr><td>原邮件信息：</td></tr>\
             <tr><td>收件人</td><td>{RECIPIENT}</td></tr><tr><td>退信原因：</td><td>{said}</td></tr></table></body></html>"
        ),
    )
}

fn netease(sample: &Sample, reply: &str) -> String {
    standard(
        "From: Postmaster@163.com\nSubject: =?utf-8?B?57O757uf6YCA5L+hL1N5c3RlbXMgYm91bmNl?=",
        &plain(&format!("抱歉，您的邮件没有能够投递到以下收件人：\n\n{RECIPIENT}\n\n退信原因：{}", sample.text)),
        "Reporting-MTA: dns; m12-16.163.com",
        &format!(
            "Final-Recipient: rfc822; {RECIPIENT}\nAction: failed\nStatus: {}\nDiagnostic-Code: {}; {reply}",
            status(sample),
            if sample.code == 0 { "X-Coremail" } else { "smtp" }
        ),
    )
}

fn domino(sample: &Sample) -> String {
    standard(
        "From: Postmaster@remote.test\nSubject: DELIVERY FAILURE: Hello\nAuto-Submitted: auto-generated",
        &plain(&format!(
            "Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  {RECIPIENT}\n\nbecause:\n\n  {}",
            sample.text
        )),
        "Reporting-MTA: dns;mail01.remote.test",
        &format!(
            "Final-Recipient: rfc822;{RECIPIENT}\nAction: failed\nStatus: {}\nDiagnostic-Code: X-Notes; {}",
            sample.status, sample.text
        ),
    )
}

fn groupwise(sample: &Sample) -> String {
    mail(
        "From: Mailer-Daemon@remote.test\nSubject: Mail System Error - Returned Mail",
        &format!("The message that you sent was undeliverable to the following:\n\t{RECIPIENT} ({})\n", sample.text),
    )
}

fn courier(sample: &Sample, reply: &str) -> String {
    standard(
        "From: \"Courier mail server at mx.remote.test\" <@>\nSubject: NOTICE: mail delivery status.",
        &plain(&format!(
            "This is a delivery status notification from mx.remote.test,\nrunning the Courier mail server, version 1.1.\n\n\
             UNDELIVERABLE MAIL\n\nYour message to the following recipients cannot be delivered:\n\n<{RECIPIENT}>:\n    {reply}"
        )),
        "Reporting-MTA: dns; mx.remote.test\nArrival-Date: Mon, 02 Mar 2026 10:00:00 +0000",
        &format!(
            "Final-Recipient: rfc822; {RECIPIENT}\nAction: failed\nStatus: {}\nDiagnostic-Code: smtp; {reply}",
            status(sample)
        ),
    )
}

fn ses(sample: &Sample, reply: &str) -> String {
    let diagnostic = if sample.code == 0 { &sample.text } else { reply };
    standard(
        "From: MAILER-DAEMON@eu-west-1.amazonses.com\nSubject: Delivery Status Notification (Failure)",
        &plain(&format!(
            "An error occurred while trying to deliver the mail to the following recipients:\n{RECIPIENT}"
        )),
        "Reporting-MTA: dns; a7-12.smtp-out.eu-west-1.amazonses.com",
        &format!(
            "Action: failed\nFinal-Recipient: rfc822; {RECIPIENT}\nDiagnostic-Code: smtp; {diagnostic}\nStatus: {}",
            status(sample)
        ),
    )
}
