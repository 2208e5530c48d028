//! Opt-ins: whom an application asked by mail whether they want mail for a purpose, and what they said. A row is a question,
//! with its words and where the answer came from; it is kept as proof for as long as the application is there.
//!
//! Questions about one purpose to one address belong together: who declines one has declined all, and what is taken back
//! is taken back of all. A purpose is found by the hash of its text, an address by its key.

mod answer;
mod ask;
mod read;

use crate::db::{DbError, Row};
use postfleet_core::id::{ApplicationId, GrantId, MessageId, OptInId};
use postfleet_core::opt_in::State;
use postfleet_core::{EmailAddress, UnixMicros};

pub use answer::{AnswerOptIn, Answered, WithdrawOptIn, WithdrawOutcome};
pub(crate) use answer::{end_all, not_sent, without};
pub use ask::{AskOptIn, AskOutcome, TakeBackOptIn};
pub use read::{Filter, find, list, with_id};

#[cfg(test)]
pub(crate) use {
    answer::CONFIRMED,
    ask::LATELY,
    read::{
        LIST, OF_ADDRESS, OF_ADDRESS_AND_PURPOSE, OF_ADDRESS_AND_PURPOSE_AND_STATE, OF_ADDRESS_AND_STATE, OF_PURPOSE,
        OF_PURPOSE_AND_STATE, OF_STATE,
    },
};

/// What is known of who asked for it, as the application says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// From which IP address.
    pub ip: Option<String>,
    /// With which program.
    pub user_agent: Option<String>,
    /// On which page.
    pub url: Option<String>,
}

/// When and from where somebody said something on the page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// When.
    pub at: UnixMicros,
    /// From which IP address, if that is known.
    pub ip: Option<String>,
    /// With which program, if it says.
    pub user_agent: Option<String>,
}

/// A question to somebody whether they want mail for a purpose, and what they said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptIn {
    /// Its id.
    pub id: OptInId,
    /// Whose.
    pub application_id: ApplicationId,
    /// Which mailbox asked.
    pub grant_id: GrantId,
    /// Who was asked.
    pub address: EmailAddress,
    /// What they are called.
    pub name: Option<String>,
    /// For what.
    pub purpose: String,
    /// The hash of that.
    pub purpose_hash: [u8; 32],
    /// The language of the mail and the page.
    pub language: String,
    /// The words that they agree to.
    pub words: String,
    /// The message that asked.
    pub message_id: MessageId,
    /// Who asked for it.
    pub source: Source,
    /// Where they are led after confirming.
    pub redirect_url: Option<String>,
    /// What is stored of what became of it; that it has expired follows from the time.
    pub state: State,
    /// When they were asked.
    pub asked_at: UnixMicros,
    /// When and from where they confirmed.
    pub confirmed: Option<Said>,
    /// When and from where they declined.
    pub declined: Option<Said>,
    /// When it was taken back.
    pub withdrawn_at: Option<UnixMicros>,
}

macro_rules! opt_in_columns {
    () => {
        "id, application_id, grant_id, address, name, purpose, purpose_hash, language, words, message_id, source_ip, \
         source_user_agent, source_url, redirect_url, state, asked_at, confirmed_at, confirmed_ip, confirmed_user_agent, \
         declined_at, declined_ip, declined_user_agent, withdrawn_at"
    };
}
use opt_in_columns;

fn read_row(row: &Row) -> Result<OptIn, DbError> {
    let said = |first: usize| -> Result<Option<Said>, DbError> {
        let Some(at) = row.opt_int(first)? else { return Ok(None) };
        let (ip, user_agent) = (row.opt_text(first + 1)?, row.opt_text(first + 2)?);
        Ok(Some(Said { at: UnixMicros::from_micros(at), ip, user_agent }))
    };
    Ok(OptIn {
        id: OptInId::from_uuid(row.uuid(0)?),
        application_id: ApplicationId::from_uuid(row.uuid(1)?),
        grant_id: GrantId::from_uuid(row.uuid(2)?),
        address: EmailAddress::parse(row.str(3)?).map_err(|_| DbError::Malformed("address of an opt-in"))?,
        name: row.opt_text(4)?,
        purpose: row.text(5)?,
        purpose_hash: row.bytes(6)?.try_into().map_err(|_| DbError::Malformed("purpose_hash"))?,
        language: row.text(7)?,
        words: row.text(8)?,
        message_id: MessageId::from_uuid(row.uuid(9)?),
        source: Source { ip: row.opt_text(10)?, user_agent: row.opt_text(11)?, url: row.opt_text(12)? },
        redirect_url: row.opt_text(13)?,
        state: State::named(row.str(14)?).ok_or(DbError::Malformed("state of an opt-in"))?,
        asked_at: UnixMicros::from_micros(row.int(15)?),
        confirmed: said(16)?,
        declined: said(19)?,
        withdrawn_at: row.opt_int(22)?.map(UnixMicros::from_micros),
    })
}
