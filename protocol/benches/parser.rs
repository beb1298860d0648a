//! What one operation costs in the parser.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use onehop::wire::{Dialect, Parsed, Parser, Role};

/// Operations in one buffer, as a busy connection reads them.
const OPERATIONS: usize = 256;

const CLIENT: Dialect = Dialect {
    role: Role::Client,
    max_control_line: 4096,
    max_payload: Some(1 << 20),
    connect_only: false,
    headers: true,
    dedicated: false,
    leaf_unsub_origin: false,
};

const ROUTE: Dialect = Dialect { role: Role::Route, max_control_line: 65536, max_payload: None, ..CLIENT };

fn message(line: &str, body_len: usize) -> Vec<u8> {
    [line.as_bytes(), b"\r\n", &vec![b'x'; body_len], b"\r\n"].concat()
}

fn parse_all(dialect: &Dialect, mut input: &[u8]) -> usize {
    let mut parser = Parser::new();
    let mut operations = 0;
    while let Ok(Parsed::Op { op, consumed }) = parser.parse(dialect, input) {
        black_box(&op);
        input = &input[consumed..];
        operations += 1;
    }
    operations
}

fn parser(criterion: &mut Criterion) {
    let cases = [
        ("PUB 16 B", CLIENT, message("PUB bench.subject 16", 16)),
        ("PUB with reply 16 B", CLIENT, message("PUB bench.subject _INBOX.aaaaaaaaaaaaaaaaaaaaaa.1 16", 16)),
        ("PUB 128 B", CLIENT, message("PUB bench.subject 128", 128)),
        ("HPUB 128 B", CLIENT, message("HPUB bench.subject 30 128", 128)),
        ("RMSG 16 B", ROUTE, message("RMSG $G bench.subject 16", 16)),
        ("RMSG with queues 16 B", ROUTE, message("RMSG $G bench.subject | workers other 16", 16)),
        ("RS+", ROUTE, b"RS+ $G bench.subject\r\n".to_vec()),
        ("PING", CLIENT, b"PING\r\n".to_vec()),
    ];
    let mut group = criterion.benchmark_group("parser");
    group.throughput(Throughput::Elements(OPERATIONS as u64));
    for (name, dialect, operation) in cases {
        let input = operation.repeat(OPERATIONS);
        assert_eq!(parse_all(&dialect, &input), OPERATIONS);
        group.bench_function(name, |bencher| bencher.iter(|| parse_all(&dialect, black_box(&input))));
    }
    group.finish();
}

criterion_group!(benches, parser);
criterion_main!(benches);
