//! What an account takes from others (wire.md 1.12).

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Export, ExportKind, Import, ImportKind, Response};
use crate::id::AccountId;
use crate::interest::{Shadow, Source, Subscription, SubscriptionId};
use crate::mapping::ImportTransform;
use crate::permissions::Filters;

/// The imports of an account. They are as they are for as long as the node runs.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    streams: Vec<StreamImport>,
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
            _ => self.streams.push(StreamImport { exporter, transform: Arc::new(transform()) }),
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

    /// Where a subscription of this account reaches others. Only those of clients do.
    pub(crate) fn reached_by(&self, subscription: &Subscription) -> impl Iterator<Item = Reached<'_>> {
        (0..self.streams.len()).filter_map(|import| self.reached_through(import, subscription))
    }

    /// Where it does by one of the streams.
    pub(crate) fn reached_through(&self, import: usize, subscription: &Subscription) -> Option<Reached<'_>> {
        let StreamImport { exporter, transform } = self.streams.get(import)?;
        if subscription.source() != Source::Client {
            return None;
        }
        let subject = transform.reverse(subscription.subject())?;
        let id = SubscriptionId(subscription.id().0 + 1 + import as u64);
        Some(Reached { exporter: *exporter, id, subject, import, transform })
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
