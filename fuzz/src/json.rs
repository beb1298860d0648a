//! INFO and CONNECT: what is accepted is written and read back the same.

use onehop::wire::{Connect, Info};

/// The JSON text of an INFO or CONNECT; after a NUL, that of a second CONNECT on the same connection.
pub fn run(data: &[u8]) {
    let mut texts = data.splitn(2, |byte| *byte == 0);
    let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or(b"{}"));
    if let Ok(info) = Info::from_json(first) {
        assert_info_survives(&info);
    }
    if let Ok(connect) = Connect::from_json(first) {
        assert_connect_survives(&connect);
        assert_updates(&connect, second);
    }
}

fn assert_info_survives(info: &Info) {
    for (line, end) in [(info.to_line(), &b"} \r\n"[..]), (info.to_gossip_line(), b"}\r\n")] {
        assert!(line.starts_with(b"INFO {") && line.ends_with(end));
        let json = &line[b"INFO ".len()..line.len() - b"\r\n".len()];
        assert!(!json.contains(&b'\n') && !json.contains(&b'\r'), "more than one line");
        assert_eq!(Info::from_json(json).expect("its own JSON"), *info);
    }
}

fn assert_connect_survives(connect: &Connect) {
    let line = connect.to_line();
    assert!(line.starts_with(b"CONNECT {") && line.ends_with(b"}\r\n"));
    let json = &line[b"CONNECT ".len()..line.len() - b"\r\n".len()];
    assert!(!json.contains(&b'\n') && !json.contains(&b'\r'), "more than one line");
    assert!(Connect::from_json(json).expect("its own JSON") == *connect);
}

/// What a further CONNECT names replaces what was there; what it does not name stays.
fn assert_updates(connect: &Connect, text: &[u8]) {
    assert!(connect.updated_by(b"{}").expect("an empty object") == *connect);
    let Ok(alone) = Connect::from_json(text) else {
        assert!(connect.updated_by(text).is_err(), "good only as a second one");
        return;
    };
    assert!(Connect::default().updated_by(text).expect("it was read before") == alone);
    let updated = connect.updated_by(text).expect("it was read before");
    assert!(updated.updated_by(text).expect("it was read before") == updated, "twice is not once");
    let all = alone.to_line();
    let all = &all[b"CONNECT ".len()..];
    // Its own line leaves out what is empty, so only what stands there can be compared.
    let over = connect.updated_by(all).expect("its own JSON");
    assert_eq!((over.echo, over.verbose, over.headers), (alone.echo, alone.verbose, alone.headers));
}
