//! What an account takes from others (wire.md 1.12).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Export, ExportKind, Import, ImportKind, Response};
use crate::id::AccountId;
use crate::interest::{Shadow, Source, Subscription, SubscriptionId};
use crate::mapping::ImportTransform;
use crate::permissions::Filters;
use crate::wire::subject::tokens;

/// The imports of an account. They are as they are for as long as the node runs.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    streams: Vec<StreamImport>,
    /// The streams by the first token that their subjects have here.
    by_token: BTreeMap<Box<[u8]>, Vec<usize>>,
    services: Vec<Arc<ServiceImport>>,
    /// Which of the services a subject of this account is of.
    by_subject: Filters<Vec<usize>>,
}

/// Messages of another account.
#[derive(Debug)]
struct StreamImport {
    exporter: AccountId,
    transform: Arc<ImportTransform>,
}

/// Somebody in another account who answers requests.
#[derive(Debug)]
pub(crate) struct ServiceImport {
    pub(crate) exporter: AccountId,
    way: Way,
    pub(crate) terms: ServiceTerms,
    /// Whether the exporter is told who asks, beside the account.
    pub(crate) share: bool,
}

/// From what importers ask to what the exporter hears.
#[derive(Debug)]
enum Way {
    ToOne(Box<[u8]>),
    Back(ImportTransform),
}

/// How requests to a service are answered, as its exporter has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceTerms {
    pub(crate) response: Response,
    /// How long answers may take, or the next one.
    pub(crate) threshold: Duration,
}

/// Where a subscription of an importer reaches an exporter: it has another of this id and subject there.
#[derive(Debug)]
pub(crate) struct Reached<'a> {
    pub(crate) exporter: AccountId,
    id: SubscriptionId,
    subject: Vec<u8>,
    import: usize,
    transform: &'a Arc<ImportTransform>,
}

impl Imports {
    /// Adds an import of a valid configuration, which is of this export.
    pub(crate) fn add(&mut self, exporter: AccountId, import: &Import, export: &Export) {
        let transform = || ImportTransform::new(&import.subject, &import.to).expect("a valid import");
        match (import.kind, export.kind) {
            (ImportKind::Service { share }, ExportKind::Service { response, threshold }) => {
                let is_to_one = import.is_to_one_subject();
                let way = if is_to_one {
                    Way::ToOne(import.subject.as_bytes().into())
                } else {
                    Way::Back(transform())
                };
                let filter = import.filter().expect("a valid import");
                let terms = ServiceTerms { response, threshold };
                self.by_subject.get_or_insert_default(filter.as_bytes()).push(self.services.len());
                self.services.push(Arc::new(ServiceImport { exporter, way, terms, share }));
            }
            _ => {
                let transform = transform();
                let filter = transform.destination_filter();
                let first = tokens(&filter).next().unwrap_or_default();
                self.by_token.entry(first.into()).or_default().push(self.streams.len());
                self.streams.push(StreamImport { exporter, transform: Arc::new(transform) });
            }
        }
    }

    /// How many streams there are, each of which a subscription may reach.
    pub(crate) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The accounts that streams come from; one may be there several times.
    pub(crate) fn exporters_of_streams(&self) -> impl Iterator<Item = AccountId> {
        self.streams.iter().map(|stream| stream.exporter)
    }

    /// Where a subscription of this account reaches others. Only those of clients do. With how many streams it is compared for
    /// that comes beside.
    pub(crate) fn reached_by(
        &self,
        subscription: &Subscription,
    ) -> (usize, impl Iterator<Item = Reached<'_>>) {
        let is_client = subscription.source() == Source::Client;
        let places = if is_client { self.streams_below(subscription.subject()) } else { Vec::new() };
        let compared = places.len();
        (compared, places.into_iter().filter_map(|import| self.reached_through(import, subscription)))
    }

    /// Where one of a client does by one of the streams.
    pub(crate) fn reached_through(&self, import: usize, subscription: &Subscription) -> Option<Reached<'_>> {
        let StreamImport { exporter, transform } = self.streams.get(import)?;
        let subject = transform.reverse(subscription.subject())?;
        let id = SubscriptionId(subscription.id().0 + 1 + import as u64);
        Some(Reached { exporter: *exporter, id, subject, import, transform })
    }

    /// The streams that a filter may have something of: those whose first token is none that differs, in their order.
    fn streams_below(&self, filter: &[u8]) -> Vec<usize> {
        match tokens(filter).next().unwrap_or_default() {
            b"*" | b">" => (0..self.streams.len()).collect(),
            first => {
                let firsts = [first, b"*", b">"].into_iter();
                let mut places: Vec<_> =
                    firsts.filter_map(|first| self.by_token.get(first)).flatten().copied().collect();
                places.sort_unstable();
                places
            }
        }
    }

    /// The services that a message to `subject` is a request for, in the order in which they were configured, each with the subject
    /// as its exporter knows it.
    pub(crate) fn services_of(&self, subject: &[u8]) -> Vec<(&Arc<ServiceImport>, Vec<u8>)> {
        let mut places = Vec::new();
        self.by_subject.any(subject, |found| {
            places.extend_from_slice(found);
            false
        });
        places.sort_unstable();
        let services = places.into_iter().map(|place| &self.services[place]);
        services.filter_map(|service| Some((service, service.way.asked(subject)?))).collect()
    }
}

impl Way {
    /// What the exporter hears where `subject` is asked.
    fn asked(&self, subject: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::ToOne(only) => Some(only.to_vec()),
            Self::Back(transform) => transform.reverse(subject),
        }
    }
}

impl Reached<'_> {
    /// The subscription there, which stands for `original` of the account `importer`.
    pub(crate) fn shadow_of(self, original: &Arc<Subscription>, importer: AccountId) -> Subscription {
        let (original, transform) = (original.clone(), self.transform.clone());
        let shadow = Shadow { original, account: importer, import: self.import, transform };
        Subscription::new_shadow(self.id, &self.subject, shadow)
    }

    /// What it is found by there, to be removed.
    pub(crate) fn key_of(self, original: &Subscription) -> Subscription {
        let (connection, source) = (original.connection(), original.source());
        let queue = original.queue().unwrap_or_default();
        Subscription::new(self.id, connection, source, &self.subject, queue, original.sid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ConnectionId;

    const EXPORTER: AccountId = AccountId::new(7, 0);

    fn imports(all: &[Import]) -> Imports {
        let mut imports = Imports::default();
        for import in all {
            let export = match import.kind {
                ImportKind::Stream => Export::stream(&import.subject),
                ImportKind::Service { .. } => Export::service(&import.subject, Response::Single),
            };
            imports.add(EXPORTER, import, &export);
        }
        imports
    }

    #[test]
    fn a_subscription_reaches_each_stream_that_it_may_hear_with_an_id_of_its_own() {
        let all = [("s.*", "x.$1"), ("t.>", "y.>"), ("u.*", "x.u.$1")];
        let imports = imports(&all.map(|(subject, to)| Import::stream("A", subject, to)));
        let new = |source, subject: &[u8]| {
            let (id, connection) = (SubscriptionId(100), ConnectionId::new(1, 0));
            Arc::new(Subscription::new(id, connection, source, subject, b"q", b"sid"))
        };
        let original = new(Source::Client, b"x.>");
        let reached: Vec<_> =
            imports.reached_by(&original).1.map(|reached| reached.key_of(&original)).collect();
        let shown: Vec<_> = reached.iter().map(|key| (key.id().0, key.subject(), key.queue())).collect();
        assert_eq!(shown, [(101, &b"s.*"[..], Some(&b"q"[..])), (103, b"u.*", Some(b"q"))]);
        let found_by = |subscription: &Subscription| (subscription.id(), subscription.text().to_vec());
        let shadows = imports.reached_by(&original).1.map(|to| to.shadow_of(&original, AccountId::new(2, 0)));
        assert!(shadows.map(|shadow| found_by(&shadow)).eq(reached.iter().map(found_by)));
        let counts = |source, subject: &[u8]| {
            let subscription = new(source, subject);
            let (compared, reached) = imports.reached_by(&subscription);
            (compared, reached.count())
        };
        assert_eq!(counts(Source::Route, b"x.>"), (0, 0), "others subscribe there");
        let of_clients = [&b">"[..], b"x.>", b"x.u.a.b", b"y", b"z"].map(|it| counts(Source::Client, it));
        assert_eq!(of_clients, [(3, 3), (2, 2), (2, 0), (1, 0), (0, 0)]);
        assert_eq!(imports.streams(), 3);
    }

    #[test]
    fn a_subject_leads_to_all_services_that_it_is_one_of_in_their_order() {
        let all = [("q.*", "ask.$1"), ("one", "*.7"), ("w.>", "ask.>"), ("p.*.*", "ask.$2.$1")];
        let imports = imports(&all.map(|(subject, to)| Import::service("A", subject, to)));
        let asked = |subject: &[u8]| -> Vec<String> {
            let services = imports.services_of(subject).into_iter();
            services.map(|(_, subject)| String::from_utf8(subject).expect("ASCII")).collect()
        };
        assert_eq!(asked(b"ask.7"), ["q.7", "one", "w.7"]);
        assert_eq!(asked(b"ask.1.2"), ["w.1.2", "p.2.1"]);
        assert_eq!(asked(b"x.7"), ["one"]);
        assert!(asked(b"ask").is_empty() && asked(b"ask..7").is_empty());
    }
}
