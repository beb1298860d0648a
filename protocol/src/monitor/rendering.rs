//! Pages that list what may be much, rendered piece by piece.

use std::fmt::Debug;

use super::budget::{Budget, Exhausted, Share};
use super::printer::Printer;
use super::walk::WALK_BYTES;
use super::{Facts, JSON, Response};
use crate::id::ConnectionId;
use crate::node::Node;
use crate::time::Instant;

/// A page that is being rendered.
///
/// Each call of [`render`](crate::monitor::Monitor::render) does a small part of the work, and holds each lock of the node
/// for a part of that. Between the calls a rendering keeps its place in what it lists, not what it lists: so a page is of no
/// single moment, and what has gone before it was reached is left out.
#[derive(Debug)]
pub struct Rendering {
    /// None once it is finished.
    page: Option<Box<dyn LongPage>>,
    printer: Printer,
    share: Share,
    /// What all times of the page refer to ([`Facts`]).
    now: Instant,
    unix_nanos_at_zero: u64,
}

/// What a call of a rendering led to.
#[derive(Debug)]
pub enum Progress {
    /// There is more to do before anything is worth to be written.
    Working,
    /// The next piece of the page.
    Piece(String),
    /// The last piece.
    Last(String),
    /// The page needs more memory than there is for all of them. Nothing of it was rendered yet.
    Refused,
}

/// What is on a page, and how far it was rendered.
pub(super) trait LongPage: Debug + Send {
    /// Goes on. Of the locks of the node each is held for about 1,000 entries at most.
    fn step(&mut self, context: &mut Context<'_>) -> Result<Step, Exhausted>;
}

/// What a step of a page led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something was written.
    Wrote,
    /// Something was looked through.
    Looked,
    /// The page is complete.
    Done,
}

/// What a page reads and writes while it is rendered.
pub(super) struct Context<'a> {
    pub(super) node: &'a Node,
    pub(super) facts: &'a Facts<'a>,
    pub(super) printer: &'a mut Printer,
    share: &'a mut Share,
}

impl Rendering {
    pub(super) fn new(page: Box<dyn LongPage>, facts: &Facts<'_>, budget: &Budget) -> Self {
        let (now, unix_nanos_at_zero) = (facts.now, facts.unix_nanos_at_zero);
        Self { page: Some(page), printer: Printer::default(), share: budget.share(), now, unix_nanos_at_zero }
    }

    /// The same without blanks, within a budget of its own.
    pub(super) fn compact(page: Box<dyn LongPage>, facts: &Facts<'_>) -> Self {
        Self { printer: Printer::compact(), ..Self::new(page, facts, &Budget::default()) }
    }

    /// Renders on: until it has looked through something, or there is a piece.
    pub(crate) fn render(&mut self, node: &Node, pending_bytes: &dyn Fn(ConnectionId) -> u64) -> Progress {
        let facts = Facts::of_core(self.now, self.now, self.unix_nanos_at_zero);
        let facts = Facts { pending_bytes, ..facts };
        let Self { page, printer, share, .. } = self;
        let mut context = Context { node, facts: &facts, printer, share };
        while let Some(page) = page {
            match page.step(&mut context) {
                Ok(Step::Wrote) if context.printer.len() < PIECE_BYTES => {}
                Ok(Step::Wrote) => return Progress::Piece(context.printer.take()),
                Ok(Step::Looked) => return Progress::Working,
                Ok(Step::Done) => break,
                Err(Exhausted) => return Progress::Refused,
            }
        }
        *page = None;
        let last = printer.take();
        // Less than before is always granted.
        let _ = share.set(last.capacity());
        Progress::Last(last)
    }

    /// The whole page at once.
    pub(super) fn into_response(
        mut self,
        node: &Node,
        pending_bytes: &dyn Fn(ConnectionId) -> u64,
    ) -> Response {
        let mut body = String::new();
        loop {
            match self.render(node, pending_bytes) {
                Progress::Working => {}
                Progress::Piece(piece) => body.push_str(&piece),
                Progress::Last(piece) => {
                    body.push_str(&piece);
                    return Response { status: 200, content_type: JSON, body };
                }
                Progress::Refused => return Response::unavailable(),
            }
        }
    }
}

impl Context<'_> {
    /// Notes that the page holds these too. To be called before anything is written.
    pub(super) fn holds<T>(&mut self, list: &Vec<T>) -> Result<(), Exhausted> {
        self.share.set(PAGE_BYTES + list.capacity() * size_of::<T>())
    }
}

/// Text from which on it is written before there is more.
pub const PIECE_BYTES: usize = 64 * 1024;

/// What every page may hold: a piece, as text and as what is written, with room for the element that exceeds it; and a walk.
const PAGE_BYTES: usize = 4 * PIECE_BYTES + WALK_BYTES;
