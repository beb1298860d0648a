//! The users that there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Finding;
use super::certificate::{self, Arrival, Certificate};
use super::password::{self, PasswordCheck};
use crate::accounts::GLOBAL_ACCOUNT;
use crate::config::{self, ConnectionType, Identity, Secret, User};
use crate::nkey::UserKey;
use crate::permissions::Permissions;
use crate::transport::PeerCertificate;
use crate::wire::Connect;

/// Users by what they present.
#[derive(Debug)]
pub(super) struct Users {
    by_name: BTreeMap<String, (Secret, Known)>,
    by_key: BTreeMap<UserKey, Known>,
    anonymous: Option<Known>,
    /// The dearest hash of all: what does not take long for one is let take as long for the others, so that the time that a
    /// refusal takes does not tell who there is.
    dearest: Option<Secret>,
}

/// A user that a client is.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Who it is, as logs say it: `user:joe`, `nkey:UC…`; none of who has no name.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) account: Arc<str>,
    /// What it may do; none is everything.
    pub(crate) permissions: Option<Arc<Permissions>>,
    may_connect: Ways,
}

/// The ways by which somebody may come in.
#[derive(Clone, Copy, Debug)]
struct Ways {
    plain: bool,
    websocket: bool,
}

impl Ways {
    fn of(types: Option<&[ConnectionType]>) -> Self {
        let may = |way| types.is_none_or(|types| types.is_empty() || types.contains(&way));
        Self { plain: may(ConnectionType::Standard), websocket: may(ConnectionType::Websocket) }
    }

    fn have(self, by_websocket: bool) -> bool {
        if by_websocket { self.websocket } else { self.plain }
    }
}

impl Users {
    pub(super) fn new(users: &[User], no_auth_user: Option<&str>) -> Self {
        let mut all =
            Self { by_name: BTreeMap::new(), by_key: BTreeMap::new(), anonymous: None, dearest: None };
        let mut compiled = Compiled::new();
        for user in users {
            let known = Known::new(user, &mut compiled);
            if no_auth_user.is_some_and(|name| user.identity.to_string() == name) {
                all.anonymous = Some(known.clone());
            }
            match &user.identity {
                Identity::Password { name, password } => {
                    all.by_name.insert(name.clone(), (password.clone(), known));
                }
                Identity::Nkey(key) => {
                    all.by_key.insert(*key, known);
                }
            }
        }
        let hashes = all.by_name.values().map(|(secret, _)| secret).filter(|secret| secret.is_bcrypt());
        // The cost stands behind the version: `$2b$12$…`.
        all.dearest = hashes.max_by_key(|hash| hash.expose().get(4..6)).cloned();
        all
    }

    /// Lets in who presents nothing, as somebody who may do everything in the global account.
    pub(super) fn with_open_account(self) -> Self {
        let account = GLOBAL_ACCOUNT.into();
        let anybody = Known { label: None, account, permissions: None, may_connect: Ways::of(None) };
        Self { anonymous: Some(anybody), ..self }
    }

    /// Whether some of them sign.
    #[cfg(feature = "auth")]
    pub(super) fn sign(&self) -> bool {
        !self.by_key.is_empty()
    }

    /// Who a client is that presents nothing.
    pub(super) fn anonymous(&self) -> Option<Known> {
        self.anonymous.clone()
    }

    /// Who signed the nonce, or showed the certificate, or knows the password.
    pub(super) fn judge(&self, connect: &Connect, nonce: &str, arrival: Arrival<'_>) -> Finding {
        let Arrival { by_websocket, certificate } = arrival;
        if !connect.nkey.is_empty() && !self.by_key.is_empty() {
            return self.judge_signature(connect, nonce, by_websocket);
        }
        if let Certificate::Decides(shown) = certificate {
            return Finding::of(shown.and_then(|shown| self.of_certificate(shown, by_websocket)));
        }
        if [&connect.user, &connect.pass, &connect.auth_token].iter().all(|said| said.is_empty()) {
            return Finding::of(self.anonymous());
        }
        self.judge_password(connect, by_websocket)
    }

    /// The user that a certificate is for: the first that is named as one of its mail addresses, host names or URIs, or else as
    /// its subject.
    fn of_certificate(&self, shown: &PeerCertificate, by_websocket: bool) -> Option<Known> {
        let exactly = shown.names().find_map(|name| self.named(name, by_websocket));
        let user = exactly.or_else(|| self.find_named(certificate::means(&shown.subject), by_websocket));
        user.map(|(_, user)| user.clone())
    }

    /// The user of this name that may connect so.
    fn named(&self, name: &str, by_websocket: bool) -> Option<&(Secret, Known)> {
        self.by_name.get(name).filter(|(_, user)| user.may_connect.have(by_websocket))
    }

    /// The first user with such a name that may connect so.
    fn find_named(&self, is_meant: impl Fn(&str) -> bool, by_websocket: bool) -> Option<&(Secret, Known)> {
        let mut users = self.by_name.iter().filter(|(_, (_, user))| user.may_connect.have(by_websocket));
        users.find(|(name, _)| is_meant(name)).map(|(_, user)| user)
    }

    fn judge_password(&self, connect: &Connect, by_websocket: bool) -> Finding {
        let nobody = (Secret::default(), None);
        let user = self.named(&connect.user, by_websocket);
        let is_known = user.is_some();
        let (expected, user) = user.map_or(nobody, |(secret, user)| (secret.clone(), Some(user.clone())));
        match (password::judge(&expected, &connect.pass, is_known, user), &self.dearest) {
            (Finding::Refused, Some(hash)) => {
                Finding::CheckPassword(PasswordCheck::new(hash, &connect.pass, true), None)
            }
            (finding, _) => finding,
        }
    }

    #[cfg(feature = "auth")]
    fn judge_signature(&self, connect: &Connect, nonce: &str, by_websocket: bool) -> Finding {
        let user = || {
            let key = connect.nkey.parse().ok()?;
            let user = self.by_key.get(&key).filter(|user| user.may_connect.have(by_websocket))?;
            super::nkey::is_signed(&key, nonce, &connect.sig).then(|| user.clone())
        };
        Finding::of(user())
    }

    #[cfg(not(feature = "auth"))]
    fn judge_signature(&self, _connect: &Connect, _nonce: &str, _by_websocket: bool) -> Finding {
        Finding::Refused
    }
}

/// What was made ready of permissions, by where these stand: many users share the default ones.
type Compiled = BTreeMap<*const config::Permissions, Arc<Permissions>>;

impl Known {
    /// Its name or its key; none if it is anybody.
    pub(crate) fn name(&self) -> Option<&str> {
        self.label.as_deref()?.split_once(':').map(|(_, name)| name)
    }

    fn new(user: &User, compiled: &mut Compiled) -> Self {
        Self {
            label: Some(format!("{}:{}", user.identity.kind(), user.identity).into()),
            account: user.account.as_deref().unwrap_or(GLOBAL_ACCOUNT).into(),
            permissions: user.permissions.as_ref().map(|permissions| {
                let ready = compiled.entry(Arc::as_ptr(permissions));
                ready.or_insert_with(|| Arc::new(Permissions::new(permissions))).clone()
            }),
            may_connect: Ways::of(user.connection_types.as_deref()),
        }
    }
}
