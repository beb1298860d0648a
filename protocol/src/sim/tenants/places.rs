//! Where a message is published: in the account of its publisher, and by services in others.

use std::borrow::Cow;
use std::sync::Arc;

use super::{MAPPED, MAPPED_TO, SHAPES, Share, TENANTS, Tenants};
use crate::sim::ids::NodeId;
use crate::sim::subject::matches;

/// Where a message is published, as whatever is heard of it is heard by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Place {
    /// In which account.
    pub(in crate::sim) account: Arc<str>,
    /// Under which subject; a filter where the node chose words that nobody else knows.
    pub(in crate::sim) subject: String,
    /// At which node.
    pub(in crate::sim) at: NodeId,
    /// How it came there.
    pub(in crate::sim) by: By,
}

/// How a message came to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum By {
    Publisher,
    /// It is a request. At the node that knows this, who imports a stream hears nothing of it.
    Service,
    /// It is the answer to a request, which only the first is.
    Answer,
}

impl Tenants {
    /// Everywhere where a message is published that a client publishes: each place leads to the next by a service.
    pub(in crate::sim) fn places(&self, account: &Arc<str>, subject: &str, at: NodeId) -> Vec<Place> {
        let subject = self.mapped(account, subject).to_owned();
        let mut places = vec![Place { account: account.clone(), subject, at, by: By::Publisher }];
        while let Some(next) = places.last().and_then(|last| self.asked_by(last)) {
            places.push(next);
        }
        places
    }

    /// Where a message goes that is a request in one place, if it is.
    fn asked_by(&self, place: &Place) -> Option<Place> {
        self.shares.iter().find_map(|share| {
            let shape = SHAPES[share.shape];
            let is_import = !shape.is_stream && *TENANTS[share.importer] == *place.account;
            let asked = is_import.then(|| shape.exported(&place.subject))??;
            let account = TENANTS[share.exporter];
            let subject = self.mapped(account, &asked).to_owned();
            Some(Place { account: account.into(), subject, at: place.at, by: By::Service })
        })
    }

    /// Where the answer to a request goes, which was asked in these places and is answered in the last: back through the others
    /// to the first, where it has the subject that the requester gave.
    pub(in crate::sim) fn way_back(&self, asked: &[Place], reply: &str) -> Vec<Place> {
        let back = |(number, place): (usize, &Place)| {
            let subject = if number == 0 { reply } else { ANY_ANSWER };
            Place { subject: subject.to_owned(), by: By::Answer, ..place.clone() }
        };
        let before = asked.split_last().map_or(&[][..], |(_, before)| before);
        before.iter().enumerate().map(back).rev().collect()
    }

    /// What a message is called by clients of an account at a node, if they can hear it in this place; at one that cannot tell what
    /// it is, if that is none.
    pub(in crate::sim) fn known_as<'a>(
        &self,
        place: &'a Place,
        account: &str,
        at: Option<NodeId>,
    ) -> Option<Cow<'a, str>> {
        if *place.account == *account {
            return Some(Cow::Borrowed(&place.subject));
        }
        let is_passed_on = place.by != By::Publisher && Some(place.at) == at;
        let mut streams =
            self.shares_of(account).filter(|share| !is_passed_on && share.is_stream_of(&place.account));
        streams.find_map(|share| SHAPES[share.shape].imported(&place.subject)).map(Cow::Owned)
    }

    /// The interest that clients of an account have elsewhere by a filter: exporters, and filters there.
    pub(in crate::sim) fn reached<'a>(
        &'a self,
        account: &'a str,
        filter: &'a str,
    ) -> impl Iterator<Item = (&'static str, String)> + 'a {
        let streams = self.shares_of(account).filter(|share| SHAPES[share.shape].is_stream);
        streams.filter_map(move |share| {
            let asked = SHAPES[share.shape].asked_of_exporter(filter)?;
            Some((TENANTS[share.exporter], asked))
        })
    }

    fn shares_of<'a>(&'a self, account: &'a str) -> impl Iterator<Item = &'a Share> {
        self.shares.iter().filter(move |share| TENANTS[share.importer] == account)
    }

    /// What becomes of the subject that a client of an account says.
    fn mapped<'a>(&self, account: &str, subject: &'a str) -> &'a str {
        let is_mapped = subject == MAPPED && self.mapped.iter().any(|tenant| TENANTS[*tenant] == account);
        if is_mapped { MAPPED_TO } else { subject }
    }
}

impl Share {
    fn is_stream_of(&self, account: &str) -> bool {
        SHAPES[self.shape].is_stream && TENANTS[self.exporter] == account
    }
}

/// Whether a subject is one that a node gives to those who answer requests of other accounts.
pub(in crate::sim) fn is_for_answer(subject: &str) -> bool {
    matches(ANY_ANSWER, subject)
}

/// All such subjects.
const ANY_ANSWER: &str = "_R_.*.*";
/// What an account listens to once it was asked.
pub(in crate::sim) const ALL_ANSWERS: &str = "_R_.*.>";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::sim::scenario::SUBJECTS;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);

    fn share(importer: usize, exporter: usize, shape: usize) -> Share {
        Share { importer, exporter, shape }
    }

    fn shown(places: &[Place]) -> Vec<(&str, &str)> {
        places.iter().map(|place| (&*place.account, place.subject.as_str())).collect()
    }

    #[test]
    fn a_request_goes_from_service_to_service_and_its_answer_back() {
        let shares = vec![share(2, 1, 3), share(1, 0, 4)];
        let tenants = Tenants { count: 3, shares, mapped: vec![2], ..Tenants::default() };
        let places = tenants.places(&"T2".into(), "a", A);
        assert_eq!(shown(&places), [("T2", "c"), ("T1", "b.a"), ("T0", "b.a")]);
        let answer = |places: &[Place]| tenants.way_back(places, "in.1");
        assert_eq!(shown(&answer(&places)), [("T1", "_R_.*.*"), ("T2", "in.1")]);
        assert_eq!(shown(&answer(&places[..2])), [("T2", "in.1")]);
        assert_eq!(shown(&answer(&places[..1])), []);
        assert_eq!(shown(&tenants.places(&"T2".into(), "b.a", A)), [("T2", "b.a")]);
    }

    #[test]
    fn a_stream_is_heard_under_its_name_there_unless_it_is_known_to_be_a_request() {
        let shares = vec![share(1, 0, 1), share(1, 0, 4)];
        let tenants = Tenants { count: 2, shares, ..Tenants::default() };
        let known_as =
            |place: &Place, account, at| tenants.known_as(place, account, Some(at)).map(Cow::into_owned);
        let [published] = &tenants.places(&"T0".into(), "b.1", A)[..] else { panic!("one place") };
        assert_eq!(known_as(published, "T0", A).as_deref(), Some("b.1"));
        assert_eq!(known_as(published, "T1", A).as_deref(), Some("a.1"));
        assert_eq!(known_as(published, "T2", A), None);
        let [_, asked] = &tenants.places(&"T1".into(), "b.1", A)[..] else { panic!("a request") };
        assert_eq!(known_as(asked, "T1", A), None);
        assert_eq!(known_as(asked, "T1", B).as_deref(), Some("a.1"), "others cannot know");
        let reached = |filter| tenants.reached("T1", filter).collect::<Vec<_>>();
        assert_eq!(reached("a.*"), [("T0", "b.*".to_owned())]);
        assert_eq!(reached("b.*"), []);
    }

    /// What the ledger goes by: an account and a subject there tell the place.
    #[test]
    fn no_message_is_heard_twice_by_one_name_whatever_is_shared() {
        for seed in 0..2000 {
            let tenants = super::super::draw(&mut fastrand::Rng::with_seed(seed));
            for account in &TENANTS[..tenants.count] {
                for subject in SUBJECTS.into_iter().chain(["ask"]) {
                    assert_heard_once(&tenants, &tenants.places(&(*account).into(), subject, A));
                }
            }
        }
    }

    fn assert_heard_once(tenants: &Tenants, places: &[Place]) {
        let mut heard = BTreeSet::new();
        for place in places {
            for account in &TENANTS[..tenants.count] {
                let name = tenants.known_as(place, account, None);
                assert!(name.is_none_or(|name| heard.insert((account, name.into_owned()))), "{tenants:?}");
            }
        }
    }
}
