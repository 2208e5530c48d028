use super::*;
use BounceType::*;

#[test]
fn replies() {
    for (code, status, text, expected) in [
        (550, "5.1.1", "The email account that you tried to reach does not exist.", UnknownUser),
        (
            550,
            "",
            "5.1.1 <joe@example.net>: Recipient address rejected: User unknown in local recipient table",
            UnknownUser,
        ),
        (550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", UnknownUser),
        (550, "5.4.1", "Recipient address rejected: Access denied. [mx.example.net]", UnknownUser),
        (550, "", "No such user here", UnknownUser),
        (550, "", "Requested action not taken: mailbox unavailable", UnknownUser),
        (554, "5.5.0", "delivery error: dd This user doesn't have an account here", UnknownUser),
        (550, "5.1.6", "Recipient no longer on server", UnknownUser),
        (553, "5.3.0", "<x@example.net>... Unknown address error", UnknownUser),
        (511, "", "sorry, no mailbox here by that name", UnknownUser),
        (550, "", "unrouteable address", UnknownUser),
        (550, "", "", UnknownUser),
        (550, "5.1.2", "Bad destination system address", UnknownDomain),
        (556, "5.1.10", "example.net does not accept mail (null MX)", UnknownDomain),
        (0, "5.4.4", "Host or domain name not found", UnknownDomain),
        (550, "5.2.1", "The email account that you tried to reach is disabled.", MailboxDisabled),
        (554, "", "delivery error: this mailbox is disabled", MailboxDisabled),
        (554, "5.7.1", "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.example", Blocked),
        (550, "5.7.1", "Our system has detected that this message is likely unsolicited mail.", ContentRejected),
        (554, "5.7.1", "Relay access denied", Policy),
        (571, "", "Message rejected due to content restrictions: spam", ContentRejected),
        (554, "", "Message not accepted for policy reasons", Policy),
        (550, "5.7.26", "This message does not pass authentication checks", AuthenticationFailed),
        (
            550,
            "5.7.1",
            "Unauthenticated email from example.com is not accepted due to domain's DMARC policy",
            AuthenticationFailed,
        ),
        (550, "5.7.23", "The message was rejected because the sender is not allowed", Policy),
        (552, "5.3.4", "Message size exceeds fixed maximum message size", MessageTooLarge),
        (552, "5.2.3", "Your message exceeded limits", MessageTooLarge),
        (555, "5.5.4", "Unsupported option: SMTPUTF8", Unsupported),
        (502, "", "command not implemented", Unsupported),
        (554, "", "Transaction failed", General),
        (552, "5.2.2", "The recipient's inbox is out of storage space", MailboxFull),
        (552, "5.2.2", "mailbox is over quota", MailboxFull),
        (452, "4.2.2", "The email account that you tried to reach is over quota.", MailboxFull),
        (552, "", "requested mail action aborted", MailboxFull),
        (450, "4.2.0", "<x@example.net>: Recipient address rejected: Greylisted, see postgrey", Greylisted),
        (451, "4.7.1", "Greylisting in action, please come back later", Greylisted),
        (421, "4.7.28", "Our system has detected an unusual rate of mail: rate limited", RateLimited),
        (450, "4.2.1", "The user you are trying to contact is receiving mail too quickly.", RateLimited),
        (452, "4.5.3", "Too many recipients", RateLimited),
        (452, "", "", RateLimited),
        (421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", Blocked),
        (451, "4.7.500", "Server busy. Please try again later", Temporary),
        (421, "", "Service not available, closing transmission channel", Temporary),
        (451, "4.3.0", "Error: queue file write error", Temporary),
        (0, "4.4.1", "connection timed out", Temporary),
        (0, "", "connection reset", Undetermined),
        (250, "", "ok", Undetermined),
    ] {
        assert_eq!(classify(code, status, text), expected, "{code} {status} {text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_reply(code: u16, status in "\\PC{0,12}", text in "\\PC{0,80}") {
        classify(code, &status, &text);
    }
}
