//! One client as the model sees it: what it said that it is, what it may do, and what it subscribed to.

use onehop::config::{Authorization, Config, Identity, Permissions, Rules, SubjectRule, User};
use onehop::wire::subject::{is_valid_filter, tokens};
use onehop::wire::{Connect, Dialect, Parser, Role};

use super::tenants::account_of;
use crate::stream::Said;
use crate::subject::matches;

pub(super) struct Session {
    pub(super) dialect: Dialect,
    pub(super) parser: Parser,
    pub(super) unread: Vec<u8>,
    /// What holds for the client: from its last CONNECT, or what holds without one.
    pub(super) connect: Connect,
    pub(super) is_connected: bool,
    /// It went without a CONNECT, as the user for that.
    pub(super) is_anonymous: bool,
    /// The account of its user.
    pub(super) account: String,
    /// What its user may do; none is everything.
    pub(super) permissions: Option<Permissions>,
    /// What it was asked to answer to and may not publish to otherwise, and how often it did or was asked again.
    pub(super) replies: Vec<(Vec<u8>, u32)>,
    pub(super) subs: Vec<Sub>,
}

#[derive(Clone, PartialEq)]
pub(super) struct Sub {
    /// Grows from one to the next, whoever subscribes.
    pub(super) number: u64,
    pub(super) sid: Vec<u8>,
    pub(super) subject: Vec<u8>,
    /// Empty unless it is a member of a group.
    pub(super) queue: Vec<u8>,
    pub(super) max: Option<u64>,
    pub(super) delivered: u64,
}

/// The client did what ends its connection.
#[derive(Debug)]
pub(super) struct Fatal;

impl Session {
    /// A client that just came.
    pub(super) fn new(config: &Config) -> Self {
        let dialect = Dialect {
            role: Role::Client,
            max_control_line: config.max_control_line,
            max_payload: Some(config.max_payload),
            connect_only: config.authorization != Authorization::None && config.no_auth_user.is_none(),
            headers: false,
            dedicated: false,
            leaf_unsub_origin: false,
        };
        Self {
            dialect,
            parser: Parser::new(),
            unread: Vec::new(),
            connect: Connect { verbose: true, pedantic: true, echo: true, ..Connect::default() },
            is_connected: false,
            is_anonymous: false,
            account: account_of(None).to_owned(),
            permissions: None,
            replies: Vec::new(),
            subs: Vec::new(),
        }
    }

    pub(super) fn ok(&self) -> Option<Said> {
        self.connect.verbose.then_some(Said::Ok)
    }

    pub(super) fn handle_connect(&mut self, json: &[u8], config: &Config) -> Result<(), Fatal> {
        let connect =
            if self.is_connected { self.connect.updated_by(json) } else { Connect::from_json(json) };
        let connect = connect.map_err(|_| Fatal)?;
        let credentials = [&connect.user, &connect.pass, &connect.auth_token];
        let names_none = credentials.iter().all(|credential| credential.is_empty());
        let user = user_of(config, &connect);
        let is_authorized = match &config.authorization {
            Authorization::None => true,
            _ if self.is_connected && names_none => true,
            Authorization::Token(token) => token.expose() == connect.auth_token,
            // Nobody is there who would accept anybody.
            Authorization::External => false,
            Authorization::User { user, password } => {
                *user == connect.user && password.expose() == connect.pass
            }
            Authorization::Users(_) => user.is_some(),
        };
        let headers = connect.headers && !config.no_header_support;
        let is_refused = !connect.account.is_empty()
            || connect.new_account
            || !matches!(connect.protocol, 0 | 1)
            || connect.no_responders && !headers;
        if !is_authorized || is_refused {
            return Err(Fatal);
        }
        if self.is_connected || self.is_anonymous {
            // Since 2.14 a second CONNECT drops what was subscribed to.
            self.subs.clear();
        }
        if !(self.is_connected && names_none) {
            self.become_user(user);
        }
        self.is_connected = true;
        self.dialect.connect_only = false;
        self.dialect.headers = headers;
        let Connect { verbose, pedantic, echo, no_responders, protocol, .. } = connect;
        self.connect =
            Connect { verbose, pedantic, echo, headers, no_responders, protocol, ..Connect::default() };
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        number: u64,
        subject: &[u8],
        queue: &[u8],
        sid: &[u8],
        config: &Config,
        most_in_account: Option<usize>,
    ) -> Option<Said> {
        if queue == b"_sys_" || !self.may_subscribe(subject) {
            return Some(Said::Err);
        }
        let max_tokens = usize::from(config.max_subject_tokens);
        let is_beyond_limits = max_tokens > 0 && tokens(subject).count() > max_tokens
            || config.max_subscriptions > 0 && self.subs.len() >= config.max_subscriptions
            || most_in_account.is_some_and(|most| self.subs.len() >= most);
        if is_beyond_limits {
            return Some(Said::Err);
        }
        // A name that is taken keeps its subscription (wire.md 1.4).
        if self.subs.iter().all(|sub| sub.sid != sid) {
            if !is_valid_filter(subject) {
                return Some(Said::Err);
            }
            let [subject, queue, sid] = [subject, queue, sid].map(<[u8]>::to_vec);
            self.subs.push(Sub { number, sid, subject, queue, max: None, delivered: 0 });
        }
        self.ok()
    }

    /// It does without a CONNECT where there is a user for that.
    pub(super) fn begin_anonymous(&mut self, config: &Config) {
        if config.no_auth_user.is_some() {
            self.is_anonymous = true;
            self.become_user(user_of(config, &Connect::default()));
        }
    }

    fn become_user(&mut self, user: Option<&User>) {
        account_of(user).clone_into(&mut self.account);
        self.permissions = user.and_then(|user| user.permissions.as_deref().cloned());
        self.replies.clear();
    }

    pub(super) fn may_publish(&self, subject: &[u8]) -> bool {
        self.permissions.as_ref().is_none_or(|own| is_allowed(&own.publish, subject))
    }

    fn may_subscribe(&self, subject: &[u8]) -> bool {
        self.permissions.as_ref().is_none_or(|own| is_allowed(&own.subscribe, subject))
    }

    pub(super) fn is_hidden(&self, subject: &[u8]) -> bool {
        self.permissions.as_ref().is_some_and(|own| is_denied(&own.subscribe, subject))
    }

    /// It is sent a request.
    pub(super) fn is_asked(&mut self, reply: &[u8]) {
        let responds = self.permissions.as_ref().is_some_and(|own| own.responses.is_some());
        if responds && !self.may_publish(reply) && !self.uses_reply(reply) {
            self.replies.push((reply.to_vec(), 0));
        }
    }

    /// Uses a reply that it was asked to answer to; one that is used up is forgotten.
    pub(super) fn uses_reply(&mut self, reply: &[u8]) -> bool {
        let Some(own) = &self.permissions else { return false };
        let max = own.responses.and_then(|rule| rule.max);
        let Some(at) = self.replies.iter().position(|(known, _)| known == reply) else { return false };
        self.replies[at].1 += 1;
        let is_left = max.is_none_or(|max| self.replies[at].1 <= max);
        if !is_left {
            self.replies.remove(at);
        }
        is_left
    }

    pub(super) fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        self.subs.retain_mut(|sub| {
            if sub.sid != sid {
                return true;
            }
            sub.max = max;
            max.is_some_and(|max| sub.delivered < max)
        });
    }
}

/// The user that presents this, or nothing where there is one for that.
fn user_of<'a>(config: &'a Config, connect: &Connect) -> Option<&'a User> {
    let Authorization::Users(users) = &config.authorization else { return None };
    let is_called = |user: &&User, called: &str| user.identity.to_string() == called;
    let presented = [&connect.user, &connect.pass, &connect.auth_token];
    if presented.iter().all(|credential| credential.is_empty()) {
        let name = config.no_auth_user.as_ref()?;
        return users.iter().find(|user| is_called(user, name));
    }
    users.iter().find(|user| {
        let Identity::Password { password, .. } = &user.identity else { return false };
        is_called(user, &connect.user) && password.expose() == connect.pass
    })
}

fn is_allowed(rules: &Rules, subject: &[u8]) -> bool {
    let is_listed = |list: &[_]| list.iter().any(|rule| is_about(rule, subject));
    rules.allow.as_deref().is_none_or(is_listed) && !is_denied(rules, subject)
}

fn is_denied(rules: &Rules, subject: &[u8]) -> bool {
    rules.deny.iter().any(|rule| is_about(rule, subject))
}

fn is_about(rule: &SubjectRule, subject: &[u8]) -> bool {
    matches(rule.subject.as_bytes(), subject)
}
