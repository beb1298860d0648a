//! Who may come in, where there are several users.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Permissions, Secret};
use crate::nkey::UserKey;

/// One of several users (wire.md 1.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who it is, and how that is proved.
    pub identity: Identity,
    /// The account that it belongs to; `None` is the global one.
    pub account: Option<String>,
    /// What it may do; `None` is everything.
    pub permissions: Option<Arc<Permissions>>,
    /// How its clients may be connected; `None` is in any way.
    pub connection_types: Option<Vec<ConnectionType>>,
}

/// Who a user is. No two users have the same name, nor the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It knows a password.
    Password {
        /// Its name.
        name: String,
        /// The password in plain text, or its bcrypt hash.
        password: Secret,
    },
    /// It signs what INFO gives it to sign.
    Nkey(UserKey),
}

/// A way in which clients are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionType {
    /// By TCP.
    Standard,
    /// By WebSocket.
    Websocket,
    /// As a leaf node.
    Leafnode,
    /// As a leaf node by WebSocket.
    LeafnodeWs,
    /// By MQTT.
    Mqtt,
    /// By MQTT in WebSocket.
    MqttWs,
    /// From within the process of the server.
    InProcess,
}

impl User {
    /// The user of this name and password, who may do everything in the global account.
    pub fn with_password(name: &str, password: &str) -> Self {
        Self::new(Identity::Password { name: name.to_owned(), password: password.into() })
    }

    /// The user of this key, who may do everything in the global account.
    pub fn with_nkey(key: UserKey) -> Self {
        Self::new(Identity::Nkey(key))
    }

    /// The same in this account.
    #[must_use]
    pub fn in_account(self, account: &str) -> Self {
        Self { account: Some(account.to_owned()), ..self }
    }

    fn new(identity: Identity) -> Self {
        Self { identity, account: None, permissions: None, connection_types: None }
    }
}

impl Identity {
    /// What its text is of: the name of a user, or an nkey.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Password { .. } => "user",
            Self::Nkey(_) => "nkey",
        }
    }

    /// What it proves itself with, if that is a password.
    pub(super) fn password(&self) -> Option<&Secret> {
        match self {
            Self::Password { password, .. } => Some(password),
            Self::Nkey(_) => None,
        }
    }
}

/// The user's name, or its key.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { name, .. } => f.write_str(name),
            Self::Nkey(key) => key.fmt(f),
        }
    }
}

/// A text that names no type of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoConnectionType;

/// In any case of letters.
impl FromStr for ConnectionType {
    type Err = NoConnectionType;

    fn from_str(text: &str) -> Result<Self, NoConnectionType> {
        Ok(match text.to_uppercase().as_str() {
            "STANDARD" => Self::Standard,
            "WEBSOCKET" => Self::Websocket,
            "LEAFNODE" => Self::Leafnode,
            "LEAFNODE_WS" => Self::LeafnodeWs,
            "MQTT" => Self::Mqtt,
            "MQTT_WS" => Self::MqttWs,
            "IN_PROCESS" => Self::InProcess,
            _ => return Err(NoConnectionType),
        })
    }
}

impl fmt::Display for NoConnectionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no type of connections")
    }
}

impl std::error::Error for NoConnectionType {}
