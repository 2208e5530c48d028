//! The message itself, by DATA or by BDAT.

use super::session::{Breach, Phase, Session, Step};
use crate::smtp::data::{MessageReader, Progress};
use crate::smtp::reply::Reply;

impl Session {
    pub(super) fn data_content(&mut self) -> Option<Step> {
        let Phase::Data(mut reader) = std::mem::replace(&mut self.phase, Phase::Command) else { return None };
        let unread = self.unread();
        let available = unread.len();
        match reader.read_data(unread) {
            Progress::More => {
                self.consume(available);
                self.phase = Phase::Data(reader);
                Some(Step::NeedInput)
            }
            Progress::End(octets) => {
                self.consume(octets);
                self.complete(reader)
            }
            Progress::Broken => self.close_for(Breach::Content, Reply::bad_content()),
        }
    }

    pub(super) fn chunk_content(&mut self) -> Option<Step> {
        let Phase::Chunk { left, last, refusal } = std::mem::replace(&mut self.phase, Phase::Command) else {
            return None;
        };
        let octets = self.unread().len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let keep = refusal.is_none();
        if keep && self.read_chunk(octets) == Progress::Broken {
            return self.close_for(Breach::Content, Reply::bad_content());
        }
        self.consume(octets);
        let left = left - octets as u64;
        if left > 0 {
            self.phase = Phase::Chunk { left, last, refusal };
            return Some(Step::NeedInput);
        }
        match refusal {
            Some(reply) => {
                self.refuse(reply);
                None
            }
            None => self.end_chunk(last),
        }
    }

    fn read_chunk(&mut self, octets: usize) -> Progress {
        let Some(mut reader) = self.take_chunks() else { return Progress::Broken };
        let progress = reader.read_chunk(&self.unread()[..octets]);
        self.put_chunks(reader);
        progress
    }

    fn end_chunk(&mut self, last: bool) -> Option<Step> {
        let reader = self.take_chunks()?;
        if last && !reader.may_end_chunks() {
            return self.close_for(Breach::Content, Reply::bad_content());
        }
        if last || reader.is_too_large() {
            return self.complete(reader);
        }
        self.put_chunks(reader);
        self.reply(Reply::chunk_ok());
        None
    }

    /// Hands the message out, or says that it was too large. Either way the transaction is over.
    fn complete(&mut self, reader: MessageReader) -> Option<Step> {
        let envelope = self.finish_transaction()?;
        match reader.into_message() {
            Some(message) => {
                self.phase = Phase::Message;
                Some(Step::Message(envelope, message))
            }
            None => {
                self.refuse(Reply::message_too_large());
                None
            }
        }
    }

    fn take_chunks(&mut self) -> Option<MessageReader> {
        self.transaction.as_mut()?.chunks.take()
    }

    fn put_chunks(&mut self, reader: MessageReader) {
        if let Some(transaction) = &mut self.transaction {
            transaction.chunks = Some(reader);
        }
    }
}
