//! `CONNECT`: what the connecting side says about itself (wire.md 1.3, 2.5).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::json::{self, InvalidJson, is_default};

/// The fields of `CONNECT` from clients and from dialling servers, those of servers first and in the Go server's order.
///
/// The defaults are those of absent keys: `verbose`, `pedantic` and `echo` are on. An empty string is the same as none.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connect {
    /// The client receives its own messages.
    pub echo: bool,
    /// Every operation is to be answered with `+OK`.
    pub verbose: bool,
    /// Subjects of publishes are to be checked.
    pub pedantic: bool,
    /// The user.
    #[serde(skip_serializing_if = "is_default")]
    pub user: String,
    /// The user's password.
    #[serde(skip_serializing_if = "is_default")]
    pub pass: String,
    /// TLS is in use, or expected.
    pub tls_required: bool,
    /// Headers are understood.
    pub headers: bool,
    /// The client's name; on a route the dialling server's id.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Routes: the name of the cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: String,
    /// Routes: that name was made up.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_dynamic: bool,
    /// Routes: see [`Info::lnoc`](super::Info::lnoc).
    #[serde(skip_serializing_if = "is_default")]
    pub lnoc: bool,
    /// Routes: see [`Info::ln`](super::Info::ln).
    #[serde(skip_serializing_if = "is_default")]
    pub ln: bool,
    /// Set by gateways, which are refused.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway: String,
    /// A token instead of user and password.
    #[serde(skip_serializing_if = "is_default")]
    pub auth_token: String,
    /// A public user key.
    #[serde(skip_serializing_if = "is_default")]
    pub nkey: String,
    /// The nonce of `INFO` signed with it, in base 64.
    #[serde(skip_serializing_if = "is_default")]
    pub sig: String,
    /// A user JWT.
    #[serde(skip_serializing_if = "is_default")]
    pub jwt: String,
    /// The client library. It marks a client that got to the route port.
    #[serde(skip_serializing_if = "is_default")]
    pub lang: String,
    /// The client library's version.
    #[serde(skip_serializing_if = "is_default")]
    pub version: String,
    /// The level of the client protocol, 0 or 1; anything else is an error of the sender.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: i64,
    /// The client wants to hear when a request has no responders; needs `headers`.
    #[serde(skip_serializing_if = "is_default")]
    pub no_responders: bool,
    /// Obsolete; not empty is an authorization violation.
    #[serde(skip_serializing_if = "is_default")]
    pub account: String,
    /// Obsolete; true is an authorization violation.
    #[serde(skip_serializing_if = "is_default")]
    pub new_account: bool,
    /// The signature of a trusted proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_sig: String,
    /// Routes between onehop nodes: the connection is part of a circuit, which has this token (wire.md 14.7). Nothing else counts
    /// then.
    #[serde(skip_serializing_if = "is_default")]
    pub onehop_circuit: String,
}

impl Default for Connect {
    fn default() -> Self {
        Connect {
            echo: true,
            verbose: true,
            pedantic: true,
            user: String::new(),
            pass: String::new(),
            tls_required: false,
            headers: false,
            name: String::new(),
            cluster: String::new(),
            cluster_dynamic: false,
            lnoc: false,
            ln: false,
            gateway: String::new(),
            auth_token: String::new(),
            nkey: String::new(),
            sig: String::new(),
            jwt: String::new(),
            lang: String::new(),
            version: String::new(),
            protocol: 0,
            no_responders: false,
            account: String::new(),
            new_account: false,
            proxy_sig: String::new(),
            onehop_circuit: String::new(),
        }
    }
}

impl Connect {
    /// Reads the JSON text of a `CONNECT`. Keys may be in any case, and of several the last counts; `null` is the same as
    /// an absent key; unknown keys are ignored.
    ///
    /// # Errors
    ///
    /// It is no JSON object, or a known key has a value of the wrong type.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidJson> {
        json::read(text)
    }

    /// Reads the JSON text of a further `CONNECT` on the same connection, where what it does not name stays as it was.
    ///
    /// # Errors
    ///
    /// As for [`Connect::from_json`].
    pub fn updated_by(&self, text: &[u8]) -> Result<Self, InvalidJson> {
        json::read_over(self, text)
    }

    /// The whole line.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = b"CONNECT ".to_vec();
        json::write(&mut line, self);
        line.extend_from_slice(b"\r\n");
        line
    }
}

/// Shows who it is, and no secret.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("name", &self.name)
            .field("user", &self.user)
            .field("cluster", &self.cluster)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Connect {
        Connect::from_json(text.as_bytes()).expect("a CONNECT")
    }

    #[test]
    fn absent_keys_leave_verbose_pedantic_and_echo_on() {
        for text in ["{}", "null", r#"{"verbose":null,"echo":null,"name":null}"#, r#"{"xyz":{"a":[1]}}"#] {
            let connect = read(text);
            assert!(connect.verbose && connect.pedantic && connect.echo, "{text}");
            assert_eq!(connect, Connect::default());
        }
    }

    #[test]
    fn keys_count_in_any_case_and_the_last_one_wins() {
        assert!(!read(r#"{"Pedantic":false}"#).pedantic);
        assert!(read(r#"{"verbose":false,"VERBOSE":true}"#).verbose);
        assert!(!read(r#"{"verbose":true,"VERBOSE":false}"#).verbose);
        assert!(!read(r#"{"VERBOSE":true,"verbose":false}"#).verbose);
    }

    #[test]
    fn values_of_the_wrong_type_are_errors() {
        let texts = [
            r#"{"verbose":1}"#,
            r#"{"name":5}"#,
            r#"{"user":true}"#,
            r#"{"protocol":"1"}"#,
            r#"{"protocol":1.0}"#,
            r#"{"protocol":1e0}"#,
            r#"{"protocol":99999999999999999999}"#,
            "{\"name\":\"a\tb\"}",
            r#"{"verbose":true} x"#,
            "true",
            "",
        ];
        for text in texts {
            assert!(Connect::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_protocol_level_is_read_so_that_it_can_be_answered() {
        assert_eq!(read(r#"{"protocol":-1}"#).protocol, -1);
        assert_eq!(read(r#"{"protocol":2}"#).protocol, 2);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        let connect = Connect::from_json(b"{\"name\":\"\xff\"}").expect("a CONNECT");
        assert_eq!(connect.name, "\u{fffd}");
    }

    #[test]
    fn the_line_of_a_dialling_server_is_that_of_the_go_server() {
        let connect = Connect {
            verbose: false,
            pedantic: false,
            user: "u".to_owned(),
            pass: "p".to_owned(),
            headers: true,
            name: "NBEF".to_owned(),
            cluster: "C".to_owned(),
            lnoc: true,
            ln: true,
            ..Connect::default()
        };
        let expected = concat!(
            r#"CONNECT {"echo":true,"verbose":false,"pedantic":false,"user":"u","pass":"p","tls_required":false,"#,
            r#""headers":true,"name":"NBEF","cluster":"C","lnoc":true,"ln":true}"#,
            "\r\n"
        );
        assert_eq!(String::from_utf8(connect.to_line()).expect("UTF-8"), expected);
        assert_eq!(read(&expected["CONNECT ".len()..]), connect);
    }

    #[test]
    fn secrets_are_not_shown() {
        let connect =
            read(r#"{"user":"u","pass":"SECRET","auth_token":"SECRET","jwt":"SECRET","sig":"SECRET"}"#);
        assert!(!format!("{connect:?}").contains("SECRET"));
    }
}
