//! Filters with wildcards, token by token.
//!
//! A subject may have thousands of tokens, so nothing in here recurses: not the matching, not the removal,
//! not the drop.

use std::mem;

use super::search::{Finding, Path};
use super::subscribers::Subscribers;
use super::walk::Below;
use crate::hash::{KeyedState, Position, Shards};

/// A map from filters to their subscribers that is asked with subjects.
pub(super) struct Trie {
    root: Node,
    hasher: KeyedState,
}

/// What follows one prefix of tokens. No node but the root is empty.
#[derive(Default)]
struct Node {
    literals: Option<Literals>,
    star: Option<Box<Node>>,
    /// Filters that go on with `>` and end. Boxed, since few nodes have any.
    tail: Option<Box<Subscribers>>,
    /// Filters that end here.
    subscribers: Option<Subscribers>,
}

/// The literal tokens that follow; never empty.
///
/// A table has room for at least three, too much for the chain of nodes that a long filter is.
enum Literals {
    One(Box<(Box<[u8]>, Node)>),
    Many(Box<Table>),
}

type Table = Shards<Box<[u8]>, Node>;

/// A node, and what of a subject is left there: none at its end.
type At<'a, 'b> = (&'a Node, Option<&'b [u8]>);

/// One step down.
enum Step<'a> {
    Literal(&'a [u8]),
    Star,
}

impl Trie {
    pub(super) fn new(hasher: KeyedState) -> Self {
        Self { root: Node::default(), hasher }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Finds the subscribers of every filter that matches `subject`, which has no empty token, from the node at `path` on and
    /// until it is enough. True at the end; else `path` leads to the node that comes next.
    ///
    /// A node is reached by one path, so the work is bounded by the number of nodes: the many ways to read a
    /// subject as literals and stars cannot blow up beyond the filters that exist.
    pub(super) fn find(&self, subject: &[u8], path: &mut Path, finding: &mut Finding<'_>) -> bool {
        let Path(path) = path;
        let mut pending = Vec::new();
        let mut next = self.walk(subject, path, &mut pending);
        loop {
            let Some((node, rest)) = next.take().or_else(|| take_star(&mut pending, path)) else {
                return true;
            };
            if finding.is_enough() && !path.is_empty() {
                return false;
            }
            finding.pass(1);
            let Some(rest) = rest else {
                node.subscribers.iter().for_each(|subscribers| subscribers.find(finding));
                continue;
            };
            node.tail.iter().for_each(|subscribers| subscribers.find(finding));
            let (token, rest) = split_token(rest);
            pending.extend(node.star.as_deref().map(|node| (path.len(), (node, rest))));
            // A published `*` or `>` is looked up as a literal, which no filter has (wire.md 1.5).
            next = node.literals.as_ref().and_then(|literals| literals.get(token)).map(|node| (node, rest));
            path.extend(next.map(|_| false));
        }
    }

    /// The node at `path`, and the stars beside the way there, which come after it. Without the node, if it is gone.
    fn walk<'a, 'b>(
        &'a self,
        subject: &'b [u8],
        path: &[bool],
        pending: &mut Vec<(usize, At<'a, 'b>)>,
    ) -> Option<At<'a, 'b>> {
        let (mut node, mut rest) = (&self.root, Some(subject));
        for (depth, is_star) in path.iter().enumerate() {
            let (token, after) = split_token(rest?);
            if *is_star {
                node = node.star.as_deref()?;
            } else {
                pending.extend(node.star.as_deref().map(|node| (depth, (node, after))));
                node = node.literals.as_ref()?.get(token)?;
            }
            rest = after;
        }
        Some((node, rest))
    }

    /// The subscribers of a filter.
    pub(super) fn get(&self, filter: &[u8]) -> Option<&Subscribers> {
        let (prefix, has_tail) = split_tail(filter);
        let node = steps(prefix).try_fold(&self.root, |node, step| node.child(&step))?;
        if has_tail { node.tail.as_deref() } else { node.subscribers.as_ref() }
    }

    /// Lets `edit` change what is at `filter`, and forgets all nodes that are needless afterwards.
    pub(super) fn edit<R>(&mut self, filter: &[u8], edit: impl FnOnce(&mut Option<Subscribers>) -> R) -> R {
        let (prefix, has_tail) = split_tail(filter);
        let mut node = &mut self.root;
        for step in steps(prefix) {
            node = node.child_or_insert(step, &self.hasher);
        }
        let (result, emptied) = if has_tail {
            let mut subscribers = node.tail.take().map(|subscribers| *subscribers);
            let result = edit(&mut subscribers);
            node.tail = subscribers.map(Box::new);
            (result, node.tail.is_none())
        } else {
            let result = edit(&mut node.subscribers);
            (result, node.subscribers.is_none())
        };
        if emptied {
            self.prune(prefix);
        }
        result
    }

    /// Calls `each` with the subscribers of every filter, in no particular order.
    pub(super) fn for_each<'a>(&'a self, each: &mut impl FnMut(&'a Subscribers)) {
        let mut pending = vec![&self.root];
        while let Some(node) = pending.pop() {
            node.tail.iter().for_each(|subscribers| each(subscribers));
            node.subscribers.iter().for_each(&mut *each);
            pending.extend(node.star.as_deref());
            node.literals.iter().for_each(|literals| literals.collect_nodes(&mut pending));
        }
    }

    /// One step of a walk over all filters: adds those at a node, and at the end of the only way on from there, to `found`,
    /// and what is below that to `pending`. Nothing if the node is gone. Returns how many nodes were passed.
    pub(super) fn show<'a>(
        &'a self,
        at: &Below,
        found: &mut Vec<&'a Subscribers>,
        pending: &mut Vec<Below>,
    ) -> usize {
        let mut node = &self.root;
        let mut passed = 0;
        for step in steps(at.path.as_deref()) {
            let Some(child) = node.child(&step) else { return passed };
            (node, passed) = (child, passed + 1);
        }
        let mut path = at.path.as_deref().map(<[u8]>::to_vec);
        let is_first = at.children == Position::START;
        // A long filter is a chain of nodes; each of them by itself would be looked up from the root.
        while is_first && node.is_only_a_link() {
            let Some((token, child)) = node.children(at.children).0.next() else { return passed };
            push_token(&mut path, token);
            (node, passed) = (child, passed + 1);
        }
        if is_first {
            found.extend(node.tail.as_deref());
            found.extend(&node.subscribers);
        }
        let (children, next) = node.children(at.children);
        pending.extend(next.map(|next| Below::new(path.clone(), next)));
        pending.extend(children.map(|(token, _)| {
            let mut path = path.clone();
            push_token(&mut path, token);
            Below::new(path, Position::START)
        }));
        passed
    }

    /// How many nodes there are below the root.
    #[cfg(test)]
    pub(super) fn node_count(&self) -> usize {
        let mut nodes = vec![&self.root];
        let mut next = 0;
        while let Some(&node) = nodes.get(next) {
            nodes.extend(node.star.as_deref());
            node.literals.iter().for_each(|literals| literals.collect_nodes(&mut nodes));
            next += 1;
        }
        nodes.len() - 1
    }

    /// Cuts off the node at `prefix` if it is empty, with all nodes above it that only led to it.
    fn prune(&mut self, prefix: Option<&[u8]>) {
        let mut needed_depth = 0;
        let mut node = &self.root;
        for (depth, step) in steps(prefix).enumerate() {
            if !node.is_only_a_link() {
                needed_depth = depth;
            }
            let Some(child) = node.child(&step) else { return };
            node = child;
        }
        if !node.is_empty() {
            return;
        }
        let mut steps = steps(prefix);
        let mut node = &mut self.root;
        for step in steps.by_ref().take(needed_depth) {
            let Some(child) = node.child_mut(&step) else { return };
            node = child;
        }
        if let Some(needless) = steps.next().and_then(|step| node.detach(&step)) {
            dismantle(needless);
        }
    }
}

impl Drop for Trie {
    fn drop(&mut self) {
        dismantle(mem::take(&mut self.root));
    }
}

/// Goes back to the last star that was passed by.
fn take_star<'a, 'b>(pending: &mut Vec<(usize, At<'a, 'b>)>, path: &mut Vec<bool>) -> Option<At<'a, 'b>> {
    let (depth, at) = pending.pop()?;
    path.truncate(depth);
    path.push(true);
    Some(at)
}

/// Drops a node and what is below it, one by one: the built-in drop would recurse once per token.
fn dismantle(node: Node) {
    let mut pending = vec![node];
    while let Some(mut node) = pending.pop() {
        pending.extend(node.star.take().map(|star| *star));
        match node.literals.take() {
            None => {}
            Some(Literals::One(only)) => pending.push(only.1),
            Some(Literals::Many(mut table)) => {
                while !table.is_empty() {
                    pending.extend(table.take_shard().map(|(_, node)| node));
                }
            }
        }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.literals.is_none() && self.star.is_none() && self.tail.is_none() && self.subscribers.is_none()
    }

    /// Nothing here but one way down.
    fn is_only_a_link(&self) -> bool {
        let ways = self.literals.as_ref().map_or(0, Literals::len) + usize::from(self.star.is_some());
        ways == 1 && self.tail.is_none() && self.subscribers.is_none()
    }

    /// A shard of the children with their tokens, and where the next one begins. The star is in the first.
    fn children(&self, at: Position) -> (impl Iterator<Item = (&[u8], &Node)>, Option<Position>) {
        let (table, next) = match &self.literals {
            Some(Literals::Many(table)) => {
                let (shard, next) = table.shard_at(at);
                (Some(shard), next)
            }
            _ => (None, None),
        };
        let only = match &self.literals {
            // Wherever others were when there were others.
            Some(Literals::One(only)) => Some((&*only.0, &only.1)),
            _ => None,
        };
        let star = self.star.as_deref().filter(|_| at == Position::START).map(|node| (&b"*"[..], node));
        let literals = table.into_iter().flatten().map(|(token, node)| (&**token, node));
        (star.into_iter().chain(only).chain(literals), next)
    }

    fn child(&self, step: &Step<'_>) -> Option<&Node> {
        match step {
            Step::Star => self.star.as_deref(),
            Step::Literal(token) => self.literals.as_ref()?.get(token),
        }
    }

    fn child_mut(&mut self, step: &Step<'_>) -> Option<&mut Node> {
        match step {
            Step::Star => self.star.as_deref_mut(),
            Step::Literal(token) => self.literals.as_mut()?.get_mut(token),
        }
    }

    fn child_or_insert(&mut self, step: Step<'_>, hasher: &KeyedState) -> &mut Node {
        match step {
            Step::Star => self.star.get_or_insert_default(),
            Step::Literal(token) => Literals::get_or_insert(&mut self.literals, token, hasher),
        }
    }

    fn detach(&mut self, step: &Step<'_>) -> Option<Node> {
        match step {
            Step::Star => self.star.take().map(|star| *star),
            Step::Literal(token) => Literals::remove(&mut self.literals, token),
        }
    }
}

impl Literals {
    fn len(&self) -> usize {
        match self {
            Literals::One(_) => 1,
            Literals::Many(table) => table.len(),
        }
    }

    fn get(&self, token: &[u8]) -> Option<&Node> {
        match self {
            Literals::One(only) => (*only.0 == *token).then_some(&only.1),
            Literals::Many(table) => table.get(token).map(|(_, node)| node),
        }
    }

    fn get_mut(&mut self, token: &[u8]) -> Option<&mut Node> {
        match self {
            Literals::One(only) => (*only.0 == *token).then_some(&mut only.1),
            Literals::Many(table) => table.get_mut(token),
        }
    }

    fn get_or_insert<'a>(slot: &'a mut Option<Self>, token: &[u8], hasher: &KeyedState) -> &'a mut Node {
        let literals = match slot.take() {
            None => Literals::One(Box::new((token.into(), Node::default()))),
            Some(Literals::One(only)) if *only.0 != *token => {
                let mut table = Table::new(hasher.clone());
                let (first, node) = *only;
                table.insert(first, node);
                Literals::Many(Box::new(table))
            }
            Some(fitting) => fitting,
        };
        match slot.insert(literals) {
            Literals::One(only) => &mut only.1,
            Literals::Many(table) => table.get_or_insert_default(token),
        }
    }

    fn remove(slot: &mut Option<Self>, token: &[u8]) -> Option<Node> {
        match slot.take()? {
            Literals::One(only) if *only.0 == *token => Some(only.1),
            Literals::Many(mut table) => {
                let removed = table.remove(token).map(|(_, node)| node);
                *slot = Self::from_table(table);
                removed
            }
            other => {
                *slot = Some(other);
                None
            }
        }
    }

    /// The smallest form of what is left in `table`.
    fn from_table(mut table: Box<Table>) -> Option<Self> {
        if table.len() > 1 {
            return Some(Literals::Many(table));
        }
        table.take_shard().next().map(|last| Literals::One(Box::new(last)))
    }

    fn collect_nodes<'a>(&'a self, into: &mut Vec<&'a Node>) {
        match self {
            Literals::One(only) => into.push(&only.1),
            Literals::Many(table) => into.extend(table.iter().map(|(_, node)| node)),
        }
    }
}

/// Whether a filter has a token that is a wildcard. `*` and `>` within longer tokens are ordinary bytes
/// (wire.md 1.5).
pub(super) fn has_wildcard(filter: &[u8]) -> bool {
    filter.split(|&byte| byte == b'.').any(is_wildcard)
}

/// Whether a token is a wildcard.
pub(super) fn is_wildcard(token: &[u8]) -> bool {
    matches!(token, b"*" | b">")
}

/// The first token of a subject and what follows its dot, if there is one.
pub(super) fn split_token(subject: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'.', subject) {
        Some(dot) => (&subject[..dot], Some(&subject[dot + 1..])),
        None => (subject, None),
    }
}

/// The tokens of a filter without a final `>`, `None` if there are no others; and whether there is one.
fn split_tail(filter: &[u8]) -> (Option<&[u8]>, bool) {
    match filter {
        b">" => (None, true),
        [prefix @ .., b'.', b'>'] => (Some(prefix), true),
        _ => (Some(filter), false),
    }
}

/// Adds a token to a path, which is `None` at the root.
fn push_token(path: &mut Option<Vec<u8>>, token: &[u8]) {
    match path {
        None => *path = Some(token.to_vec()),
        Some(path) => {
            path.push(b'.');
            path.extend_from_slice(token);
        }
    }
}

/// The way from the root to the node of a prefix; none at all for no prefix.
fn steps(prefix: Option<&[u8]>) -> impl Iterator<Item = Step<'_>> {
    let tokens = prefix.into_iter().flat_map(|prefix| prefix.split(|&byte| byte == b'.'));
    tokens.map(|token| if token == b"*" { Step::Star } else { Step::Literal(token) })
}
