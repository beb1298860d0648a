//! Tenants: accounts that the operator configures alike on all nodes of a world, what they share, and what their users may do.
//!
//! Here are the plain data and what they are to a node's configuration. Who gets what by them is worked out in `places` and
//! `rights` from what an operator reads (wire.md 1.12); no engine is asked, nor anything that one is made of.

mod drawing;
mod places;
mod rights;
mod sharing;

use std::sync::Arc;

use super::node::NodeSpec;
use crate::config::{AccountConfig, Authorization, Export, Import, Mapping, Response, User};

pub(super) use drawing::draw;
pub(super) use places::{ALL_ANSWERS, By, Place, is_for_answer};
pub(super) use rights::Verdict;
pub use rights::{RIGHTS, Rights, SubjectLists};
pub use sharing::{SHAPES, Shape};

/// Accounts that only the operator adds. Of a pool of three they take different connections.
pub const TENANTS: [&str; 3] = ["T0", "T1", "T2"];

/// What the operator of a world chose for its tenants. The default is that there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenants {
    /// How many of [`TENANTS`] there are.
    pub count: usize,
    /// What they take of each other.
    pub shares: Vec<Share>,
    /// Whether exporters say who may import, or let everybody.
    pub are_listed: bool,
    /// Those whose clients publish to [`MAPPED`] another subject than they say.
    pub mapped: Vec<usize>,
    /// Which of [`RIGHTS`] the second user of each has.
    pub rights: [usize; TENANTS.len()],
    /// Those that have a connection of their own to each peer.
    pub pinned: Vec<usize>,
}

/// What one tenant takes of another. Exporters come before their importers, so that nothing comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// Who takes it.
    pub importer: usize,
    /// From whom.
    pub exporter: usize,
    /// Which of [`SHAPES`].
    pub shape: usize,
}

/// As whom a client comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// Into which of [`TENANTS`].
    pub tenant: usize,
    /// As the user who may not do everything, or as the one who may.
    pub is_limited: bool,
}

impl Login {
    /// The account.
    pub fn account(self) -> &'static str {
        TENANTS[self.tenant]
    }

    /// The name of the user, which is also its password.
    pub(super) fn user(self) -> String {
        format!("{}{}", self.account(), if self.is_limited { "-limited" } else { "" })
    }
}

impl Tenants {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The users of all.
    pub fn logins(&self) -> impl Iterator<Item = Login> + use<> {
        let of_tenant = |tenant| [false, true].map(|is_limited| Login { tenant, is_limited });
        (0..self.count).flat_map(of_tenant)
    }

    /// What a user may do; none is everything.
    pub fn rights_of(&self, login: Login) -> Option<&'static Rights> {
        login.is_limited.then(|| &RIGHTS[self.rights[login.tenant]])
    }

    /// Whether an account is one of them.
    pub(super) fn have(&self, account: &str) -> bool {
        TENANTS[..self.count].contains(&account)
    }

    /// Writes them into the configuration of a node.
    pub(super) fn configure(&self, spec: &mut NodeSpec) {
        if self.is_empty() {
            return;
        }
        let config = &mut spec.config;
        config.accounts = (0..self.count).map(|tenant| self.account(tenant)).collect();
        let guest = User::with_password(GUEST, GUEST);
        let users = self.logins().map(|login| self.user(login)).chain([guest]);
        config.authorization = Authorization::Users(users.collect());
        config.no_auth_user = Some(GUEST.to_owned());
        if let Some(cluster) = config.cluster.as_mut().filter(|cluster| cluster.pool_size.is_some()) {
            cluster.accounts = self.pinned.iter().map(|tenant| TENANTS[*tenant].to_owned()).collect();
        }
    }

    fn account(&self, tenant: usize) -> AccountConfig {
        let is_mapped = self.mapped.contains(&tenant);
        let imported = self.shares.iter().filter(|share| share.importer == tenant);
        AccountConfig {
            mappings: is_mapped.then(|| Mapping::simple(MAPPED, MAPPED_TO)).into_iter().collect(),
            exports: (0..SHAPES.len()).filter_map(|shape| self.export(tenant, shape)).collect(),
            imports: imported.map(Share::import).collect(),
            ..AccountConfig::new(TENANTS[tenant])
        }
    }

    /// What a tenant offers of one shape, if anybody takes it.
    fn export(&self, tenant: usize, shape: usize) -> Option<Export> {
        let is_of_it = |share: &&Share| (share.exporter, share.shape) == (tenant, shape);
        let importers = self.shares.iter().filter(is_of_it).map(|share| TENANTS[share.importer].to_owned());
        let importers: Vec<_> = importers.collect();
        let shape = SHAPES[shape];
        let export = match shape.is_stream {
            true => Export::stream(shape.subject),
            false => Export::service(shape.subject, Response::Single),
        };
        let is_wanted = !importers.is_empty();
        is_wanted.then(|| Export { accounts: self.are_listed.then_some(importers), ..export })
    }

    fn user(&self, login: Login) -> User {
        let name = login.user();
        let permissions = self.rights_of(login).map(|rights| Arc::new(rights.permissions()));
        User { permissions, ..User::with_password(&name, &name).in_account(login.account()) }
    }
}

impl Share {
    fn import(&self) -> Import {
        let Shape { subject, known_as, is_stream } = SHAPES[self.shape];
        let new = if is_stream { Import::stream } else { Import::service };
        new(TENANTS[self.exporter], subject, known_as)
    }
}

/// The user of who names none: it may do everything in the global account.
const GUEST: &str = "guest";
/// The subject that some tenants map to another.
pub const MAPPED: &str = "a";
/// The subject that they map it to, which services may be asked by.
const MAPPED_TO: &str = "c";
