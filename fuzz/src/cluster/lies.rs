//! What a peer writes who lies, or who is no server at all.

use super::node::host;
use crate::Choices;

/// What no server would write, or not at this moment. The nodes' ids are `ids`.
pub(super) fn lie(ids: &[String], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut lines = Vec::new();
    for _ in 0..1 + choices.below(4) {
        let id = match choices.below(4) {
            0 => "NPEER",
            1 => "NOTHER",
            _ => &ids[choices.below(ids.len())],
        };
        match choices.below(8) {
            0 => lines.extend_from_slice(choices.bytes()),
            1 | 2 => lines.extend(hello(id, choices)),
            3 | 4 => lines.extend(info(id, choices)),
            _ => lines.extend_from_slice(choices.pick(LIES)),
        }
    }
    lines
}

/// CONNECT and INFO of a dialing server.
fn hello(id: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let cluster = choices.pick(&["C", "C", "D", "_", ""]);
    let connect = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true,\"name\":\"{id}\",\"cluster\":\"{cluster}\",\"cluster_dynamic\":{}}}\r\n",
        choices.flag()
    );
    [connect.into_bytes(), info(id, choices)].concat()
}

fn info(id: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let line = format!(
        "INFO {{\"server_id\":\"{id}\",\"server_name\":\"{}\",\"cluster\":\"{}\",\"port\":{},\"ip\":\"{}\",\
         \"headers\":true,\"lnocu\":{},\"route_pool_size\":{},\"route_pool_idx\":{},\"gossip_mode\":{}{}}}\r\n",
        choices.pick(&["x", "n0", id]),
        choices.pick(&["C", "C", "", "D"]),
        choices.pick(&[6222, 0, 65535]),
        match choices.below(4) {
            0 => String::new(),
            1 => "nats-route://[::1/".to_owned(),
            _ => format!("nats-route://{}:6222/", host(choices.below(6))),
        },
        choices.flag(),
        choices.pick(&[3, 0, -1, 300, i32::MAX]),
        choices.pick(&[0, 0, 1, 2, -1, 299]),
        choices.pick(&[0, 1, 2, 9]),
        choices.pick(&[
            "",
            "",
            ",\"route_account\":\"$SYS\"",
            ",\"route_account\":\"$G\"",
            ",\"ldm\":true",
            ",\"route_acc_add_reqid\":\"x\"",
            ",\"gateway\":\"g\"",
            ",\"connect_urls\":[\"a:1\"]",
            ",\"cluster_dynamic\":true",
        ]),
    );
    line.into_bytes()
}

const LIES: &[&[u8]] = &[
    b"PING\r\n",
    b"PONG\r\n",
    b"RS+ $G a\r\n",
    b"RS+ $G a q 5\r\n",
    b"RS+ $G a q 0\r\n",
    b"RS+ a q 5\r\n",
    b"RS- $G a\r\n",
    b"RS- $G a q\r\n",
    b"LS+ leaf $G a q 1\r\n",
    b"LS- leaf $G a q\r\n",
    b"LS+ leaf $G a\r\n",
    b"RMSG $G a 1\r\nx\r\n",
    b"RMSG $G a | q r 1\r\nx\r\n",
    b"RMSG $G a + b q 1\r\nx\r\n",
    b"HMSG $G a 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
    b"LMSG leaf $G a 0 1\r\nx\r\n",
    b"RMSG $SYS a 1\r\nx\r\n",
    b"RMSG a 1\r\nx\r\n",
    b"-ERR 'no'\r\n",
    b"A+ $G\r\n",
    b"PUB a 1\r\nx\r\n",
    b"INFO {}\r\n",
    b"INFO [\r\n",
    b"RS+ $G a..b\r\n",
    b"RMSG $G a 999999999\r\n",
];
