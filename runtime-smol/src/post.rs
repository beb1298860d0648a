//! What a worker's connections send, staged until their whole read buffer was handled.

use std::sync::Arc;

use onehop::hub::Hub;
use onehop::outbox::{Delivery, Outbox, Pressure};
use onehop::{CloseReason, ConnectionId, Instant, Sink};

use crate::links::{Link, Links};

/// The staging area of one worker.
#[derive(Debug)]
pub struct Post {
    links: Arc<Links>,
    /// By the index of a connection: its place among the staged, plus one.
    places: Vec<u32>,
    staged: Vec<Staged>,
    used: usize,
}

#[derive(Debug)]
struct Staged {
    id: ConnectionId,
    outbox: Outbox,
}

impl Post {
    /// An empty staging area.
    pub fn new(links: Arc<Links>) -> Self {
        Self { links, places: Vec::new(), staged: Vec::new(), used: 0 }
    }

    /// Sends everything. Returns the targets that are too slow, for producers to wait for.
    ///
    /// What is for `last`, the connection that was read from, goes out last: whoever has the PONG to its PING
    /// may rely on what it sent before being on its way.
    pub fn flush(&mut self, now: Instant, hub: &Hub, last: Option<ConnectionId>) -> Vec<Arc<Link>> {
        let mut slow = Vec::new();
        let staged = &mut self.staged[..self.used];
        if let Some(place) = staged.iter().position(|staged| Some(staged.id) == last) {
            let end = staged.len() - 1;
            staged.swap(place, end);
        }
        for place in 0..self.used {
            let Staged { id, outbox } = &mut self.staged[place];
            self.places[id.index()] = 0;
            let Some(link) = self.links.get(*id) else {
                outbox.clear();
                continue;
            };
            let (messages, bytes) = outbox.take_traffic();
            hub.record_delivered(&link.entry, messages, bytes);
            if link.write_staged(now, outbox) == Pressure::High {
                slow.push(link);
            }
        }
        self.used = 0;
        // A wide fan-out once in a while should not keep its memory.
        self.staged.truncate(KEPT_BUFFERS);
        slow
    }

    #[inline]
    fn staged(&mut self, id: ConnectionId) -> &mut Outbox {
        match self.places.get(id.index()) {
            Some(place @ 1..) if self.staged[*place as usize - 1].id == id => {
                &mut self.staged[*place as usize - 1].outbox
            }
            _ => self.stage(id),
        }
    }

    /// Makes a place for a connection that nothing was staged for in this batch.
    fn stage(&mut self, id: ConnectionId) -> &mut Outbox {
        if self.places.len() <= id.index() {
            self.places.resize(id.index() + 1, 0);
        }
        if self.used == self.staged.len() {
            self.staged.push(Staged { id, outbox: Outbox::new() });
        }
        let staged = &mut self.staged[self.used];
        staged.id = id;
        self.used += 1;
        self.places[id.index()] = self.used as u32;
        &mut staged.outbox
    }

    /// Hands over what is staged for one connection before the batch is over, since it is much.
    #[cold]
    fn relieve(&mut self, id: ConnectionId) {
        let links = self.links.clone();
        let outbox = self.staged(id);
        match links.get(id) {
            Some(link) => link.append(outbox, b""),
            None => outbox.clear(),
        }
    }
}

impl Sink for Post {
    #[inline]
    fn deliver(&mut self, to: ConnectionId, delivery: &Delivery<'_>) {
        let outbox = self.staged(to);
        outbox.push(delivery);
        if outbox.pending_bytes() > STAGED_BYTES {
            self.relieve(to);
        }
    }

    fn send(&mut self, to: ConnectionId, bytes: &[u8]) {
        self.staged(to).push_bytes(bytes);
    }

    fn announce(&mut self, to: ConnectionId, bytes: &[u8]) {
        let links = self.links.clone();
        // Staged all the same, so that the link is written to at the end of the batch.
        let outbox = self.staged(to);
        match links.get(to) {
            Some(link) => link.append(outbox, bytes),
            // Its driver has not begun; nobody else can announce to it before this worker's batch is over.
            None => outbox.push_bytes(bytes),
        }
    }

    fn close(&mut self, to: ConnectionId, reason: CloseReason) {
        if let Some(link) = self.links.get(to) {
            link.request_close(reason);
        }
    }
}

/// More than this is not staged for one connection.
const STAGED_BYTES: usize = 1024 * 1024;

/// So many targets keep their buffers from batch to batch.
const KEPT_BUFFERS: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use async_io::Async;
    use onehop::config::Config;
    use onehop::outbox::Body;
    use onehop::{Listening, Node};

    use super::*;

    #[test]
    fn a_batch_that_multiplies_ends_its_target_before_it_takes_much_more_memory_than_is_allowed() {
        let max_pending = 2 * STAGED_BYTES;
        let config = Config { max_pending, ..Config::default() };
        let node = Node::new(config, &Listening::default(), Instant::ZERO);
        let links = Arc::new(Links::default());
        let mut post = Post::new(links.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let socket = Async::new(TcpStream::connect(address).expect("a connection")).expect("a socket");
        let connection = node.accept_client(Instant::ZERO, address, &mut post);
        let link = Arc::new(Link::new(connection.entry().clone(), socket, connection.write_policy()));
        links.insert(link.clone());
        let body = Body::new(&[b'x'; 1024]);
        for _ in 0..16 * STAGED_BYTES / 1024 {
            post.deliver(connection.id(), &Delivery { prefix: b"MSG a 1 ", line: b"1022\r\n", body: &body });
        }
        assert!(link.pending_bytes() <= max_pending + 2 * STAGED_BYTES, "{}", link.pending_bytes());
        assert_eq!(link.close_request(), Some(CloseReason::SlowConsumerPendingBytes));
    }
}
