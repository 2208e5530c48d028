//! Who sent a message, as far as that can be proved: SPF, DKIM, DMARC, ARC and the name of the client's address, as
//! results in the words of RFC 8601.
//!
//! A message is read once ([`Examination::begin`]). Then the judgement is made ([`Examination::conclude`]), with what is
//! known of the DNS; what is not known yet is told, all that can be asked at once together. Signatures are checked last,
//! once. Every number of things that a stranger chooses has a limit.

mod arc;
mod author;
pub mod dkim;
pub mod dmarc;
mod dns;
mod header;
pub mod iprev;
pub mod results;
pub mod spf;
mod tags;

pub use arc::SETS_MAX;
pub use dns::{Dns, Pending};

use arc::Chain;
use dkim::key::Keyring;
use dkim::{Bodies, Candidate, KeyCache};
use header::Header;
use postfleet_core::authentication::{AuthResult, Authentication, DmarcEnforcement, SpfResult};
use postfleet_core::{Domain, ReversePath, UnixMicros};
use std::net::IpAddr;

/// How a message came.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Where the client connected from.
    pub ip: IpAddr,
    /// What it called itself.
    pub helo: &'a str,
    /// MAIL FROM.
    pub reverse_path: &'a ReversePath,
}

/// What the operator has set, and chance.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Sealers that are believed (`d=`).
    pub trusted_sealers: &'a [Domain],
    /// How far the wishes of owners of domains are followed.
    pub enforcement: DmarcEnforcement,
    /// From 0 to 99, at random: whether the message is among those to which a policy applies (`pct`).
    pub sample: u8,
}

/// A message that is being judged.
pub struct Examination<'a> {
    envelope: Envelope<'a>,
    header: Header<'a>,
    signatures: Vec<Candidate>,
    chain: Chain,
    author: Result<Domain, &'static str>,
    cache: Option<&'a KeyCache>,
}

impl<'a> Examination<'a> {
    /// Reads a message as it came, before anything was added to it.
    pub fn begin(raw: &'a [u8], envelope: Envelope<'a>, now: UnixMicros) -> Self {
        let header = Header::read(raw);
        let mut bodies = Bodies::new(header.body);
        let signatures = dkim::candidates(&header, &mut bodies, now);
        let chain = arc::chain(&header, &mut bodies, now);
        let author = author::domain(&header);
        Self { envelope, header, signatures, chain, author, cache: None }
    }

    /// With keys that were read before.
    pub fn with(self, cache: &'a KeyCache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// The domain of the one author, if there is one.
    pub fn author(&self) -> Option<&Domain> {
        self.author.as_ref().ok()
    }

    /// Judges with what is known.
    pub fn conclude(&self, dns: &dyn Dns, terms: &Terms<'_>) -> Result<(Authentication, dmarc::Published), Pending> {
        let mut pending = Pending::default();
        let ring = Keyring { dns, cache: self.cache };
        let senders = pending.settle(self.senders(dns));
        let keys: Vec<_> = self.signatures.iter().filter_map(|one| pending.settle(one.keys(ring))).collect();
        let published = match &self.author {
            Ok(author) => pending.settle(dmarc::find(dns, author)),
            Err(_) => Some(dmarc::Published::Nothing),
        };
        let seals = pending.settle(self.chain.keys(ring));
        let iprev = pending.settle(iprev::check(dns, self.envelope.ip));
        let (Some((spf, helo)), Some(published), Some(seals), Some(iprev), true) =
            (senders, published, seals, iprev, pending.0.is_empty())
        else {
            return Err(pending.once());
        };
        let signatures = self.signatures.iter().zip(&keys);
        let dkim: Vec<_> = signatures.map(|(one, keys)| one.check(&self.header, keys)).collect();
        let arc = self.chain.check(&self.header, &seals);
        let author = self.author.as_ref().map_err(|why| *why);
        let mut dmarc = dmarc::judge(author, &published, (&spf, &dkim), terms.sample);
        if let (Ok(author), AuthResult::Fail, AuthResult::Pass) = (author, dmarc.result, arc.result) {
            dmarc.rescued_by = self.chain.voucher(&self.header, author, terms.trusted_sealers);
        }
        dmarc.disposition = terms.enforcement.disposition(&dmarc);
        let aligned_domain = dmarc.domain.clone().filter(|_| dmarc.result == AuthResult::Pass);
        let (iprev, client_name) = iprev;
        let found = Authentication {
            is_local: false,
            spf,
            helo,
            dkim,
            dmarc,
            arc: arc.result,
            arc_sealers: arc.sealers,
            arc_reason: arc.reason,
            iprev,
            client_name,
            aligned_domain,
        };
        Ok((found, published))
    }

    /// SPF of the envelope sender, and of HELO; a null sender is that of HELO (RFC 7208 §2.4).
    fn senders(&self, dns: &dyn Dns) -> Result<(SpfResult, SpfResult), Pending> {
        let Envelope { ip, helo, reverse_path } = self.envelope;
        let mut pending = Pending::default();
        let of_helo = pending.settle(spf::check(dns, &spf::Query { ip, helo, local: "", domain: helo }));
        let of_sender = reverse_path.mailbox().map(|sender| {
            let query = spf::Query { ip, helo, local: sender.local(), domain: sender.domain().as_str() };
            pending.settle(spf::check(dns, &query))
        });
        match (of_helo, of_sender) {
            (Some(helo), None) => Ok((helo.clone(), helo)),
            (Some(helo), Some(Some(sender))) => Ok((sender, helo)),
            _ => Err(pending),
        }
    }
}
