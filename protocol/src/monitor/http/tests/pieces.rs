//! Conversations about long pages.

use super::*;
use crate::config::Config;
use crate::monitor::tests::World;
use crate::monitor::{Budget, MAX_WAITING_BYTES, PIECE_BYTES};

/// A client that asks a node, and reads as much at once as it likes.
struct Client<'a> {
    world: &'a World,
    budget: &'a Budget,
    responder: Responder,
    heard: Vec<u8>,
    /// The most bytes that waited for it.
    most_bytes: usize,
}

impl<'a> Client<'a> {
    fn asking(world: &'a World, budget: &'a Budget, request: &str) -> Self {
        let mut responder = Responder::new(world.now);
        responder.handle_input(world.now, request.as_bytes());
        Self { world, budget, responder, heard: Vec::new(), most_bytes: 0 }
    }

    fn step(&mut self) -> Step {
        let open = |target: &str| self.world.open(target, self.budget);
        self.responder.poll_step(self.world.now, UNIX_NANOS, open)
    }

    fn render(&mut self) {
        self.responder.render(self.world.now, UNIX_NANOS, |rendering| self.world.render(rendering));
    }

    /// Does what is to be done before something is to be written or read.
    fn render_on(&mut self) -> Step {
        loop {
            match self.step() {
                Step::Render => self.render(),
                step => return step,
            }
        }
    }

    /// Reads so many bytes at once, until the server wants to read or to close.
    fn read(&mut self, bytes: usize) -> String {
        while self.render_on() == Step::Write {
            let output = self.responder.output();
            self.most_bytes = self.most_bytes.max(output.len());
            let taken = output.len().min(bytes);
            self.heard.extend_from_slice(&output[..taken]);
            self.responder.handle_written(self.world.now, taken);
        }
        String::from_utf8(std::mem::take(&mut self.heard)).expect("UTF-8")
    }
}

/// A node with a client that has more subscriptions than fit into a piece.
fn world() -> World {
    let mut world = World::new(Config::default());
    let lines: String = (0..3000).map(|number| format!("SUB s.{number} {number}\r\n")).collect();
    world.client(&lines);
    world
}

fn dechunked(mut body: &str) -> String {
    let mut whole = String::new();
    loop {
        let (size, rest) = body.split_once("\r\n").expect("the size of a chunk");
        let size = usize::from_str_radix(size, 16).expect("a number");
        let (chunk, rest) = rest.split_at(size);
        whole.push_str(chunk);
        body = rest.strip_prefix("\r\n").expect("the end of a chunk");
        if size == 0 {
            assert_eq!(body, "", "nothing follows the last chunk");
            return whole;
        }
    }
}

const TARGET: &str = "/connz?subs=detail";

#[test]
fn a_long_page_comes_in_chunks_that_make_the_whole_however_it_is_read() {
    let (world, budget) = (world(), Budget::default());
    let whole = world.get(TARGET).body;
    assert!(whole.len() > 3 * PIECE_BYTES);
    for at_once in [usize::MAX, 10_000, 1000] {
        let mut client =
            Client::asking(&world, &budget, &format!("GET {TARGET} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let text = client.read(at_once);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.contains("\r\nTransfer-Encoding: chunked\r\n") && !head.contains("Content-Length"),
            "{head}"
        );
        assert!(
            head.contains("\r\nContent-Type: application/json\r\n")
                && head.ends_with("\r\nConnection: keep-alive")
        );
        assert!(dechunked(body) == whole);
        assert!(client.most_bytes < PIECE_BYTES + 2048, "{} bytes waited", client.most_bytes);
        assert_eq!((client.step(), budget.taken_bytes()), (Step::Read(MAX_HEAD_BYTES), 0));
    }
}

#[test]
fn who_does_not_know_chunks_hears_the_page_until_the_end_of_the_connection() {
    let (world, budget) = (world(), Budget::default());
    for connection in ["", "Connection: keep-alive\r\n"] {
        let mut client =
            Client::asking(&world, &budget, &format!("GET {TARGET} HTTP/1.0\r\n{connection}\r\n"));
        let text = client.read(usize::MAX);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(!head.contains("Transfer-Encoding") && !head.contains("Content-Length"), "{head}");
        assert!(head.ends_with("\r\nConnection: close"), "{head}");
        assert!(body == world.get(TARGET).body);
        assert_eq!(client.step(), Step::Read(MAX_HEAD_BYTES), "the end was said");
    }
}

#[test]
fn a_page_that_is_one_piece_says_how_long_it_is() {
    let (world, budget) = (world(), Budget::default());
    for request in
        ["GET /connz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /connz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"]
    {
        let text = Client::asking(&world, &budget, request).read(usize::MAX);
        let body = world.get("/connz").body;
        assert!(
            text.contains(&format!("\r\nContent-Length: {}\r\n", body.len())) && text.ends_with(&body),
            "{text}"
        );
        assert!(text.contains("\r\nConnection: keep-alive\r\n"), "{text}");
    }
}

#[test]
fn a_head_request_gets_the_head_of_a_long_page_and_not_the_work() {
    let (world, budget) = (world(), Budget::default());
    let requests =
        format!("HEAD {TARGET} HTTP/1.1\r\nHost: a\r\n\r\nHEAD /connz HTTP/1.1\r\nHost: a\r\n\r\n");
    let text = Client::asking(&world, &budget, &requests).read(usize::MAX);
    let heads: Vec<_> = text.split_terminator("\r\n\r\n").collect();
    assert_eq!(heads.len(), 2, "{text}");
    assert!(heads[0].contains("\r\nTransfer-Encoding: chunked\r\n"), "{text}");
    assert!(
        heads[1].contains(&format!("\r\nContent-Length: {}\r\n", world.get("/connz").body.len())),
        "{text}"
    );
}

#[test]
fn the_next_piece_is_rendered_when_the_last_is_taken_and_the_next_request_answered_after_the_last_piece() {
    let (world, budget) = (world(), Budget::default());
    let requests =
        format!("GET {TARGET} HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut client = Client::asking(&world, &budget, &requests);
    assert_eq!(
        (client.step(), client.responder.poll_timeout()),
        (Step::Render, None),
        "nobody is waited for"
    );
    assert_eq!(client.render_on(), Step::Write);
    let length = client.responder.output().len();
    client.render();
    assert_eq!(client.responder.output().len(), length, "it is not its turn");
    client.responder.handle_written(world.now, length - 1);
    assert_eq!((client.step(), client.responder.output().len()), (Step::Write, 1));
    client.responder.handle_written(world.now, 1);
    assert_eq!(client.step(), Step::Render);
    let text = client.read(usize::MAX);
    assert!(text.contains("0\r\n\r\nHTTP/1.1 200 OK\r\n") && text.ends_with("{\"status\":\"ok\"}"));
}

#[test]
fn each_piece_may_be_taken_as_slowly_as_a_short_answer() {
    let (mut slow, budget) = (world(), Budget::default());
    let begun = slow.now;
    let mut responder = Responder::new(begun);
    responder.handle_input(begun, format!("GET {TARGET} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    for piece in 0..3 {
        slow.now = begun + WRITE_TIMEOUT / 2 * piece;
        while responder.poll_step(slow.now, UNIX_NANOS, |target| slow.open(target, &budget)) == Step::Render {
            responder.render(slow.now, UNIX_NANOS, |rendering| slow.render(rendering));
        }
        assert_eq!(responder.poll_timeout(), Some((slow.now + WRITE_TIMEOUT, TimeoutReason::Answer)));
        if piece < 2 {
            responder.handle_written(slow.now, responder.output().len());
        }
    }
    responder.handle_written(slow.now, 1);
    assert!(budget.taken_bytes() > 0);
    responder.handle_timeout(slow.now + WRITE_TIMEOUT);
    let step = responder.poll_step(slow.now, UNIX_NANOS, |_| panic!("no more requests"));
    assert_eq!((step, budget.taken_bytes()), (Step::Close, 0));
}

#[test]
fn who_asks_when_too_much_waits_is_told_so_and_may_ask_again() {
    let (world, budget) = (world(), Budget::default());
    let request = format!("GET {TARGET} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut unread = Vec::new();
    while budget.taken_bytes() + PIECE_BYTES < MAX_WAITING_BYTES && unread.len() < 1000 {
        let mut client = Client::asking(&world, &budget, &request);
        assert_eq!(client.render_on(), Step::Write);
        if !client.responder.output().starts_with(b"HTTP/1.1 200") {
            break;
        }
        unread.push(client);
    }
    assert!(budget.taken_bytes() <= MAX_WAITING_BYTES);
    let requests = format!("{request}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut late = Client::asking(&world, &budget, &requests);
    let text = late.read(usize::MAX);
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
    assert!(text.ends_with("{\"status\":\"ok\"}"), "{text}");
    unread.pop();
    late.responder.handle_input(world.now, request.as_bytes());
    assert!(late.read(usize::MAX).starts_with("HTTP/1.1 200 OK\r\n"));
}
