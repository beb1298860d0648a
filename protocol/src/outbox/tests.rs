use std::time::Duration;

use super::*;

const POLICY: WritePolicy = WritePolicy {
    max_pending_bytes: 64 * 1024 * 1024,
    slow_at_bytes: SLOW_AT_BYTES,
    max_control_bytes: None,
    deadline: Duration::from_secs(10),
    retry: false,
};

fn written(outbox: &mut Outbox, at_once: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while !outbox.is_empty() {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = outbox.slices(&mut slices);
        let before = all.len();
        all.extend(slices[..filled].iter().flat_map(|slice| slice.iter().copied()).take(at_once));
        let step = all.len() - before;
        outbox.advance(step);
    }
    all
}

fn message(outbox: &mut Outbox, body: &[u8]) -> Vec<u8> {
    let body = Body::new(body);
    outbox.push(&Delivery { prefix: b"MSG a 1 ", line: b"2\r\n", body: &body });
    [b"MSG a 1 ".as_slice(), b"2\r\n", body.bytes()].concat()
}

#[test]
fn bytes_leave_in_the_order_they_came_whatever_their_size() {
    for at_once in [1, 7, 4096, usize::MAX] {
        let mut outbox = Outbox::new();
        let mut expected = Vec::new();
        for size in [2, 3000, SHARE_AT_BYTES, 10, 70_000, 5] {
            expected.extend(message(&mut outbox, &vec![size as u8; size]));
            outbox.push_bytes(b"PING\r\n");
            expected.extend(b"PING\r\n");
            let mut staged = Outbox::new();
            expected.extend(message(&mut staged, b"staged\r\n"));
            assert_eq!(outbox.absorb(&mut staged, &POLICY), Pressure::Low);
            assert!(staged.is_empty());
            assert_eq!((staged.take_traffic(), staged.take_traffic()), ((1, 6), (0, 0)));
            if at_once == 7 {
                outbox.advance(11);
                expected.drain(..11);
            }
        }
        assert_eq!(outbox.pending_bytes(), expected.len());
        assert_eq!(written(&mut outbox, at_once), expected);
    }
}

#[test]
fn pressure_rises_before_the_limit_and_overflows_beyond_it() {
    let policy = WritePolicy { max_pending_bytes: 1000, ..POLICY };
    let mut outbox = Outbox::new();
    outbox.push_bytes(&[0; 750]);
    assert_eq!(outbox.pressure(&policy), Pressure::Low);
    outbox.push_bytes(&[0; 1]);
    assert_eq!(outbox.pressure(&policy), Pressure::High);
    outbox.push_bytes(&[0; 250]);
    assert_eq!(outbox.pressure(&policy), Pressure::Overflow);
    assert_ne!(outbox.pressure(&WritePolicy { max_pending_bytes: usize::MAX, ..policy }), Pressure::Overflow);
}

#[test]
fn a_client_that_takes_only_a_part_within_the_deadline_is_overdue_and_a_route_is_not() {
    for (retry, verdict) in [(false, Overdue::Close), (true, Overdue::No)] {
        let policy = WritePolicy { retry, ..POLICY };
        let mut outbox = Outbox::new();
        outbox.push_bytes(&[0; 100]);
        outbox.handle_blocked(Instant::ZERO, &policy);
        outbox.advance(1);
        let deadline = outbox.poll_deadline().expect("a deadline runs");
        assert_eq!(outbox.handle_deadline(Instant::ZERO, &policy), Overdue::No);
        assert_eq!(outbox.handle_deadline(deadline, &policy), verdict);
    }
}

#[test]
fn a_route_that_takes_nothing_within_the_deadline_is_overdue() {
    let policy = WritePolicy { retry: true, ..POLICY };
    let mut outbox = Outbox::new();
    outbox.push_bytes(&[0; 100]);
    outbox.handle_blocked(Instant::ZERO, &policy);
    let deadline = outbox.poll_deadline().expect("a deadline runs");
    assert_eq!(outbox.handle_deadline(deadline, &policy), Overdue::Close);
}

#[test]
fn an_emptied_outbox_holds_no_memory_and_no_deadline() {
    let mut outbox = Outbox::new();
    outbox.push_bytes(&[0; 100]);
    outbox.handle_blocked(Instant::ZERO, &POLICY);
    outbox.advance(100);
    let mut staged = Outbox::new();
    outbox.release_into(&mut staged);
    assert_eq!(outbox.poll_deadline(), None);
    assert_eq!(outbox.memory_bytes(), 0);
    assert!(staged.memory_bytes() >= 100);
}

#[test]
fn what_was_taken_out_stands_in_front_of_what_came_meanwhile_and_counts_as_waiting() {
    for count in [0, 3, 6] {
        let mut outbox = Outbox::new();
        outbox.push_bytes(b"first ");
        let mut taken = outbox.take_out();
        outbox.push_bytes(b"second");
        assert_eq!(outbox.pending_bytes(), 12);
        taken.drop_first(count);
        outbox.put_back(taken, count);
        assert_eq!(outbox.pending_bytes(), 12 - count);
        assert_eq!(written(&mut outbox, usize::MAX), &b"first second"[count..]);
        assert!(outbox.is_empty());
    }
}
