//! The subscriptions that share one filter.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::crowd::{CROWD_SLICE, Crowd};
use super::row::Row;
use super::search::Finding;
use super::{Source, Subscription, SubscriptionId};

/// All subscriptions to one filter; never empty. Where there may be none, it is an `Option<Subscribers>`.
///
/// Most filters have one subscription, so that case costs one pointer.
pub(super) enum Subscribers {
    One(Arc<Subscription>),
    /// At least two.
    Many(Box<Members>),
}

/// Two or more subscriptions to one filter. No group in `queues` is empty.
#[derive(Default)]
pub(super) struct Members {
    plain: Group,
    queues: BTreeMap<Box<[u8]>, Group>,
}

/// Plain subscriptions, or those of one queue group.
#[derive(Default)]
struct Group {
    clients: Row,
    /// Of servers and services, which are few.
    others: BTreeMap<SubscriptionId, Arc<Subscription>>,
    /// How many of all are local.
    local: u32,
}

impl Subscribers {
    /// Adds `sub` to the subscribers in `slot`; false if a subscription with its id was there and was replaced.
    pub(super) fn insert(slot: &mut Option<Subscribers>, sub: Arc<Subscription>) -> bool {
        match slot {
            None => *slot = Some(Subscribers::One(sub)),
            Some(Subscribers::Many(members)) => return members.insert(sub),
            Some(Subscribers::One(first)) if first.id() == sub.id() => {
                *first = sub;
                return false;
            }
            Some(Subscribers::One(first)) => {
                let mut members = Box::<Members>::default();
                members.insert(Arc::clone(first));
                members.insert(sub);
                *slot = Some(Subscribers::Many(members));
            }
        }
        true
    }

    /// Removes the subscription with this id from the subscribers in `slot`; false if it is not there.
    pub(super) fn remove(slot: &mut Option<Subscribers>, queue: Option<&[u8]>, id: SubscriptionId) -> bool {
        match slot {
            Some(Subscribers::One(only)) if only.id() == id => {
                *slot = None;
                true
            }
            None | Some(Subscribers::One(_)) => false,
            Some(Subscribers::Many(members)) => {
                let removed = members.remove(queue, id);
                if let Some(last) = members.only() {
                    *slot = Some(Subscribers::One(last));
                }
                removed
            }
        }
    }

    /// The filter that all of them share.
    pub(super) fn subject(&self) -> &[u8] {
        match self {
            Subscribers::One(only) => only.subject(),
            Subscribers::Many(members) => {
                let group = if members.plain.is_empty() { members.queues.values().next() } else { None };
                group.unwrap_or(&members.plain).first().map_or(b"", |sub| sub.subject())
            }
        }
    }

    /// How many local subscriptions there are, plain or in a queue group.
    pub(super) fn local(&self, queue: Option<&[u8]>) -> u32 {
        match self {
            Subscribers::One(only) => u32::from(only.queue() == queue && only.source().is_local()),
            Subscribers::Many(members) => members.group(queue).map_or(0, |group| group.local),
        }
    }

    /// The subscription with this id, plain or in a queue group.
    pub(super) fn get(&self, queue: Option<&[u8]>, id: SubscriptionId) -> Option<&Arc<Subscription>> {
        match self {
            Subscribers::One(only) => Some(only).filter(|only| only.id() == id),
            Subscribers::Many(members) => members.group(queue)?.get(id),
        }
    }

    /// Calls `each` with every queue name, `None` for plain, and its number of local subscriptions.
    pub(super) fn for_each_group<'a>(&'a self, each: &mut impl FnMut(Option<&'a [u8]>, u32)) {
        match self {
            Subscribers::One(only) => each(only.queue(), self.local(only.queue())),
            Subscribers::Many(members) => {
                each(None, members.plain.local);
                members.queues.iter().for_each(|(name, group)| each(Some(name), group.local));
            }
        }
    }

    /// Calls `each` with every subscription, in no particular order.
    pub(super) fn for_each(&self, each: &mut impl FnMut(&Arc<Subscription>)) {
        match self {
            Subscribers::One(only) => each(only),
            Subscribers::Many(members) => members.groups().flat_map(Group::iter).for_each(each),
        }
    }

    /// Finds every subscription, in no particular order, but for crowds: those are only named.
    pub(super) fn find(&self, finding: &mut Finding<'_>) {
        match self {
            Subscribers::One(only) => finding.add(only),
            Subscribers::Many(members) => members.groups().for_each(|group| group.find(finding)),
        }
    }

    /// Adds those of a crowd that come next, as far as a slice goes.
    pub(super) fn next_of(&self, crowd: &Crowd, into: &mut Vec<Arc<Subscription>>) {
        match self {
            Subscribers::One(only) => {
                let is_next = crowd.has(only) && crowd.awaits(only.id());
                into.extend(is_next.then(|| only.clone()));
            }
            Subscribers::Many(members) => {
                let Some(group) = members.group(crowd.queue()) else { return };
                let rest = group.clients.after(crowd.passed());
                let next = rest.take_while(|sub| crowd.awaits(sub.id())).take(CROWD_SLICE);
                into.extend(next.cloned());
            }
        }
    }

    /// The one of a crowd, as it is now, that stands behind so many others, and begins anew behind the last.
    pub(super) fn one_of(&self, crowd: &Crowd, place: usize) -> Option<&Arc<Subscription>> {
        match self {
            Subscribers::One(only) => crowd.has(only).then_some(only),
            Subscribers::Many(members) => {
                let clients = &members.group(crowd.queue())?.clients;
                clients.nth(place.checked_rem(clients.len())?)
            }
        }
    }
}

impl Members {
    fn groups(&self) -> impl Iterator<Item = &Group> {
        std::iter::once(&self.plain).chain(self.queues.values())
    }

    fn group(&self, queue: Option<&[u8]>) -> Option<&Group> {
        queue.map_or(Some(&self.plain), |name| self.queues.get(name))
    }

    fn insert(&mut self, sub: Arc<Subscription>) -> bool {
        match sub.queue() {
            None => self.plain.insert(sub),
            Some(name) => match self.queues.get_mut(name) {
                Some(group) => group.insert(sub),
                None => self.queues.entry(name.into()).or_default().insert(sub),
            },
        }
    }

    fn remove(&mut self, queue: Option<&[u8]>, id: SubscriptionId) -> bool {
        let Some(name) = queue else { return self.plain.remove(id) };
        let Some(group) = self.queues.get_mut(name) else { return false };
        let removed = group.remove(id);
        if group.is_empty() {
            self.queues.remove(name);
        }
        removed
    }

    /// The last subscription, if only one is left.
    fn only(&self) -> Option<Arc<Subscription>> {
        let group = match self.queues.len() {
            0 => &self.plain,
            1 if self.plain.is_empty() => self.queues.values().next()?,
            _ => return None,
        };
        if group.len() == 1 { group.first().cloned() } else { None }
    }
}

impl Group {
    fn len(&self) -> usize {
        self.clients.len() + self.others.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<Subscription>> {
        self.clients.iter().chain(self.others.values())
    }

    fn first(&self) -> Option<&Arc<Subscription>> {
        self.iter().next()
    }

    fn get(&self, id: SubscriptionId) -> Option<&Arc<Subscription>> {
        self.clients.get(id).or_else(|| self.others.get(&id))
    }

    fn find(&self, finding: &mut Finding<'_>) {
        match self.clients.last() {
            Some(last) if finding.is_crowd(self.clients.len()) => {
                finding.add_crowd(Crowd::new(last, self.clients.len()));
                self.others.values().for_each(|sub| finding.add(sub));
            }
            _ => self.iter().for_each(|sub| finding.add(sub)),
        }
    }

    fn insert(&mut self, sub: Arc<Subscription>) -> bool {
        self.local += u32::from(sub.source().is_local());
        let replaced = match sub.source() {
            Source::Client => self.clients.insert(sub),
            _ => self.others.insert(sub.id(), sub),
        };
        self.local -= replaced.as_ref().map_or(0, |old| u32::from(old.source().is_local()));
        replaced.is_none()
    }

    fn remove(&mut self, id: SubscriptionId) -> bool {
        let removed = self.clients.remove(id).or_else(|| self.others.remove(&id));
        self.local -= removed.as_ref().map_or(0, |old| u32::from(old.source().is_local()));
        removed.is_some()
    }
}
