//! Shows what differs from run to run in messages between accounts in one way (wire.md 1.12): the replies that servers make up,
//! and what they tell of who asks.

/// How the line begins that tells of who asks, with the end of the one before it or its last byte that is left.
const REQUEST_INFO: &[u8] = b"\nNats-Request-Info: {";

/// How replies begin that servers make up.
const REPLY: &[u8] = b"_R_.";

/// What stands for each of the two words behind that, which are as long.
const WORD: &[u8] = b"??????";

/// The bytes with `_R_.??????.??????` for each such reply, and `_R_.??????` for what they begin with.
pub fn replies(bytes: &[u8]) -> Vec<u8> {
    let mut masked = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = find(&masked[at..], REPLY) {
        at += found + REPLY.len();
        while let Some(word) = masked.get_mut(at..at + WORD.len())
            && word.iter().all(u8::is_ascii_alphanumeric)
        {
            word.copy_from_slice(WORD);
            at += WORD.len();
            match masked.get(at) {
                Some(b'.') => at += 1,
                _ => break,
            }
        }
    }
    masked
}

/// The header with `0` for the numbers in what is told of who asks, and an empty text for the time.
pub fn request_info(header: &[u8]) -> Vec<u8> {
    // A requester may have written such a line, too; that of the server comes behind it.
    let last = header.windows(REQUEST_INFO.len()).rposition(|window| window == REQUEST_INFO);
    let Some(start) = last else { return header.to_vec() };
    let length = header[start..].iter().position(|&byte| byte == b'\r').unwrap_or(header.len() - start);
    let info = String::from_utf8_lossy(&header[start..start + length]).into_owned();
    let info = without(&info, "\"rtt\":", |c| c.is_ascii_digit(), "0");
    let info = without(&info, "\"id\":", |c| c.is_ascii_digit(), "0");
    let info = without(&info, "\"start\":\"", |c| c != '"', "");
    [&header[..start], info.as_bytes(), &header[start + length..]].concat()
}

/// Whether something is told of who asks.
pub fn has_request_info(header: &[u8]) -> bool {
    find(header, REQUEST_INFO).is_some()
}

/// The line of a message with headers that is `fewer` bytes shorter than it was.
pub fn with_smaller_sizes(line: &[u8], fewer: isize) -> Vec<u8> {
    let mut words: Vec<String> = String::from_utf8_lossy(line).split(' ').map(str::to_owned).collect();
    let sizes = words.len().saturating_sub(2);
    for word in &mut words[sizes..] {
        if let Ok(size) = word.parse::<isize>() {
            *word = (size - fewer).to_string();
        }
    }
    words.join(" ").into_bytes()
}

/// The text with `shown` in place of all behind `key` that `is_value` takes.
fn without(text: &str, key: &str, is_value: impl Fn(char) -> bool, shown: &str) -> String {
    let Some((before, behind)) = text.split_once(key) else { return text.to_owned() };
    format!("{before}{key}{shown}{}", behind.trim_start_matches(is_value))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_that_servers_make_up_are_shown_alike() {
        let shown =
            |text: &str| String::from_utf8(replies(text.as_bytes())).expect("nothing but ASCII is written");
        assert_eq!(shown("MSG q.1 1 _R_.KJ8m05.6bbYfA 2"), "MSG q.1 1 _R_.??????.?????? 2");
        assert_eq!(shown("RS+ A _R_.KJ8m05.>"), "RS+ A _R_.??????.>");
        assert_eq!(shown("_R_.x.y _R_.abcdef _R_.abcdef.x"), "_R_.x.y _R_.?????? _R_.??????.x");
    }

    #[test]
    fn what_is_told_of_who_asks_is_shown_alike() {
        let shown = |text: &str| {
            String::from_utf8(request_info(text.as_bytes())).expect("nothing but ASCII is written")
        };
        let header = "NATS/1.0\r\nNats-Request-Info: {\"start\":\"2026\",\"id\":7,\"acc\":\"B\",\"rtt\":99}\r\nid:7\r\n\r\n";
        let masked = "NATS/1.0\r\nNats-Request-Info: {\"start\":\"\",\"id\":0,\"acc\":\"B\",\"rtt\":0}\r\nid:7\r\n\r\n";
        assert_eq!(shown(header), masked);
        assert_eq!(shown("\"rtt\":5"), "\"rtt\":5");
        assert_eq!(with_smaller_sizes(b"HMSG a 1 r.1 30 32", 5), b"HMSG a 1 r.1 25 27");
    }
}
