//! Reports in the words of mail systems.

use super::{fates, mail, report};
use postfleet_core::bounce::BounceType::{self, *};
use postfleet_mail::dsn::Action::{self, Delayed, Failed};

struct Sample {
    name: &'static str,
    fields: &'static str,
    text: &'static str,
    expected: &'static [(Action, &'static str, BounceType)],
}

const SAMPLES: &[Sample] = &[
    Sample {
        name: "qmail",
        fields: "From: MAILER-DAEMON@mx.remote.test\nSubject: failure notice",
        text: "Hi. This is the qmail-send program at mx.remote.test.\n\
            I'm afraid I wasn't able to deliver your message to the following addresses.\n\
            This is a permanent error; I've given up. Sorry it didn't work out.\n\n\
            <bob@remote.test>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n\
            --- Below this line is a copy of the message.\n\nReturn-Path: <b-abc@acme.test>\nSubject: Hello\n\nHi",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "qmail, two recipients",
        fields: "From: MAILER-DAEMON@mx.remote.test\nSubject: failure notice",
        text: "Hi. This is the qmail-send program at mx.remote.test.\n\
            I'm afraid I wasn't able to deliver your message to the following addresses.\n\n\
            <bob@remote.test>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 user unknown\n\
            Giving up on 192.0.2.1.\n\n\
            <eve@remote.test>:\nThe user's mailbox is over quota. (#5.2.2)\n",
        expected: &[(Failed, "bob@remote.test", UnknownUser), (Failed, "eve@remote.test", MailboxFull)],
    },
    Sample {
        name: "qmail, no host",
        fields: "From: MAILER-DAEMON@mx.remote.test\nSubject: failure notice",
        text: "I'm afraid I wasn't able to deliver your message to the following addresses.\n\n\
            <bob@nowhere.test>:\nSorry, I couldn't find any host named nowhere.test. (#5.1.2)\n",
        expected: &[(Failed, "bob@nowhere.test", UnknownDomain)],
    },
    Sample {
        name: "Exim",
        fields: "From: Mail Delivery System <Mailer-Daemon@mx.remote.test>\n\
            Subject: Mail delivery failed: returning message to sender\nX-Failed-Recipients: bob@remote.test",
        text: "This message was created automatically by mail delivery software.\n\n\
            A message that you sent could not be delivered to one or more of its\n\
            recipients. This is a permanent error. The following address(es) failed:\n\n\
            \x20 bob@remote.test\n\
            \x20   SMTP error from remote mail server after RCPT TO:<bob@remote.test>:\n\
            \x20   host mx.remote.test [192.0.2.1]: 550 5.1.1 <bob@remote.test>: Recipient address rejected\n\n\
            ------ This is a copy of the message, including all the headers. ------\n\nReturn-path: <b-abc@acme.test>\n",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Exim, unrouteable",
        fields: "From: Mail Delivery System <Mailer-Daemon@mx.remote.test>\nSubject: Mail delivery failed",
        text: "A message that you sent could not be delivered to one or more of its recipients.\n\
            The following address(es) failed:\n\n  bob@remote.test\n    Unrouteable address\n",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Exim, full",
        fields: "From: Mail Delivery System <Mailer-Daemon@mx.remote.test>\nSubject: Mail delivery failed",
        text: "This is a permanent error. The following address(es) failed:\n\n  bob@remote.test\n\
            \x20   mailbox is full (MTA-imposed quota exceeded while writing to file)\n",
        expected: &[(Failed, "bob@remote.test", MailboxFull)],
    },
    Sample {
        name: "Exim, still trying",
        fields: "From: Mail Delivery System <Mailer-Daemon@mx.remote.test>\n\
            Subject: Warning: message 1abcde-000001-AB delayed 24 hours",
        text: "This message was created automatically by mail delivery software.\nA message that you sent has not yet been \
            delivered to one or more of its\nrecipients after more than 24 hours on the queue.\n\n\
            The address to which the message has not yet been delivered is:\n\n  bob@remote.test\n    Delay reason: \
            Connection timed out\n\nNo action is required on your part.",
        expected: &[(Delayed, "bob@remote.test", Undetermined)],
    },
    Sample {
        name: "Postfix, text alone",
        fields: "From: MAILER-DAEMON@mx.remote.test (Mail Delivery System)\nSubject: Undelivered Mail Returned to Sender",
        text: "This is the mail system at host mx.remote.test.\n\n\
            I'm sorry to have to inform you that your message could not\nbe delivered to one or more recipients.\n\n\
            <bob@remote.test>: host mx2.remote.test[192.0.2.1] said: 550 5.1.1\n\
            \x20   <bob@remote.test>: Recipient address rejected: User unknown in virtual mailbox\n\
            \x20   table (in reply to RCPT TO command)",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Postfix, connection lost for days",
        fields: "From: MAILER-DAEMON@mx.remote.test\nSubject: Undelivered Mail Returned to Sender",
        text: "your message could not\nbe delivered to one or more recipients.\n\n\
            <bob@remote.test>: (4.4.1) connect to mx2.remote.test[192.0.2.1]:25: Connection timed out",
        expected: &[(Failed, "bob@remote.test", Temporary)],
    },
    Sample {
        name: "Postfix, still trying",
        fields: "From: MAILER-DAEMON@mx.remote.test\nSubject: Delayed Mail (still being retried)",
        text: "THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE.\n\nYour message could not be delivered \
            for more than 4 hour(s).\nIt will be retried until it is 5 day(s) old.\n\n\
            <bob@remote.test>: connect to mx.remote.test[192.0.2.1]:25: Connection refused",
        expected: &[(Delayed, "bob@remote.test", Undetermined)],
    },
    Sample {
        name: "Sendmail",
        fields: "From: Mail Delivery Subsystem <MAILER-DAEMON@mx.remote.test>\nSubject: Returned mail: see transcript for details",
        text: "The original message was received at Mon, 2 Mar 2026 10:00:00 GMT\nfrom mx.acme.test [192.0.2.9]\n\n\
            \x20  ----- The following addresses had permanent fatal errors -----\n<bob@remote.test>\n\
            \x20   (reason: 550 5.1.1 <bob@remote.test>... User unknown)\n\n\
            \x20  ----- Transcript of session follows -----\n... while talking to mx.remote.test.:\n>>> DATA\n\
            <<< 550 5.1.1 <bob@remote.test>... User unknown\n550 5.1.1 <bob@remote.test>... User unknown\n",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Sendmail, still trying",
        fields: "From: Mail Delivery Subsystem <MAILER-DAEMON@mx.remote.test>\nSubject: Warning: could not send message for past 4 hours",
        text: "    **********************************************\n    **      THIS IS A WARNING MESSAGE ONLY      **\n\n\
            \x20  ----- The following addresses had transient non-fatal errors -----\n<bob@remote.test>\n\n\
            \x20  ----- Transcript of session follows -----\n451 4.4.1 reply: read error\nWarning: message still undelivered after 4 hours\n",
        expected: &[(Delayed, "bob@remote.test", Undetermined)],
    },
    Sample {
        name: "Exchange",
        fields: "From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@remote.test>\nSubject: Undeliverable: Hello",
        text: "Delivery has failed to these recipients or groups:\n\nBob Builder (bob@remote.test)\n\
            The email address you entered couldn't be found. Please check the address.\n\n\
            Diagnostic information for administrators:\n\nGenerating server: MX1.remote.test\n\n\
            bob@remote.test\nMX1.remote.test\nRemote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found'",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Exchange, full",
        fields: "From: postmaster@remote.test\nSubject: Undeliverable: Hello",
        text: "Delivery has failed to these recipients or groups:\n\nbob@remote.test<mailto:bob@remote.test>\n\
            The recipient's mailbox is full and can't accept messages now.\n\n\
            Remote Server returned '554 5.2.2 mailbox full; STOREDRV.Deliver: Exception:QuotaExceededException'",
        expected: &[(Failed, "bob@remote.test", MailboxFull)],
    },
    Sample {
        name: "Exchange, refused",
        fields: "From: postmaster@remote.test\nSubject: Undeliverable: Hello",
        text: "Delivery has failed to these recipients or groups:\n\nbob@remote.test\n\
            Your message couldn't be delivered because you don't have permission to send to it.\n\
            #550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup ##",
        expected: &[(Failed, "bob@remote.test", Policy)],
    },
    Sample {
        name: "Exchange 2003",
        fields: "From: System Administrator <postmaster@remote.test>\nSubject: Undeliverable: Hello",
        text: "Your message did not reach some or all of the intended recipients.\n\n      Subject:  Hello\n\
            \x20     Sent:     02.03.2026 10:00\n\nThe following recipient(s) cannot be reached:\n\n\
            \x20     'bob@remote.test' on 02.03.2026 10:00\n\
            \x20           The e-mail account does not exist at the organization this message was sent to.\n\
            \x20           <mx.remote.test #5.1.1>",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Outlook.com",
        fields: "From: postmaster@mail.remote.test\nSubject: Delivery Status Notification (Failure)",
        text: "This is an automatically generated Delivery Status Notification.\n\n\
            Delivery to the following recipients failed.\n\n       bob@remote.test\n\n\
            Reason: 550 5.5.0 Requested action not taken: mailbox unavailable",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Gmail",
        fields: "From: Mail Delivery Subsystem <mailer-daemon@mail.remote.test>\nSubject: Delivery Status Notification (Failure)",
        text: "** Address not found **\n\nYour message wasn't delivered to bob@remote.test because the address couldn't be \
            found, or is unable to receive mail.\n\nThe response was:\n\n550 5.1.1 The email account that you tried to \
            reach does not exist.",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Gmail, older",
        fields: "From: Mail Delivery Subsystem <mailer-daemon@mail.remote.test>\nSubject: Delivery Status Notification (Failure)",
        text: "Delivery to the following recipient failed permanently:\n\n     bob@remote.test\n\n\
            Technical details of permanent failure: \nThe error that the other server returned was: \
            552 5.2.2 The user's mailbox is over quota",
        expected: &[(Failed, "bob@remote.test", MailboxFull)],
    },
    Sample {
        name: "Gmail, still trying",
        fields: "From: Mail Delivery Subsystem <mailer-daemon@mail.remote.test>\nSubject: Delivery Status Notification (Delay)",
        text: "This is an automatically generated Delivery Status Notification\n\nTHIS IS A WARNING MESSAGE ONLY.\n\n\
            Delivery to the following recipient has been delayed:\n\n     bob@remote.test\n\nMessage will be retried for 2 more day(s)",
        expected: &[(Delayed, "bob@remote.test", Undetermined)],
    },
    Sample {
        name: "Yahoo",
        fields: "From: MAILER-DAEMON@remote.test\nSubject: Failure Notice",
        text: "Sorry, we were unable to deliver your message to the following address.\n\n<bob@remote.test>:\n\
            554: delivery error: dd This user doesn't have an account (bob@remote.test) [0] - mta1001.mail.remote.test",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Yahoo, disabled",
        fields: "From: MAILER-DAEMON@remote.test\nSubject: Failure Notice",
        text: "Sorry, we were unable to deliver your message to the following address.\n\n<bob@remote.test>:\n\
            554: delivery error: dd Sorry, your message to bob@remote.test cannot be delivered. This mailbox is disabled (554.30).",
        expected: &[(Failed, "bob@remote.test", MailboxDisabled)],
    },
    Sample {
        name: "mail.ru",
        fields: "From: Mail Delivery System <mailer-daemon@mx.remote.test>\nSubject: Mail failure.",
        text: "This message was created automatically by mail delivery software.\n\n\
            A message that you sent could not be delivered to one or more of its recipients.\n\n\
            bob@remote.test\nMessage was not accepted -- invalid mailbox. Local mailbox bob@remote.test is unavailable: user not found",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "GMX and web.de",
        fields: "From: Mail Delivery System <mailer-daemon@remote.test>\nSubject: Mail delivery failed: returning message to sender",
        text: "This message was created automatically by mail delivery software.\n\nA message that you sent could not be \
            delivered to one or more of\nits recipients. This is a permanent error.\n\nThe following address failed:\n\n\
            \x20   bob@remote.test:\n        SMTP error from remote server for RCPT TO command, host: mx.remote.test \
            (192.0.2.1) reason: 550 Requested action not taken: mailbox unavailable",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "Domino",
        fields: "From: Mail Router <mailer-daemon@remote.test>\nSubject: DELIVERY FAILURE: User bob (bob@remote.test) not listed in Domino Directory",
        text: "Your message\n\n  Subject: Hello\n\nwas not delivered to:\n\n  bob@remote.test\n\nbecause:\n\n  User bob \
            (bob@remote.test) not listed in Domino Directory",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "CommuniGate",
        fields: "From: MAILER-DAEMON@remote.test\nSubject: Undeliverable mail: Hello",
        text: "Failed to deliver to '<bob@remote.test>'\nLOCAL module(account bob) reports:\n account is full (quota exceeded)",
        expected: &[(Failed, "bob@remote.test", MailboxFull)],
    },
    Sample {
        name: "GroupWise",
        fields: "From: Mailer-Daemon@remote.test\nSubject: Message status - undeliverable",
        text: "The message that you sent was undeliverable to the following:\n\tbob@remote.test (user not found)\n",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "a filter in front",
        fields: "From: Mail Administrator <postmaster@filter.test>\nSubject: Mail System Error - Returned Mail",
        text: "This Message was undeliverable due to the following reason:\n\nYour message was not delivered to\n\
            <bob@remote.test>\n550 message blocked by the spam filter, sender has a poor reputation\n",
        expected: &[(Failed, "bob@remote.test", Blocked)],
    },
    Sample {
        name: "German",
        fields: "From: MAILER-DAEMON@remote.test\nSubject: Unzustellbar: Hello",
        text: "Ihre Nachricht konnte nicht zugestellt werden.\n\nbob@remote.test\nDie E-Mail-Adresse wurde nicht gefunden. \
            #550 5.1.1",
        expected: &[(Failed, "bob@remote.test", UnknownUser)],
    },
    Sample {
        name: "words alone, nobody named",
        fields: "From: MAILER-DAEMON@remote.test\nSubject: Undeliverable",
        text: "Your message could not be delivered: the user is unknown here. (no such user)",
        expected: &[(Failed, "", UnknownUser)],
    },
    Sample {
        name: "nothing to be understood",
        fields: "From: MAILER-DAEMON@remote.test\nSubject: Returned mail",
        text: "Sorry.",
        expected: &[(Failed, "", Undetermined)],
    },
];

#[test]
fn the_words_of_mail_systems_are_understood() {
    for sample in SAMPLES {
        let raw = mail(sample.fields, sample.text);
        let report = report(sample.name, &raw);
        assert!(!report.is_standard, "{}", sample.name);
        let found = fates(&report);
        let found: Vec<_> = found.iter().map(|(action, address, kind)| (*action, address.as_str(), *kind)).collect();
        assert_eq!(found, sample.expected, "{}: {:#?}", sample.name, report.recipients);
    }
}

#[test]
fn the_message_that_is_quoted_below_is_not_read_as_the_report() {
    for sample in SAMPLES.iter().filter(|sample| ["qmail", "Exim"].contains(&sample.name)) {
        let report = report(sample.name, &mail(sample.fields, sample.text));
        let paths: Vec<_> = report.quoted_paths.iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["b-abc@acme.test"], "{}", sample.name);
    }
}

#[test]
fn a_report_in_html_is_read_like_text() {
    let fields = "From: postmaster@remote.test\nSubject: Undeliverable: Hello\nContent-Type: text/html";
    let text = "<html><body><p><b>Delivery has failed to these recipients or groups:</b></p>\
        <p><a href=\"mailto:bob@remote.test\">bob@remote.test</a><br>The address couldn't be found. #550 5.1.1</p></body></html>";
    let report = report("html", &mail(fields, text));
    assert_eq!(fates(&report), [(Failed, "bob@remote.test".to_owned(), UnknownUser)]);
}
