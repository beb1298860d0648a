//! `INFO`: what a server says about itself, or on routes also about another (wire.md 1.2, 2.4).

use serde::{Deserialize, Serialize};

use super::json::{self, InvalidJson, is_default};

/// The fields of `INFO` that are sent or heeded, in the order in which the Go server writes them.
///
/// A field that is empty, zero or false means the same as an absent one and is left out, except where the Go server
/// always writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// The identity of the server that it is about. Empty only while an account moves to its own route
    /// (wire.md 4.5).
    pub server_id: String,
    /// Its name, unique in the cluster.
    pub server_name: String,
    /// Its version, without a `v`.
    pub version: String,
    /// The level of the protocol: of the client protocol to clients, of the route protocol to routes.
    pub proto: i32,
    /// A short hash of the source; clients only.
    #[serde(skip_serializing_if = "is_default")]
    pub git_commit: String,
    /// The toolchain.
    pub go: String,
    /// The host on which it listens, or the one to be used instead.
    pub host: String,
    /// The port on which it listens, or the one to be used instead.
    pub port: u16,
    /// It supports headers. On a route this has the final word.
    pub headers: bool,
    /// Credentials are needed.
    #[serde(skip_serializing_if = "is_default")]
    pub auth_required: bool,
    /// TLS is needed.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_required: bool,
    /// The connecting side has to show a certificate.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_verify: bool,
    /// TLS is possible.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_available: bool,
    /// Most bytes of a message; negative for no limit.
    pub max_payload: i64,
    /// JetStream is enabled.
    #[serde(skip_serializing_if = "is_default")]
    pub jetstream: bool,
    /// Routes: the URL at which the server can be reached, `nats-route://host:port/`.
    #[serde(skip_serializing_if = "is_default")]
    pub ip: String,
    /// Clients: the number of the connection.
    #[serde(skip_serializing_if = "is_default")]
    pub client_id: u64,
    /// Clients: the address that the connection comes from.
    #[serde(skip_serializing_if = "is_default")]
    pub client_ip: String,
    /// What is to be signed to authenticate.
    #[serde(skip_serializing_if = "is_default")]
    pub nonce: String,
    /// The name of the cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: String,
    /// Routes: the name of the cluster was made up and gives way to another.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_dynamic: bool,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "is_default")]
    pub domain: String,
    /// Where clients can connect, `host:port`.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_urls: Vec<String>,
    /// Where WebSocket clients can connect.
    #[serde(skip_serializing_if = "is_default")]
    pub ws_connect_urls: Vec<String>,
    /// The server is about to stop.
    #[serde(skip_serializing_if = "is_default")]
    pub ldm: bool,
    /// Routes: the compression mode.
    #[serde(skip_serializing_if = "is_default")]
    pub compression: String,
    /// Clients: this is the `INFO` after `CONNECT`.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_info: bool,
    /// Clients, after `CONNECT`: the account.
    #[serde(skip_serializing_if = "is_default")]
    pub remote_account: String,
    /// Clients, after `CONNECT`: it is the system account.
    #[serde(skip_serializing_if = "is_default")]
    pub acc_is_sys: bool,
    /// The level of the JetStream API.
    #[serde(skip_serializing_if = "is_default")]
    pub api_lvl: i32,
    /// A public curve key.
    #[serde(skip_serializing_if = "is_default")]
    pub xkey: String,
    /// Routes: what the sender subscribes to at its peers.
    #[serde(skip_serializing_if = "is_default")]
    pub import: Option<Permissions>,
    /// Routes: what peers may subscribe to at the sender.
    #[serde(skip_serializing_if = "is_default")]
    pub export: Option<Permissions>,
    /// Routes: it understands `LS+` and `LMSG` with the leaf's cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub lnoc: bool,
    /// Routes: it understands `LS-` with the leaf's cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub lnocu: bool,
    /// Routes: it understands `_` in place of the leaf's cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub ln: bool,
    /// Routes: how many pooled connections are wanted; zero for no pooling.
    #[serde(skip_serializing_if = "is_default")]
    pub route_pool_size: i32,
    /// Routes: the pool slot of the connection, from the dialling side.
    #[serde(skip_serializing_if = "is_default")]
    pub route_pool_idx: i32,
    /// Routes: the account that the connection is dedicated to.
    #[serde(skip_serializing_if = "is_default")]
    pub route_account: String,
    /// Routes: an account is moved to its own connection (wire.md 4.5).
    #[serde(skip_serializing_if = "is_default")]
    pub route_acc_add_reqid: String,
    /// Routes: whether to tell others; 0 as usual, 1 never, 2 always (wire.md 3.3).
    #[serde(skip_serializing_if = "is_default")]
    pub gossip_mode: i32,
    /// Routes: set if this is about gateways, and to be ignored.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// Routes: where leaf nodes can connect.
    #[serde(skip_serializing_if = "is_default")]
    pub leafnode_urls: Vec<String>,
    /// Routes between onehop nodes: the level of what they understand beyond NATS; zero for other servers, which ignore
    /// this field and those below.
    #[serde(skip_serializing_if = "is_default")]
    pub onehop: i32,
    /// Routes between onehop nodes: a digest of the servers that the sender has routes to, itself included.
    #[serde(skip_serializing_if = "is_default")]
    pub onehop_digest: String,
    /// Routes between onehop nodes: servers that the sender has routes to.
    #[serde(skip_serializing_if = "is_default")]
    pub onehop_peers: Vec<KnownServer>,
    /// Routes between onehop nodes: the tag by which members of queue groups at the sender are near, `<key>:<value>`. It is said
    /// of the sender alone, once, when a route begins.
    #[serde(skip_serializing_if = "is_default")]
    pub onehop_affinity: String,
    /// Routes between onehop nodes: about a circuit (wire.md 14.7).
    #[serde(skip_serializing_if = "is_default")]
    pub onehop_circuit: Option<CircuitWord>,
}

/// What onehop nodes say of a circuit to each other, over the routes that they have: a route whose bytes pass through a third node
/// (wire.md 14.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum CircuitWord {
    /// Whoever hears this is asked to let a circuit pass from the sender to another server.
    Open {
        /// Its id.
        server: String,
    },
    /// A circuit is to be joined, by a connection with whoever says this.
    Join {
        /// The id of the server at the other end.
        server: String,
        /// Where that is reached by those who can reach it, `nats-route://host:port/`.
        url: String,
        /// What the connection is known by, once.
        token: String,
        /// Whoever hears this asked for it, and has the part of the one who dials.
        begins: bool,
        /// Whoever hears this makes the connection; else it is made by the one who says this.
        dials: bool,
    },
    /// There is no such circuit.
    Refuse {
        /// The id of the server that it was to lead to.
        server: String,
        /// Why not, for logs.
        why: String,
    },
    /// On a circuit, first: who shows this is the one that says it, and may take the place of the circuit.
    Heir {
        /// What is to be shown.
        token: String,
    },
    /// In the INFO of whoever dialed: the connection is to take the place of a circuit.
    Replace {
        /// What the other end of that said.
        token: String,
    },
    /// It does.
    Replaced {
        /// What the one who dialed said on it.
        token: String,
    },
    /// On a circuit: nothing more is said on it. What follows is said on the connection that takes its place.
    Last,
    /// In the place of a circuit: all that was said on that has been heard.
    Heard,
    /// What newer nodes say.
    #[serde(other)]
    Unknown,
}

/// A server that another has a route to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownServer {
    /// Its id.
    pub id: String,
    /// Where its routes go, `nats-route://host:port/`.
    pub url: String,
    /// Whether it is a onehop node.
    #[serde(skip_serializing_if = "is_default")]
    pub onehop: bool,
}

/// Subjects that are allowed (all, if none is named) and denied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Permissions {
    /// Filters of which one has to match, if there are any.
    #[serde(skip_serializing_if = "is_default")]
    pub allow: Vec<String>,
    /// Filters of which none may match.
    #[serde(skip_serializing_if = "is_default")]
    pub deny: Vec<String>,
}

/// Where clients can connect, `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientUrls {
    /// Most of them.
    pub plain: Vec<String>,
    /// Those that come by WebSocket.
    pub websocket: Vec<String>,
}

impl ClientUrls {
    /// Those for one of the two kinds of clients.
    pub fn of(&self, by_websocket: bool) -> &Vec<String> {
        if by_websocket { &self.websocket } else { &self.plain }
    }
}

impl Info {
    /// What a server says of where its clients can connect.
    pub fn urls_of(&self, by_websocket: bool) -> &[String] {
        if by_websocket { &self.ws_connect_urls } else { &self.connect_urls }
    }

    /// Whether it says so at all.
    pub fn has_urls(&self) -> bool {
        !self.connect_urls.is_empty() || !self.ws_connect_urls.is_empty()
    }

    /// Reads the JSON text of an `INFO`. Unknown keys are ignored whatever their value.
    ///
    /// # Errors
    ///
    /// It is no JSON object, or a known key has a value of the wrong type.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidJson> {
        json::read(text)
    }

    /// The line as a server sends it about itself, with the blank that the Go server puts before CR LF.
    pub fn to_line(&self) -> Vec<u8> {
        self.line(b" \r\n")
    }

    /// The line as a server sends it about another: without the blank (wire.md 1.1).
    pub fn to_gossip_line(&self) -> Vec<u8> {
        self.line(b"\r\n")
    }

    fn line(&self, end: &[u8]) -> Vec<u8> {
        let mut line = b"INFO ".to_vec();
        json::write(&mut line, self);
        line.extend_from_slice(end);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_CLIENT: &str = concat!(
        r#"INFO {"server_id":"NCKA","server_name":"P","version":"2.15.1","proto":1,"git_commit":"b2fd3ef","go":"go1.27.2","#,
        r#""host":"127.0.0.1","port":17422,"headers":true,"auth_required":true,"max_payload":1000,"client_id":335,"#,
        r#""client_ip":"127.0.0.1","cluster":"C","connect_info":true,"remote_account":"$G","api_lvl":5,"xkey":"XDKX"} "#,
        "\r\n"
    );

    const TO_ROUTE: &str = concat!(
        r#"INFO {"server_id":"NBEF","server_name":"Q","version":"2.15.1","proto":3,"go":"go1.27.2","host":"127.0.0.1","#,
        r#""port":17499,"headers":true,"auth_required":true,"max_payload":1048576,"ip":"nats-route://127.0.0.1:17499/","#,
        r#""nonce":"hBbc3mugJpmxFO8","cluster":"C","connect_urls":["127.0.0.1:17432"],"compression":"not supported","#,
        r#""import":{"allow":["imp.\u003e"],"deny":["a\u003cb\u0026c"]},"export":{"allow":["exp.\u003e"]},"lnoc":true,"#,
        r#""lnocu":true,"ln":true,"route_pool_size":3,"route_account":"$SYS","leafnode_urls":["127.0.0.1:17434"]} "#,
        "\r\n"
    );

    fn read(line: &str) -> Info {
        Info::from_json(&line.as_bytes()["INFO ".len()..]).expect("an INFO")
    }

    #[test]
    fn lines_of_the_go_server_are_written_as_they_were_read() {
        for line in [TO_CLIENT, TO_ROUTE] {
            assert_eq!(String::from_utf8(read(line).to_line()).expect("UTF-8"), line);
        }
    }

    #[test]
    fn permissions_are_read() {
        let import = Permissions { allow: vec!["imp.>".to_owned()], deny: vec!["a<b&c".to_owned()] };
        assert_eq!(read(TO_ROUTE).import, Some(import));
        assert_eq!(read(TO_CLIENT).import, None);
    }

    #[test]
    fn gossip_has_no_blank_at_the_end() {
        let line = read(TO_ROUTE).to_gossip_line();
        assert!(line.ends_with(b"}\r\n"));
    }

    #[test]
    fn unknown_fields_are_ignored_whatever_their_type() {
        let info = Info::from_json(br#"{"x":{"a":[1,null]},"gateway_url":5,"Server_ID":"N","ip":null}"#);
        assert_eq!(info.expect("an INFO"), Info { server_id: "N".to_owned(), ..Info::default() });
    }

    #[test]
    fn known_fields_of_the_wrong_type_are_errors() {
        for text in [r#"{"server_id":1}"#, r#"{"port":"1"}"#, r#"{"port":70000}"#, r#"{"ldm":1}"#, "[]", ""] {
            assert!(Info::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
