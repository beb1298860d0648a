//! The `websocket` block.

use super::*;
use crate::config::WebSocketConfig;

fn websocket(text: &str) -> WebSocketConfig {
    config(&format!("websocket {{ port: 8080, {text} }}")).websocket.expect("a port")
}

fn fault(text: &str) -> String {
    match read(text) {
        Ok(settings) => settings.config.validate().expect_err(text).to_string(),
        Err(fault) => fault,
    }
}

#[test]
fn every_field_of_the_websocket_block_is_read() {
    let read = websocket(
        "host: '127.0.0.1', advertise: 'a.example:443', no_tls: true, same_origin: yes, compression: true\n\
         allowed_origins: ['http://a.example', 'HTTPS://b.example:444'], handshake_timeout: '3s', ping_interval: 10s\n\
         headers { X-B: '2', X-A: '1' }",
    );
    let expected = WebSocketConfig {
        host: "127.0.0.1".into(),
        port: Port::Fixed(8080),
        advertise: Some(HostPort { host: "a.example".into(), port: Some(443) }),
        tls: None,
        no_tls: true,
        same_origin: true,
        allowed_origins: ["http://a.example", "https://b.example:444"]
            .map(|text| text.parse().unwrap())
            .to_vec(),
        compression: true,
        handshake_timeout: Duration::from_secs(3),
        headers: [("X-A", "1"), ("X-B", "2")].map(|(name, value)| (name.into(), value.into())).to_vec(),
        ping_interval: Some(Duration::from_secs(10)),
    };
    assert_eq!(read, expected);
    assert_eq!(websocket(""), WebSocketConfig { port: Port::Fixed(8080), ..WebSocketConfig::default() });
    assert_eq!(websocket("origin: 'http://a'").allowed_origins, ["http://a".parse().unwrap()]);
    let listen = config("ws { listen: '127.0.0.1:-1' }").websocket.expect("a port");
    assert_eq!((&*listen.host, listen.port), ("127.0.0.1", Port::Any));
}

#[test]
fn what_is_wrong_with_the_websocket_block_is_said() {
    for (text, expected) in [
        ("ws: 3", "x.conf:1:0: Expected websocket to be a map, got int64"),
        ("websocket { port: 80 }", "websocket requires TLS configuration"),
        ("websocket { port: 80, foo: 1 }", "x.conf:1:22: unknown field \"foo\""),
        (
            "websocket { origins: ['null'] }",
            "x.conf:1:12: unable to parse allowed origin: \"null\" is not a scheme, a host and perhaps a port, as in \
             https://example.com",
        ),
        ("websocket { headers { X: 1 } }", "x.conf:1:12: error parsing header key X: unsupported type int64"),
        ("websocket { port: 80, no_tls: true, headers { 'a b': c } }", "websocket header \"a b\" is none"),
        (
            "websocket { port: 80, no_tls: true, headers { a: \"b\\r\\nc\" } }",
            "websocket header \"a\" is none",
        ),
        ("websocket { jwt_cookie: a }", "x.conf:1:12: field \"jwt_cookie\" is not supported yet"),
        ("websocket { user_cookie: a }", "x.conf:1:12: field \"user_cookie\" is not supported yet"),
        ("websocket { no_auth_user: a }", "x.conf:1:12: field \"no_auth_user\" is not supported yet"),
        (
            "websocket { authorization { user: a } }",
            "x.conf:1:12: field \"authorization\" is not supported yet",
        ),
    ] {
        assert_eq!(fault(text), expected, "{text}");
    }
}
