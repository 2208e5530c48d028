//! What each command does where it stands (RFC 5321 §4.1.4 on their order).

use super::config::{Envelope, Service};
use super::session::{Breach, Client, Phase, Session, Step, Transaction};
use crate::smtp::command::Command;
use crate::smtp::data::MessageReader;
use crate::smtp::path::{Mail, Recipient};
use crate::smtp::reply::Reply;
use postfleet_core::ReversePath;

/// At most this much is set aside on the client's word alone.
const RESERVE_OCTETS_MAX: u64 = 1_024 * 1_024;
/// Set aside for a message whose size was not announced.
const RESERVE_OCTETS_DEFAULT: u64 = 16 * 1_024;

impl Session {
    /// Carries out one command. `None` means that the session can go on by itself.
    pub(super) fn carry_out(&mut self, command: Command) -> Option<Step> {
        if ends_group(&command) {
            if !self.unread().is_empty() {
                return self.close_for(Breach::Pipelining, Reply::spoke_too_early());
            }
            self.begin_prompt(Breach::Pipelining);
        }
        match command {
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(recipient) => self.rcpt(recipient),
            Command::Data => self.data(),
            Command::Bdat { octets, last } => self.bdat(octets, last),
            Command::Ehlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::StartTls => self.starttls(),
            Command::Rset => self.rset(),
            Command::Noop => self.say(Reply::ok()),
            Command::Quit => self.quit(),
            Command::Vrfy => self.say(Reply::cannot_verify()),
            Command::Help => self.say(Reply::help()),
            Command::Auth(arguments) => self.auth(&arguments),
            Command::Expn => self.decline(Reply::not_implemented()),
        }
    }

    fn hello(&mut self, name: String, esmtp: bool) -> Option<Step> {
        // RFC 5321 §4.1.4: a greeting within a transaction ends it.
        self.transaction = None;
        let reply = Reply::hello(if esmtp { self.extensions() } else { self.config.hostname.clone() });
        self.client = Some(Client { name, esmtp });
        self.say(reply)
    }

    fn extensions(&self) -> String {
        let size = self.config.limits.message_octets;
        let starttls = if self.config.starttls && !self.tls { "\nSTARTTLS" } else { "" };
        let smtputf8 = if self.takes_utf8() { "\nSMTPUTF8" } else { "" };
        // Never in the clear: a client that was offered it might show its password to everybody on the way.
        let require_tls = if self.takes_require_tls() { "\nREQUIRETLS" } else { "" };
        let auth = if self.config.service == Service::Submission && self.tls { "\nAUTH PLAIN LOGIN" } else { "" };
        format!(
            "{}\nPIPELINING\nSIZE {size}\n8BITMIME{smtputf8}\nENHANCEDSTATUSCODES\nCHUNKING{require_tls}{auth}{starttls}",
            self.config.hostname
        )
    }

    /// Whether addresses and headers may be other than ASCII. A message that is submitted must be for everybody.
    fn takes_utf8(&self) -> bool {
        self.config.service == Service::Mx
    }

    /// Whether a message may ask for TLS on all of its way (RFC 8689 §4.1: never offered in the clear). What comes for our
    /// mailboxes has no way left to go; what mail clients submit has, and there nobody would keep the promise.
    fn takes_require_tls(&self) -> bool {
        self.config.service == Service::Mx && self.tls
    }

    fn starttls(&mut self) -> Option<Step> {
        if !self.unread().is_empty() {
            // RFC 3207 §4: nothing may follow STARTTLS. Whoever put it there wants it read as if it had been encrypted.
            return self.close_for(Breach::Injection, Reply::spoke_too_early());
        }
        self.begin_prompt(Breach::Injection);
        if !self.config.starttls {
            return self.decline(Reply::not_implemented());
        }
        if self.tls {
            return self.decline(Reply::bad_sequence("the connection is encrypted already"));
        }
        if self.client.is_none() {
            return self.decline(Reply::bad_sequence("say EHLO first"));
        }
        self.reply(Reply::ready_for_tls());
        self.phase = Phase::Handshake;
        Some(Step::StartTls)
    }

    fn mail(&mut self, mail: Mail) -> Option<Step> {
        let Some(client) = &self.client else {
            return self.decline(Reply::bad_sequence("say EHLO or HELO first"));
        };
        if self.transaction.is_some() {
            return self.decline(Reply::bad_sequence("there is a sender already"));
        }
        if mail.has_parameters && !client.esmtp {
            return self.decline(Reply::unknown_parameter());
        }
        if (mail.smtputf8 && !self.takes_utf8()) || (mail.has_auth && self.config.service != Service::Submission) {
            return self.decline(Reply::unknown_parameter());
        }
        if mail.require_tls && !self.takes_require_tls() {
            let is_clear = self.config.service == Service::Mx;
            return self.decline(if is_clear { Reply::needs_tls() } else { Reply::unknown_parameter() });
        }
        if self.config.service == Service::Submission {
            return self.mail_of_account(mail);
        }
        if !mail.is_ascii && !mail.smtputf8 {
            return self.decline(Reply::needs_smtputf8());
        }
        self.begin_transaction(mail, self.config.limits.message_octets)
    }

    /// MAIL of a mail client: its own address and no other, whatever the header will say. Whether the account may still
    /// send is not for the session to know.
    fn mail_of_account(&mut self, mail: Mail) -> Option<Step> {
        let Some(account) = &self.account else {
            return self.decline(if self.tls { Reply::needs_authentication() } else { Reply::needs_tls() });
        };
        if !mail.is_ascii {
            return self.decline(Reply::needs_smtputf8());
        }
        match &mail.reverse_path {
            ReversePath::Mailbox(address) if address.key() == account.key() => {}
            _ => return self.decline(Reply::foreign_sender()),
        }
        self.phase = Phase::Sender(mail);
        Some(Step::Sender)
    }

    /// Answers [`Step::Sender`]: with the octets that a message may have, or with a refusal.
    pub fn sender_verdict(&mut self, verdict: Result<u64, Reply>) {
        let Phase::Sender(mail) = std::mem::replace(&mut self.phase, Phase::Command) else { return };
        match verdict {
            Ok(octets_max) => {
                self.begin_transaction(mail, octets_max.min(self.config.limits.message_octets));
            }
            Err(reply) => self.pass_on(reply),
        }
        self.close_if_due();
    }

    fn begin_transaction(&mut self, mail: Mail, octets_max: u64) -> Option<Step> {
        if mail.size.is_some_and(|size| size > octets_max) {
            return self.decline(Reply::message_too_large());
        }
        self.transactions += 1;
        if self.transactions > self.config.limits.transactions {
            return self.close_for(Breach::Messages, Reply::too_many_transactions());
        }
        self.transaction = Some(Transaction { mail, octets_max, recipients: Vec::new(), chunks: None });
        self.say(Reply::sender_ok())
    }

    fn rcpt(&mut self, recipient: Recipient) -> Option<Step> {
        let Some(transaction) = &self.transaction else {
            return self.decline(Reply::bad_sequence("say MAIL first"));
        };
        if transaction.chunks.is_some() {
            return self.decline(Reply::bad_sequence("the message has begun"));
        }
        let address = match recipient {
            Recipient::Mailbox { is_ascii: false, .. } if !transaction.mail.smtputf8 => {
                return self.decline(Reply::needs_smtputf8());
            }
            Recipient::Mailbox { address, .. } => address,
            Recipient::Postmaster => match &self.postmaster {
                Some(address) => address.clone(),
                None => return self.decline(Reply::bad_recipient("there is no postmaster without a domain")),
            },
        };
        if transaction.recipients.len() >= self.config.limits.recipients {
            return self.decline(Reply::too_many_recipients());
        }
        self.phase = Phase::Recipient(address.clone());
        Some(Step::Recipient(address))
    }

    fn data(&mut self) -> Option<Step> {
        if !self.unread().is_empty() {
            // RFC 2920 §3.1: DATA is the last of a group. Was this meant as a message or as commands? Neither is safe.
            return self.close_for(Breach::Pipelining, Reply::spoke_too_early());
        }
        self.begin_prompt(Breach::Pipelining);
        let transaction = match self.content_transaction() {
            Ok(transaction) if transaction.chunks.is_some() => {
                // RFC 3030 §2: the two do not mix.
                return self.decline(Reply::bad_sequence("the message has begun with BDAT"));
            }
            Ok(transaction) => transaction,
            Err(reply) => return self.decline(reply),
        };
        self.phase = Phase::Data(transaction.message_reader());
        self.reply(Reply::start_data());
        None
    }

    fn bdat(&mut self, octets: u64, last: bool) -> Option<Step> {
        // The octets come whether we want them or not (RFC 3030 §2), so a refusal waits until they are swallowed.
        let refusal = match self.content_transaction() {
            Err(reply) => Some(reply),
            Ok(transaction) if transaction.chunks.is_some() => None,
            Ok(transaction) => {
                let reader = transaction.message_reader();
                if let Some(transaction) = &mut self.transaction {
                    transaction.chunks = Some(reader);
                }
                None
            }
        };
        self.phase = Phase::Chunk { left: octets, last, refusal };
        None
    }

    fn rset(&mut self) -> Option<Step> {
        self.transaction = None;
        self.say(Reply::ok())
    }

    fn quit(&mut self) -> Option<Step> {
        self.reply(Reply::goodbye());
        self.end();
        None
    }

    /// The transaction, if content may come now.
    fn content_transaction(&self) -> Result<&Transaction, Reply> {
        match &self.transaction {
            None => Err(Reply::bad_sequence("say MAIL first")),
            Some(transaction) if transaction.recipients.is_empty() => Err(Reply::no_recipients()),
            Some(transaction) => Ok(transaction),
        }
    }

    /// Ends the transaction and tells about it.
    pub(super) fn finish_transaction(&mut self) -> Option<Envelope> {
        let client = self.client.as_ref()?;
        let Transaction { mail, recipients, .. } = self.transaction.take()?;
        Some(Envelope {
            helo: client.name.clone(),
            esmtp: client.esmtp,
            tls: self.tls,
            reverse_path: mail.reverse_path,
            recipients,
            smtputf8: mail.smtputf8,
            require_tls: mail.require_tls,
            eight_bit: mail.eight_bit,
            declared_size: mail.size,
        })
    }

    fn say(&mut self, reply: Reply) -> Option<Step> {
        self.reply(reply);
        None
    }

    pub(super) fn decline(&mut self, reply: Reply) -> Option<Step> {
        self.refuse(reply);
        None
    }
}

/// Whether a client must wait for the answer before it goes on (RFC 2920 §3.1, RFC 4954 §4). One that does not has not
/// understood the answer that it could not know, or hopes that somebody else does not. DATA and STARTTLS see to it
/// themselves, and after QUIT nothing is looked at.
fn ends_group(command: &Command) -> bool {
    use Command::{Auth, Ehlo, Expn, Helo, Noop, Vrfy};
    matches!(command, Ehlo(_) | Helo(_) | Noop | Vrfy | Expn | Auth(_))
}

impl Transaction {
    fn message_reader(&self) -> MessageReader {
        let announced = self.mail.size.unwrap_or(RESERVE_OCTETS_DEFAULT);
        let reserve = announced.min(self.octets_max).min(RESERVE_OCTETS_MAX);
        MessageReader::new(self.octets_max, usize::try_from(reserve).unwrap_or_default())
    }
}
