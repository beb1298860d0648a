//! The lines on which onehop nodes name to each other the servers that they have routes to (wire.md 14.1).

use bytes::Bytes;

use super::rule::MAX_LINE_BYTES;
use crate::wire::{Info, KnownServer};

/// Lines that name all of these servers, as few as they may be. `own` says from whom they are.
pub(super) fn lines(own: &Info, servers: impl Iterator<Item = KnownServer>) -> Vec<Bytes> {
    let room = MAX_LINE_BYTES.saturating_sub(own.to_gossip_line().len() + LIST_BYTES);
    let line = |onehop_peers| Bytes::from(Info { onehop_peers, ..own.clone() }.to_gossip_line());
    let (mut lines, mut named, mut named_bytes) = (Vec::new(), Vec::new(), 0);
    for server in servers {
        let bytes = server_bytes(&server);
        if bytes > MAX_SERVER_BYTES {
            continue;
        }
        if named_bytes + bytes > room || named.len() == SERVERS_PER_LINE {
            lines.push(line(std::mem::take(&mut named)));
            named_bytes = 0;
        }
        named_bytes += bytes;
        named.push(server);
    }
    if !named.is_empty() {
        lines.push(line(named));
    }
    lines
}

/// What a server takes on a line, at the most.
fn server_bytes(server: &KnownServer) -> usize {
    json_bytes(&server.id) + json_bytes(&server.url) + r#"{"id":"","url":"","onehop":true},"#.len()
}

/// What a text takes in JSON, at the most.
fn json_bytes(text: &str) -> usize {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\<>&".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { 1 } else { ESCAPED_BYTES }).sum()
}

/// As many servers are heard of on one line. In a line's length there is room for about thirty.
pub(super) const SERVERS_PER_LINE: usize = 128;

/// A server that takes more than this is left out: ids and addresses that are true take half of it.
const MAX_SERVER_BYTES: usize = 400;

/// The list without the servers.
const LIST_BYTES: usize = r#","onehop_peers":[]"#.len();

/// What an escaped character takes: `\u003e`.
const ESCAPED_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: String) -> KnownServer {
        KnownServer { url: format!("nats-route://{}.example:6222/", id.len()), id, onehop: true }
    }

    /// The servers that each line names.
    fn named(own: &Info, servers: &[KnownServer]) -> Vec<Vec<KnownServer>> {
        let lines = lines(own, servers.iter().cloned());
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE_BYTES));
        let text = |line: Bytes| Info::from_json(&line["INFO ".len()..]).expect("an INFO");
        lines.into_iter().map(|line| text(line).onehop_peers).collect()
    }

    #[test]
    fn all_servers_are_named_on_lines_that_are_full_but_not_too_long() {
        let own = Info { server_id: "N".repeat(56), server_name: "<".repeat(256), ..Info::default() };
        let servers: Vec<_> = (0..1000).map(|n| server(format!("{n:056}"))).collect();
        let named = named(&own, &servers);
        assert_eq!(named.concat(), servers);
        assert!(named.len() < 1000 / 12, "{} lines", named.len());
    }

    #[test]
    fn a_server_that_takes_too_much_is_left_out() {
        let servers = ["<".repeat(60), "x".repeat(400), "fine".to_owned()].map(server);
        assert_eq!(named(&Info::default(), &servers), [[servers[2].clone()]]);
    }
}
