//! A flow against a server that makes one chosen mistake: each kind must be found, and none where there is none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use super::super::inbox::Expectation;
use super::super::relay;
use super::*;

/// What the server does with the message whose number is [`VICTIM`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    Lose,
    Repeat,
    DelayByOne,
    Damage,
    CutOff,
}

const VICTIM: usize = 1234;
const MESSAGES: u64 = 5000;
const PAYLOAD_BYTES: usize = 16;

#[test]
fn a_flow_without_a_mistake_has_no_faults() {
    assert_eq!(run(Mistake::None, 2).unwrap(), Faults::default());
}

#[test]
fn a_lost_message_is_counted_for_each_subscriber() {
    assert_eq!(run(Mistake::Lose, 2).unwrap(), Faults { lost: 2, ..Faults::default() });
}

#[test]
fn a_repeated_message_is_found() {
    let faults = run(Mistake::Repeat, 1).unwrap();
    assert!(faults.lost == 0 && faults.misordered > 0, "{faults:?}");
}

#[test]
fn a_message_that_is_overtaken_is_found() {
    assert_eq!(run(Mistake::DelayByOne, 1).unwrap(), Faults { misordered: 1, ..Faults::default() });
}

#[test]
fn a_damaged_message_is_foreign_and_its_original_lost() {
    assert_eq!(run(Mistake::Damage, 1).unwrap(), Faults { lost: 1, foreign: 1, ..Faults::default() });
}

#[test]
fn a_subscriber_that_is_cut_off_is_an_error_with_the_number_of_lost_messages() {
    let mut flow = Broker::start(Mistake::CutOff).flow(1);
    flow.run(Until::Messages(MESSAGES)).unwrap();
    let error = flow.faults().unwrap_err().to_string();
    let lost = flow.sent - VICTIM as u64;
    assert!(error.contains(&format!("{lost} messages lost")), "{error}");
}

#[test]
fn the_same_number_of_messages_but_not_the_same_messages_is_found() {
    // Each member of a queue group sees growing numbers: only the sum tells that one came twice and another not at all.
    let broker = Broker::start(Mistake::None);
    let mut flow = broker.flow(1);
    flow.run(Until::Messages(10)).unwrap();
    flow.publish_raw(20);
    assert!(flow.wait_for(11));
    flow.sent = 11;
    assert_eq!(flow.faults().unwrap(), Faults { misordered: 1, ..Faults::default() });
}

#[test]
fn as_many_messages_may_be_on_their_way_as_have_come_and_no_more_than_the_window() {
    let mut flow = Broker::start(Mistake::None).flow(1);
    let batch = flow.batches[0].len() as u64;
    assert_eq!(flow.credit(), batch);
    flow.run(Until::Messages(MESSAGES)).unwrap();
    assert_eq!(flow.credit(), MESSAGES + batch);
    flow.window = MESSAGES;
    assert_eq!(flow.credit(), MESSAGES);
}

#[test]
fn a_flow_through_the_relay_has_no_faults() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // The thread waits for connections until the test's process ends.
    thread::spawn(move || relay::serve(&listener));
    let mut flow = open_flow(Dialect::Copied, address, 3);
    flow.run(Until::Messages(MESSAGES)).unwrap();
    assert_eq!((flow.due(), flow.faults().unwrap()), (3 * MESSAGES, Faults::default()));
}

fn run(mistake: Mistake, subscribers: usize) -> io::Result<Faults> {
    let mut flow = Broker::start(mistake).flow(subscribers);
    flow.run(Until::Messages(MESSAGES))?;
    assert_eq!(flow.sent, MESSAGES);
    flow.faults()
}

impl Flow {
    /// Publishes one message with a number of the test's choice.
    fn publish_raw(&mut self, sequence: u64) {
        let (bytes, count) = self.batches[0].stamp(sequence, 1);
        assert_eq!(count, 1);
        self.publisher.write_all(bytes).unwrap();
    }
}

/// The sockets of all subscribers, and what happened to the messages so far.
#[derive(Default)]
struct Subscribers {
    /// Filter, subscription id and socket.
    subscriptions: Vec<(String, String, TcpStream)>,
    seen: usize,
    held: Option<Vec<u8>>,
}

/// A server of few lines: exact subjects, one thread per client.
struct Broker {
    address: SocketAddr,
}

impl Broker {
    fn start(mistake: Mistake) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        // The thread waits for clients until the test's process ends.
        thread::spawn(move || {
            let subscribers = Arc::new(Mutex::new(Subscribers::default()));
            for stream in listener.incoming().flatten() {
                let subscribers = Arc::clone(&subscribers);
                thread::spawn(move || serve(stream, &subscribers, mistake));
            }
        });
        Self { address }
    }

    fn flow(&self, subscribers: usize) -> Flow {
        open_flow(Dialect::Nats, self.address, subscribers)
    }
}

fn open_flow(dialect: Dialect, address: SocketAddr, subscribers: usize) -> Flow {
    let expectation = Expectation {
        dialect,
        subscriptions: vec![("bench.0".to_owned(), None)],
        head: dialect.head("bench.0", 1),
        payload_bytes: PAYLOAD_BYTES,
    };
    let inboxes = (0..subscribers)
        .map(|_| Inbox::open(Connection::open_as(dialect, address).unwrap(), expectation.clone()).unwrap())
        .collect();
    let batches = Batch::cycle(dialect, &["bench.0".to_owned()], PAYLOAD_BYTES);
    let publisher = Connection::open_as(dialect, address).unwrap();
    let flow = Flow::open(dialect, publisher, batches, PAYLOAD_BYTES, inboxes, Delivery::Everyone).unwrap();
    Flow { stall: Duration::from_millis(300), ..flow }
}

/// Serves one client until it goes.
fn serve(stream: TcpStream, subscribers: &Mutex<Subscribers>, mistake: Mistake) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["PING"] => (&stream).write_all(b"PONG\r\n").unwrap_or(()),
            ["SUB", filter, sid] => {
                let entry = (filter.to_owned(), sid.to_owned(), stream.try_clone().unwrap());
                subscribers.lock().unwrap().subscriptions.push(entry);
            }
            ["PUB", subject, size] => {
                let mut payload = vec![0; size.parse::<usize>().unwrap() + 2];
                reader.read_exact(&mut payload).unwrap();
                subscribers.lock().unwrap().publish(subject, payload, mistake);
            }
            _ => assert_eq!(words[0], "CONNECT"),
        }
        line.clear();
    }
}

impl Subscribers {
    fn publish(&mut self, subject: &str, mut payload: Vec<u8>, mistake: Mistake) {
        let victim = subject != "ready" && self.seen == VICTIM;
        self.seen += usize::from(subject != "ready");
        match mistake {
            Mistake::Lose if victim => return,
            Mistake::Repeat if victim => self.deliver(subject, &payload),
            Mistake::DelayByOne if victim => {
                self.held = Some(payload);
                return;
            }
            Mistake::Damage if victim => payload[3] ^= 1,
            Mistake::CutOff if victim => {
                self.subscriptions.iter().for_each(|(.., socket)| Connection::close(socket))
            }
            _ => {}
        }
        self.deliver(subject, &payload);
        if let Some(held) = self.held.take() {
            self.deliver(subject, &held);
        }
    }

    /// Sends the payload, whose line end is part of it, to all who subscribed to `subject`.
    fn deliver(&self, subject: &str, payload: &[u8]) {
        for (_, sid, socket) in self.subscriptions.iter().filter(|(filter, ..)| filter == subject) {
            let line = format!("MSG {subject} {sid} {}\r\n", payload.len() - 2);
            // A subscriber that is gone gets nothing.
            let _ = (&mut &*socket).write_all(&[line.as_bytes(), payload].concat());
        }
    }
}
