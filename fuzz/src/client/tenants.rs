//! Two accounts of which one imports streams of the other, and what that means, told from the texts alone (wire.md 1.12).

use onehop::config::{AccountConfig, AccountLimits, Config, Export, Import, Mapping, User};

use crate::Choices;

pub(super) const EXPORTER: &str = "A";
pub(super) const IMPORTER: &str = "B";

/// A stream: its subject, and what that is to the importer. Wildcards are at the end, and the same on both sides.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    subject: &'static str,
    known_as: &'static str,
}

const STREAMS: [Stream; 3] = [
    Stream { subject: "a.>", known_as: "b.>" },
    Stream { subject: "b.*", known_as: "a.*" },
    Stream { subject: "a.b", known_as: "b.c" },
];

/// What the exporter's clients publish to another subject than they say, and where that goes.
const MAPPED: (&str, &str) = ("b", "a.b");

/// What was chosen of all that.
#[derive(Clone, Default)]
pub(super) struct Tenants {
    pub(super) streams: Vec<Stream>,
    is_mapped: bool,
    /// How many subscriptions each client of the importer may hold.
    pub(super) max_subscriptions: Option<usize>,
}

impl Tenants {
    pub(super) fn choose(choices: &mut Choices<'_>) -> Self {
        let bits = choices.byte();
        let is_chosen = |at: &usize| bits >> at & 1 == 1;
        let streams = (0..STREAMS.len()).filter(is_chosen).map(|at| STREAMS[at]).collect();
        let max_subscriptions = (bits & 16 != 0).then_some(2);
        Self { streams, is_mapped: bits & 8 != 0, max_subscriptions }
    }

    pub(super) fn accounts(&self) -> Vec<AccountConfig> {
        let export = |stream: &Stream| Export::stream(stream.subject);
        let import = |stream: &Stream| Import::stream(EXPORTER, stream.subject, stream.known_as);
        let mapping = self.is_mapped.then(|| Mapping::simple(MAPPED.0, MAPPED.1));
        let limits = AccountLimits { max_subscriptions: self.max_subscriptions, ..AccountLimits::default() };
        vec![
            AccountConfig {
                exports: self.streams.iter().map(export).collect(),
                mappings: mapping.into_iter().collect(),
                ..AccountConfig::new(EXPORTER)
            },
            AccountConfig {
                imports: self.streams.iter().map(import).collect(),
                limits,
                ..AccountConfig::new(IMPORTER)
            },
        ]
    }

    /// Where a message goes that is published so in an account.
    pub(super) fn mapped<'a>(&self, account: &str, subject: &'a [u8]) -> &'a [u8] {
        let is_mapped = self.is_mapped && account == EXPORTER && subject == MAPPED.0.as_bytes();
        if is_mapped { MAPPED.1.as_bytes() } else { subject }
    }

    /// What the clients of an account hear a message as that is published in another: by each import that has it, with its number.
    pub(super) fn heard_as(
        &self,
        published_in: &str,
        account: &str,
        subject: &[u8],
    ) -> Vec<(usize, Vec<u8>)> {
        if (published_in, account) != (EXPORTER, IMPORTER) {
            return Vec::new();
        }
        let streams = self.streams.iter().enumerate();
        streams.filter_map(|(at, stream)| Some((at, stream.renamed(subject)?))).collect()
    }

    /// The filters that a subscription of an account has at the exporter.
    pub(super) fn reached(&self, account: &str, filter: &[u8]) -> Vec<Vec<u8>> {
        let streams = self.streams.iter().filter(|_| account == IMPORTER);
        streams.filter_map(|stream| stream.asked(filter)).collect()
    }
}

impl Stream {
    /// What a subject of the exporter is to the importer.
    fn renamed(&self, subject: &[u8]) -> Option<Vec<u8>> {
        let ((start, wildcard), (renamed, _)) = (split(self.subject), split(self.known_as));
        let rest = subject.strip_prefix(start.as_bytes())?;
        let is_of_it = match wildcard {
            "" => rest.is_empty(),
            "*" => !rest.is_empty() && !rest.contains(&b'.'),
            _ => !rest.is_empty(),
        };
        is_of_it.then(|| [renamed.as_bytes(), rest].concat())
    }

    /// What the exporter has of a filter of the importer, if it has any of it.
    fn asked(&self, filter: &[u8]) -> Option<Vec<u8>> {
        let ((start, _), (exported, wildcard)) = (split(self.known_as), split(self.subject));
        let mut rest = filter.split(|byte| *byte == b'.');
        for token in start.split_terminator('.') {
            match rest.next()? {
                b">" => return Some(self.subject.into()),
                b"*" => {}
                wanted if wanted == token.as_bytes() => {}
                _ => return None,
            }
        }
        let rest: Vec<_> = rest.collect();
        match (wildcard, &rest[..]) {
            ("", []) => Some(exported.into()),
            ("", _) | (_, []) | ("*", [_, _, ..]) => None,
            ("*", [b">"]) => Some([exported, "*"].concat().into()),
            _ => Some([exported.as_bytes(), &rest.join(&b'.')].concat()),
        }
    }
}

/// A pattern without the wildcard at its end, and that; empty if it has none.
fn split(pattern: &str) -> (&str, &str) {
    pattern.split_at(pattern.trim_end_matches(['*', '>']).len())
}

/// The account of a user.
pub(super) fn account_of(user: Option<&User>) -> &str {
    user.and_then(|user| user.account.as_deref()).unwrap_or(onehop::config::GLOBAL_ACCOUNT)
}

/// Lets users into accounts: who may not do everything is in that which imports.
pub(super) fn settle(config: &mut Config, users: Vec<User>, tenants: &Tenants) {
    config.accounts = tenants.accounts();
    let accounts = [IMPORTER, EXPORTER];
    let users = users.into_iter().zip(accounts).map(|(user, account)| user.in_account(account));
    config.authorization = onehop::config::Authorization::Users(users.collect());
}
