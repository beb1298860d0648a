//! Where the output of a batch is collected.

use super::link::{Link, Links};
use super::unwritten::Unwritten;
use crate::close::CloseReason;
use crate::hub::{Hub, Lane};
use crate::id::ConnectionId;
use crate::outbox::{Delivery, Outbox, Pressure, WRITE_AT_ONCE_BYTES};
use crate::sink::Sink;
use crate::time::Instant;
use crate::transport::Encoder;

/// The sink of one driver, or of all drivers of one thread. The rules that it keeps stand in [`delivery`](super).
///
/// A batch is what one read, one timeout or one new connection leads to. It is begun by [`Staging::begin`] and ends with
/// [`Staging::flush`].
#[derive(Debug)]
pub struct Staging<L> {
    links: L,
    /// Who was read from, in this batch.
    reader: Option<ConnectionId>,
    /// By the index of a connection: its place among the staged, plus one.
    places: Vec<u32>,
    staged: Vec<Staged>,
    /// How many of `staged` belong to this batch; the others are buffers that it may use.
    used: usize,
    max_staged_bytes: usize,
    /// The configuration that this follows from.
    config_version: u64,
    kept_buffers: usize,
    lane: Lane,
    writes_at_once: usize,
    /// Their links hold something of a batch that is over, and nobody wrote it yet.
    unwritten: Unwritten,
    left_writes: bool,
}

/// What is staged for one connection.
#[derive(Debug)]
struct Staged {
    id: ConnectionId,
    outbox: Outbox,
    close: Option<CloseReason>,
}

impl<L: Links> Staging<L> {
    /// Stages what goes to `links`.
    ///
    /// `max_pending` is that of clients ([`Config::max_pending`](crate::config::Config::max_pending)), until the node's
    /// configuration is swapped; then it is the new one's from the end of the next batch on. The buffers of
    /// `kept_buffers` targets are kept from batch to batch: [`KEPT_BUFFERS`] for a thread that serves many
    /// connections, none for one that serves a single connection, which is to hold no memory while it is idle.
    pub fn new(links: L, max_pending: usize, kept_buffers: usize) -> Self {
        Self {
            links,
            reader: None,
            places: Vec::new(),
            staged: Vec::new(),
            used: 0,
            max_staged_bytes: MAX_STAGED_BYTES.min(max_pending),
            config_version: 0,
            kept_buffers,
            lane: Lane::default(),
            writes_at_once: usize::MAX,
            unwritten: Unwritten::default(),
            left_writes: false,
        }
    }

    /// Lets no batch write to more than so many links before others have their turn: [`WRITES_AT_ONCE`] for a thread that
    /// serves many connections. The links of a larger batch are given their part, and are written by [`Staging::write_more`],
    /// which is to be called as long as [`Staging::wants_write`] says so.
    #[must_use]
    pub fn limit_writes(self, writes_at_once: usize) -> Self {
        Self { writes_at_once, ..self }
    }

    /// Counts what is delivered with these counters, and what is read from the connections that it is the sink of: those of one
    /// thread ([`Totals::take_lane`](crate::hub::Totals::take_lane)).
    #[must_use]
    pub fn count_with(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }

    /// The counters of this thread.
    pub(crate) fn lane(&self) -> Lane {
        self.lane
    }

    /// The links.
    pub fn links(&self) -> &L {
        &self.links
    }

    /// The links, for those who own them.
    pub fn links_mut(&mut self) -> &mut L {
        &mut self.links
    }

    /// Begins a batch of what was read from `reader`, whose link gets its part last.
    pub fn begin(&mut self, reader: ConnectionId) {
        self.reader = Some(reader);
    }

    /// Ends the batch: everything goes to its link. Returns the targets that are too slow, for their producer to wait for.
    pub fn flush(&mut self, now: Instant, hub: &Hub) -> Vec<ConnectionId> {
        let mut slow = Vec::new();
        self.left_writes = self.used > self.writes_at_once;
        if self.links.have_heirs() {
            self.settle_heirs();
        }
        if let Some(place) = self.reader.take().and_then(|reader| self.place(reader)) {
            self.staged[..self.used].swap(place, self.used - 1);
        }
        for staged in &mut self.staged[..self.used] {
            // Who is to be closed is told so.
            let waits = self.left_writes && staged.close.is_none();
            self.places[staged.id.index()] = 0;
            let close = staged.close.take();
            let outbox = &mut staged.outbox;
            let pressure = self.links.with(staged.id, |mut link| {
                let (messages, bytes) = outbox.take_traffic();
                hub.record_delivered(self.lane, link.entry(), now, messages, bytes);
                if !waits {
                    return link.flush(now, outbox, close);
                }
                self.unwritten.add(staged.id, outbox.pending_bytes());
                link.push(outbox)
            });
            match pressure {
                Some(_) if !outbox.is_empty() => {
                    let flush = |mut link: L::Link<'_>, outbox: &mut Outbox| link.flush(now, outbox, None);
                    pass_to_heir(&mut self.links, staged.id, outbox, flush);
                }
                Some(Pressure::High) => slow.push(staged.id),
                Some(Pressure::Low | Pressure::Overflow) => {}
                None => outbox.clear(),
            }
        }
        self.release();
        if self.config_version != hub.config_version() {
            self.follow_config(hub);
        }
        slow
    }

    #[cold]
    fn follow_config(&mut self, hub: &Hub) {
        self.config_version = hub.config_version();
        self.max_staged_bytes = MAX_STAGED_BYTES.min(hub.config().max_pending);
    }

    /// Whether links wait for [`Staging::write_more`].
    pub fn wants_write(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// Whether the last batch left its links to be written.
    pub fn left_writes(&self) -> bool {
        self.left_writes
    }

    /// Whether so much waits that whoever [left writes](Staging::left_writes) is to wait until it is written. As long as it is
    /// less, it may go on: what it adds to a link that waits is written together with what is there.
    pub fn is_behind(&self) -> bool {
        self.unwritten.is_too_much()
    }

    /// Writes to some of the links that were only given their part of a batch.
    pub fn write_more(&mut self, now: Instant) {
        let mut nothing = Outbox::new();
        for _ in 0..self.writes_at_once {
            let Some(id) = self.unwritten.take() else { break };
            self.links.with(id, |mut link| link.flush(now, &mut nothing, None));
        }
    }

    /// A wide fan-out once in a while should not keep its memory.
    fn release(&mut self) {
        self.used = 0;
        self.staged.truncate(self.kept_buffers);
        if self.kept_buffers == 0 {
            self.places = Vec::new();
        }
    }

    /// Called for each delivery: all but the look-up is kept out of it.
    #[inline]
    fn staged(&mut self, id: ConnectionId) -> &mut Staged {
        match self.places.get(id.index()) {
            Some(place @ 1..) if self.staged[*place as usize - 1].id == id => {
                &mut self.staged[*place as usize - 1]
            }
            _ => self.stage(id),
        }
    }

    /// Where what is staged for a connection stands.
    fn place(&self, id: ConnectionId) -> Option<usize> {
        let place = self.places.get(id.index())?.checked_sub(1)? as usize;
        (self.staged[place].id == id).then_some(place)
    }

    /// Makes a place for a connection that nothing was staged for in this batch.
    #[cold]
    fn stage(&mut self, id: ConnectionId) -> &mut Staged {
        if self.places.len() <= id.index() {
            self.places.resize(id.index() + 1, 0);
        }
        if self.used == self.staged.len() {
            self.staged.push(Staged { id, outbox: Outbox::new(), close: None });
        }
        let staged = &mut self.staged[self.used];
        staged.id = id;
        self.used += 1;
        self.places[id.index()] = self.used as u32;
        staged
    }

    /// Hands over what is staged for one connection before the batch is over.
    #[cold]
    fn hand_over(&mut self, id: ConnectionId) {
        if self.links.have_heirs() {
            self.settle_heirs();
        }
        if self.reader == Some(id) {
            // Its PONG may be among it, so the fence holds here too.
            self.hand_over_all_but(id);
        }
        let max_staged_bytes = self.max_staged_bytes;
        let Some(place) = self.place(id) else {
            return;
        };
        let outbox = &mut self.staged[place].outbox;
        match push(&mut self.links, id, outbox) {
            Pushed::ToLink => {}
            // To be flushed at the end of the batch.
            Pushed::ToHeir(heir) => _ = self.staged(heir),
            // Nobody says so much to a connection that is being made: it is gone.
            Pushed::Nowhere if outbox.pending_bytes() > max_staged_bytes => outbox.clear(),
            Pushed::Nowhere => {}
        }
    }

    /// Gives what is staged for connections that have heirs to these, before anything of what was staged for the heirs: who knew of
    /// an heir when he staged for it knew it for all that he staged later.
    #[cold]
    fn settle_heirs(&mut self) {
        for place in 0..self.used {
            let Staged { id, outbox, .. } = &mut self.staged[place];
            let heir = self.links.with(*id, |link| link.heir()).flatten();
            let is_left = heir.is_some() && !outbox.is_empty();
            if is_left && let Pushed::ToHeir(heir) = push(&mut self.links, *id, outbox) {
                self.staged(heir);
            }
        }
    }

    fn hand_over_all_but(&mut self, reader: ConnectionId) {
        let mut heirs = Vec::new();
        for staged in self.staged[..self.used].iter_mut().filter(|staged| staged.id != reader) {
            if let Pushed::ToHeir(heir) = push(&mut self.links, staged.id, &mut staged.outbox) {
                heirs.push(heir);
            }
        }
        for heir in heirs {
            self.staged(heir);
        }
    }
}

/// Where something was pushed to.
enum Pushed {
    ToLink,
    /// To that of the connection that goes on where the one that was meant ended.
    ToHeir(ConnectionId),
    /// There is no link.
    Nowhere,
}

/// Pushes what is staged for a connection.
fn push<L: Links>(links: &mut L, id: ConnectionId, outbox: &mut Outbox) -> Pushed {
    if links.with(id, |mut link| link.push(outbox)).is_none() {
        return Pushed::Nowhere;
    }
    if outbox.is_empty() {
        return Pushed::ToLink;
    }
    pass_to_heir(links, id, outbox, |mut link, outbox| link.push(outbox))
}

/// Gives what a link left to its heir. If that is gone as well, nobody is to have it.
#[cold]
fn pass_to_heir<L: Links>(
    links: &mut L,
    id: ConnectionId,
    outbox: &mut Outbox,
    give: impl FnOnce(L::Link<'_>, &mut Outbox) -> Pressure,
) -> Pushed {
    let heir = links.with(id, |link| link.heir()).flatten();
    match heir.filter(|heir| links.with(*heir, |link| give(link, outbox)).is_some()) {
        Some(heir) => Pushed::ToHeir(heir),
        None => {
            outbox.clear();
            Pushed::Nowhere
        }
    }
}

#[cfg(test)]
impl<L: Links> Staging<L> {
    pub(super) fn staged_bytes(&self, id: ConnectionId) -> usize {
        self.place(id).map_or(0, |place| self.staged[place].outbox.pending_bytes())
    }

    /// How many buffers it has, and how many connections it has places for.
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.staged.len(), self.places.capacity())
    }
}

impl<L: Links> Sink for Staging<L> {
    #[inline]
    fn staged_for(&self) -> usize {
        self.used
    }

    #[inline]
    fn deliver(&mut self, to: ConnectionId, delivery: &Delivery<'_>) {
        let outbox = &mut self.staged(to).outbox;
        outbox.push(delivery);
        if outbox.pending_bytes() > self.max_staged_bytes {
            self.hand_over(to);
        }
    }

    fn send(&mut self, to: ConnectionId, bytes: &[u8]) {
        let outbox = &mut self.staged(to).outbox;
        outbox.push_control(bytes);
        if outbox.pending_bytes() > self.max_staged_bytes {
            self.hand_over(to);
        }
    }

    fn announce(&mut self, to: ConnectionId, bytes: &[u8]) {
        // It stays among the staged, to be flushed at the end of the batch. Where there is no link yet, nobody else can
        // announce to it before this batch is over.
        self.staged(to).outbox.push_bytes(bytes);
        self.hand_over(to);
    }

    fn switch(&mut self, to: ConnectionId, encoder: Encoder) {
        self.staged(to).outbox.switch(encoder);
    }

    fn bequeath(&mut self, from: ConnectionId, heir: ConnectionId, last: &[u8]) {
        // It stays among the staged, to be flushed at the end of the batch.
        self.staged(from).outbox.push_control(last);
        let Some(place) = self.place(from) else { return };
        let outbox = &mut self.staged[place].outbox;
        if self.links.with(from, |mut link| link.bequeath(outbox, heir)).is_none() {
            return outbox.clear();
        }
        self.links.note_heir();
    }

    fn pressure(&mut self, of: ConnectionId) -> Pressure {
        self.links.with(of, |link| link.pressure()).unwrap_or(Pressure::Low)
    }

    fn close(&mut self, to: ConnectionId, reason: CloseReason) {
        self.staged(to).close.get_or_insert(reason);
    }
}

/// More than this is not staged for one connection.
pub const MAX_STAGED_BYTES: usize = WRITE_AT_ONCE_BYTES;

/// How many links a thread that serves many connections writes to in one turn: about two milliseconds.
pub const WRITES_AT_ONCE: usize = 128;

/// How many targets keep their buffers in a thread that serves many connections.
pub const KEPT_BUFFERS: usize = 64;
