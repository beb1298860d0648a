//! One publisher, the inboxes that its messages reach, and the credit between them.

use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::connection::Connection;
use super::dialect::Dialect;
use super::inbox::{Inbox, READY_SUBJECT};
use super::reading::Faults;
use super::stop;

/// Payload bytes that may be on their way to one inbox. Below every server's limit for slow consumers, and the same for all.
const WINDOW_BYTES: u64 = 8 << 20;

/// Payload bytes that may be on their way to all inboxes together.
const TOTAL_WINDOW_BYTES: u64 = 64 << 20;

/// Without a message for this long, what is missing counts as lost.
const STALL: Duration = Duration::from_secs(5);

/// How long the first message may take to get through, joining the cluster included.
const READY_PATIENCE: Duration = Duration::from_secs(15);

/// How often a waiting publisher looks again.
const POLL: Duration = Duration::from_micros(100);

/// Who gets a published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Each inbox.
    Everyone,
    /// One inbox: they are members of a queue group.
    OneMember,
}

/// When a publisher stops, unless the whole program is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After so many messages.
    Messages(u64),
    /// After so much time.
    Elapsed(Duration),
}

/// One publisher and its inboxes.
pub struct Flow {
    publisher: TcpStream,
    batches: Vec<Batch>,
    turn: usize,
    sent: u64,
    inboxes: Vec<Inbox>,
    delivery: Delivery,
    window: u64,
    stall: Duration,
}

impl Flow {
    /// Takes the publisher's connection and waits until each inbox is reached from there.
    pub fn open(
        dialect: Dialect,
        mut connection: Connection,
        batches: Vec<Batch>,
        payload_bytes: usize,
        inboxes: Vec<Inbox>,
        delivery: Delivery,
    ) -> io::Result<Self> {
        connection.send(dialect.before_messages())?;
        let mut probe = Vec::new();
        dialect.before_payload(READY_SUBJECT, 0, &mut probe);
        probe.extend_from_slice(dialect.after_payload());
        let deadline = Instant::now() + READY_PATIENCE;
        while !inboxes.iter().all(|inbox| inbox.tally().ready()) {
            if Instant::now() > deadline {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "a subscriber is not reached by its publisher",
                ));
            }
            connection.send(&probe)?;
            thread::sleep(Duration::from_millis(20));
        }
        if dialect.answers_publishers() {
            connection.fence()?;
        }
        let bytes = WINDOW_BYTES.min(TOTAL_WINDOW_BYTES / inboxes.len().max(1) as u64);
        let window = (bytes / payload_bytes as u64).max(1);
        Ok(Self {
            publisher: connection.into_stream(),
            batches,
            turn: 0,
            sent: 0,
            inboxes,
            delivery,
            window,
            stall: STALL,
        })
    }

    /// Publishes until `until`, then waits until all has come or nothing comes any more.
    pub fn run(&mut self, until: Until) -> io::Result<()> {
        let (start, first) = (Instant::now(), self.sent);
        loop {
            let published = self.sent - first;
            let left = match until {
                _ if stop::requested() => 0,
                Until::Messages(count) => count - published,
                Until::Elapsed(time) if start.elapsed() >= time => 0,
                Until::Elapsed(_) => u64::MAX,
            };
            if left == 0 || !self.wait_for(self.sent.saturating_sub(self.credit())) {
                break;
            }
            self.publish(left)?;
        }
        self.wait_for(self.sent);
        Ok(())
    }

    /// Messages that should have reached an inbox so far, summed over the inboxes.
    pub fn due(&self) -> u64 {
        match self.delivery {
            Delivery::Everyone => self.sent * self.inboxes.len() as u64,
            Delivery::OneMember => self.sent,
        }
    }

    /// What went wrong so far. Fences each inbox first, so that a late duplicate counts.
    pub fn faults(&self) -> io::Result<Faults> {
        self.fence_inboxes()?;
        let tallies = || self.inboxes.iter().map(Inbox::tally);
        let lost = self.due().saturating_sub(self.progress());
        let surplus = self.progress().saturating_sub(self.due());
        if let Some(failure) = tallies().find_map(|tally| tally.failure()) {
            return Err(io::Error::other(format!(
                "a subscriber was cut off, {lost} messages lost: {failure}"
            )));
        }
        let sum = tallies().fold(0_u64, |sum, tally| sum.wrapping_add(tally.sequence_sum()));
        let wrong_set = lost == 0 && surplus == 0 && sum != self.due_sequence_sum();
        Ok(Faults {
            lost,
            misordered: tallies().map(|tally| tally.misordered()).sum::<u64>()
                + surplus
                + u64::from(wrong_set),
            foreign: tallies().map(|tally| tally.foreign()).sum(),
        })
    }

    /// Messages that may be on their way now. At first as many again as have come so far, so that what is still on its way
    /// at the end never takes a slow server much longer than all before; a fast one has the whole window after the warm-up.
    fn credit(&self) -> u64 {
        self.window.min(self.arrived() + self.batches[0].len() as u64)
    }

    fn publish(&mut self, limit: u64) -> io::Result<()> {
        let (sent, received) = (self.sent, self.progress());
        let (bytes, count) = self.batches[self.turn].stamp(sent, limit);
        self.publisher.write_all(bytes).map_err(|error| {
            let text = format!(
                "the publisher was cut off after {sent} messages, {received} were delivered: {error}"
            );
            io::Error::new(error.kind(), text)
        })?;
        self.sent += count;
        self.turn = (self.turn + 1) % self.batches.len();
        Ok(())
    }

    /// Waits until `count` messages have come, to each inbox or to all of a group; false if they stopped coming.
    fn wait_for(&self, count: u64) -> bool {
        let mut last = (self.progress(), Instant::now());
        while self.arrived() < count {
            thread::sleep(POLL);
            let progress = self.progress();
            if progress != last.0 {
                last = (progress, Instant::now());
            } else if last.1.elapsed() > self.stall {
                return false;
            }
        }
        true
    }

    /// Messages that have come: to the slowest inbox, or to all members of the group.
    fn arrived(&self) -> u64 {
        match self.delivery {
            Delivery::Everyone => {
                self.inboxes.iter().map(|inbox| inbox.tally().received()).min().unwrap_or(0)
            }
            Delivery::OneMember => self.progress(),
        }
    }

    fn progress(&self) -> u64 {
        self.inboxes.iter().map(|inbox| inbox.tally().received()).sum()
    }

    /// The sum of the sequence numbers 0 to `sent - 1`, once for each inbox that gets all.
    fn due_sequence_sum(&self) -> u64 {
        let sum = u128::from(self.sent) * u128::from(self.sent.saturating_sub(1)) / 2;
        let copies = if self.delivery == Delivery::Everyone { self.inboxes.len() } else { 1 };
        (sum * copies as u128) as u64
    }

    fn fence_inboxes(&self) -> io::Result<()> {
        let wanted: Vec<u64> = self.inboxes.iter().map(|inbox| inbox.tally().pongs() + 1).collect();
        for inbox in &self.inboxes {
            // A connection that the server closed tells why in its tally.
            let _ = inbox.ping();
        }
        let deadline = Instant::now() + self.stall;
        for (inbox, wanted) in self.inboxes.iter().zip(wanted) {
            while inbox.tally().pongs() < wanted && inbox.tally().failure().is_none() {
                if Instant::now() > deadline {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "a subscriber's PING was not answered",
                    ));
                }
                thread::sleep(POLL);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
