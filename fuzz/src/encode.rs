//! What is written is read back as what was meant.

use onehop::wire::encode::{
    err_line, no_responders, no_responders_len, push_message_tail, routed_sub, routed_unsub,
};
use onehop::wire::{
    Connect, Dialect, Info, LeafOrigin, Message, Op, Parsed, Parser, Permissions, Role, RoutedMessage,
    RoutedSub, RoutedUnsub,
};

use crate::Choices;

/// A program: which line to write, and what stands on it.
pub fn run(data: &[u8]) {
    let mut choices = Choices::new(data);
    while !choices.is_empty() {
        match choices.below(6) {
            0 => interest(&mut choices),
            1 => published(&mut choices),
            2 => routed(&mut choices),
            3 => error_line(&mut choices),
            4 => info(&mut choices),
            _ => connect(&mut choices),
        }
    }
}

fn dialect(role: Role, dedicated: bool) -> Dialect {
    Dialect {
        role,
        max_control_line: 1 << 16,
        max_payload: None,
        connect_only: false,
        headers: true,
        dedicated,
        leaf_unsub_origin: true,
    }
}

/// Asserts that `line` is one operation, whole and nothing after it, and no less of it is.
#[track_caller]
fn assert_reads(dialect: &Dialect, line: &[u8], op: &Op<'_>) {
    assert_eq!(Parser::new().parse(dialect, line), Ok(Parsed::Op { op: *op, consumed: line.len() }));
    let cut = Parser::new().parse(dialect, &line[..line.len() - 1]);
    assert!(matches!(cut, Ok(Parsed::Incomplete { .. })), "{cut:?}");
}

fn interest(choices: &mut Choices<'_>) {
    let account = choices.flag().then(|| choices.word());
    let account = account.as_deref();
    let subject = &choices.word()[..];
    let weight = u32::from_be_bytes([0, choices.byte(), choices.byte(), choices.byte()]);
    let queue = choices.flag().then(|| choices.word());
    let queue = queue.as_deref();
    let (leaf, dialect) = (LeafOrigin::None, dialect(Role::Route, account.is_none()));

    let mut line = Vec::new();
    let weighted = queue.map(|queue| (queue, weight));
    routed_sub(&mut line, account, subject, weighted);
    assert_reads(&dialect, &line, &Op::RoutedSub(RoutedSub { leaf, account, subject, queue: weighted }));

    line.clear();
    routed_unsub(&mut line, account, subject, queue);
    assert_reads(&dialect, &line, &Op::RoutedUnsub(RoutedUnsub { leaf, account, subject, queue }));
}

/// A message's reply, header length, and body with CR LF.
fn message(choices: &mut Choices<'_>) -> (Option<Vec<u8>>, usize, Vec<u8>) {
    let reply = choices.flag().then(|| choices.word());
    if choices.below(8) == 0 {
        let subject = choices.word();
        let mut body = Vec::new();
        no_responders(&mut body, &subject);
        assert_eq!(body.len(), no_responders_len(&subject));
        let header_len = body.len();
        body.extend_from_slice(b"\r\n");
        return (reply, header_len, body);
    }
    let (headers, payload) = (choices.bytes(), choices.bytes());
    (reply, headers.len(), [headers, payload, b"\r\n"].concat())
}

fn published(choices: &mut Choices<'_>) {
    let subject = &choices.word()[..];
    let (reply, header_len, body) = message(choices);
    let mut tail = Vec::new();
    push_message_tail(&mut tail, reply.as_deref(), header_len, body.len() - 2);
    let verb: &[u8] = if header_len > 0 { b"HPUB " } else { b"PUB " };
    let line = [verb, subject, b" ", &tail, &body].concat();
    let expected =
        Message { subject, reply: reply.as_deref(), header_len, line_tail: Some(&tail), body: &body };
    assert_reads(&dialect(Role::Client, false), &line, &Op::Publish(expected));
}

fn routed(choices: &mut Choices<'_>) {
    let account = choices.flag().then(|| choices.word());
    let account = account.as_deref();
    let subject = &choices.word()[..];
    let queues: Vec<_> = (0..choices.below(4)).map(|_| choices.word()).collect();
    let queues = queues.join(&b' ');
    let (reply, header_len, body) = message(choices);
    let reply = reply.as_deref();

    // As forwarding writes it (wire.md 2.8): groups after `+ <reply>` or `|`.
    let mut line: Vec<u8> = if header_len > 0 { b"HMSG ".to_vec() } else { b"RMSG ".to_vec() };
    let words = [account, Some(subject)].into_iter().flatten();
    words.for_each(|word| line.extend([word, b" "].concat()));
    if !queues.is_empty() {
        match reply {
            Some(reply) => line.extend([b"+ ", reply, b" ", &queues, b" "].concat()),
            None => line.extend([b"| ", &queues[..], b" "].concat()),
        }
    }
    let mut tail = Vec::new();
    push_message_tail(&mut tail, reply.filter(|_| queues.is_empty()), header_len, body.len() - 2);
    line.extend_from_slice(&tail);
    line.extend_from_slice(&body);
    let line_tail = queues.is_empty().then_some(&tail[..]);
    let message = Message { subject, reply, header_len, line_tail, body: &body };
    let expected = RoutedMessage { leaf: None, account, message, queues: &queues };
    assert_reads(&dialect(Role::Route, account.is_none()), &line, &Op::RoutedMessage(expected));
}

/// A text as it may stand in a field, from bytes that may be anything.
fn text(choices: &mut Choices<'_>) -> String {
    String::from_utf8_lossy(choices.bytes()).into_owned()
}

fn error_line(choices: &mut Choices<'_>) {
    let text = text(choices).replace('\n', " ");
    let line = err_line(&text);
    assert_reads(&dialect(Role::Client, false), &line, &Op::Err(&line[b"-ERR ".len()..line.len() - 2]));
    assert_eq!(line, format!("-ERR '{text}'\r\n").into_bytes());
}

fn info(choices: &mut Choices<'_>) {
    let number = i64::from(choices.byte()) - 128;
    let permissions = choices.flag().then(|| Permissions { allow: vec![text(choices)], deny: vec![] });
    let info = Info {
        server_id: text(choices),
        server_name: text(choices),
        proto: number as i32,
        port: u16::from_be_bytes([choices.byte(), choices.byte()]),
        headers: choices.flag(),
        max_payload: number << 40,
        client_id: u64::from(choices.byte()) << 56,
        cluster: text(choices),
        connect_urls: (0..choices.below(3)).map(|_| text(choices)).collect(),
        ldm: choices.flag(),
        import: permissions,
        route_pool_idx: number as i32,
        ..Info::default()
    };
    // The blank after the JSON is the Go server's.
    let (line, gossip) = (info.to_line(), info.to_gossip_line());
    for line in [&line, &gossip] {
        let json = &line[b"INFO ".len()..line.len() - 2];
        assert_reads(&dialect(Role::Route, false), line, &Op::Info(json));
        assert_eq!(Info::from_json(json).expect("its own JSON"), info);
    }
    assert_eq!(gossip[..gossip.len() - 2], line[..line.len() - 3]);
}

fn connect(choices: &mut Choices<'_>) {
    let connect = Connect {
        echo: choices.flag(),
        verbose: choices.flag(),
        pedantic: choices.flag(),
        user: text(choices),
        pass: text(choices),
        headers: choices.flag(),
        name: text(choices),
        cluster: text(choices),
        lnoc: choices.flag(),
        lang: text(choices),
        protocol: i64::from(choices.byte()) - 1,
        ..Connect::default()
    };
    let line = connect.to_line();
    let json = &line[b"CONNECT ".len()..line.len() - 2];
    assert_reads(&dialect(Role::Client, false), &line, &Op::Connect(json));
    assert!(Connect::from_json(json).expect("its own JSON") == connect);
}
