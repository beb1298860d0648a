//! Whether accounts can have of each other what they want to (wire.md 1.12).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{AccountConfig, ConfigError, Export, Import, Sharing};
use crate::mapping::TransformError;
use crate::wire::subject::{filters_overlap, is_valid_filter};

/// Why an account cannot have an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportError {
    /// Its subject is no filter, or has no wildcard where an account is to be named.
    InvalidSubject,
    /// Its subject is that of another export of the same kind.
    Duplicate,
}

/// Why an account cannot have an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// One of its subjects is no filter.
    InvalidSubject,
    /// It is not exported, or not to this account.
    NotAuthorized(Sharing),
    /// What it is to the importer does not fit what it is to the exporter.
    Transform {
        /// The subjects that are transformed.
        from: String,
        /// What they become.
        to: String,
        /// Stream or service.
        kind: Sharing,
        /// Why they cannot.
        error: TransformError,
    },
    /// The stream is imported already.
    AlreadyThere,
    /// A service of the same exporter has the same subjects.
    DuplicateService {
        /// The subjects, as the importer knows them.
        to: String,
        /// The exporter.
        account: String,
        /// What the exporter calls that of the service that was there before.
        subject: String,
    },
    /// It would come back to where it comes from.
    Cycle,
}

/// All that is wrong with what accounts share: exports first, and streams before services, each in the order of the accounts.
/// What hangs on a fault is told, too. Names of accounts that are there twice are not looked at.
pub(super) fn faults(accounts: &[AccountConfig]) -> Vec<ConfigError> {
    let known = accounts.iter().map(|account| (account.name.as_str(), account)).collect();
    let mut faults = Vec::new();
    let kinds = [Sharing::Stream, Sharing::Service];
    for kind in kinds {
        accounts.iter().for_each(|account| check_exports(account, kind, &known, &mut faults));
    }
    for kind in kinds {
        let mut taken = Taken { known: &known, kind, of_accounts: BTreeMap::new() };
        accounts.iter().for_each(|account| taken.add_all(account, &mut faults));
    }
    faults
}

/// Accounts by name.
type Known<'a> = BTreeMap<&'a str, &'a AccountConfig>;

fn check_exports(account: &AccountConfig, kind: Sharing, known: &Known<'_>, faults: &mut Vec<ConfigError>) {
    let mut subjects = BTreeSet::new();
    for export in account.exports.iter().filter(|export| export.kind.sharing() == kind) {
        let listed = export.accounts.iter().flatten();
        faults.extend(
            listed
                .filter(|name| !known.contains_key(name.as_str()))
                .map(|name| ConfigError::ExportToUnknownAccount { account: name.clone(), kind }),
        );
        if let Err(error) = check_export(export, &mut subjects) {
            faults.push(ConfigError::Export { subject: export.subject.clone(), kind, error });
        }
    }
}

fn check_export<'a>(export: &'a Export, subjects: &mut BTreeSet<&'a str>) -> Result<(), ExportError> {
    if !is_valid_filter(export.subject.as_bytes()) || !export.has_its_token() {
        return Err(ExportError::InvalidSubject);
    }
    if !subjects.insert(&export.subject) {
        return Err(ExportError::Duplicate);
    }
    Ok(())
}

/// The imports of one kind that are well, by importer, as far as they were looked at.
struct Taken<'a> {
    known: &'a Known<'a>,
    kind: Sharing,
    of_accounts: BTreeMap<&'a str, Vec<Link<'a>>>,
}

/// An import and its filter at the importer.
struct Link<'a> {
    import: &'a Import,
    filter: String,
}

impl<'a> Taken<'a> {
    fn add_all(&mut self, importer: &'a AccountConfig, faults: &mut Vec<ConfigError>) {
        let kind = self.kind;
        for import in importer.imports.iter().filter(|import| import.kind.sharing() == kind) {
            let Some(exporter) = self.known.get(import.account.as_str()) else {
                faults.push(ConfigError::UnknownExporter { account: import.account.clone(), kind });
                continue;
            };
            if let Err(error) = self.add(&importer.name, exporter, import) {
                faults.push(ConfigError::Import { subject: import.subject.clone(), kind, error });
            }
        }
    }

    fn add(
        &mut self,
        importer: &'a str,
        exporter: &AccountConfig,
        import: &'a Import,
    ) -> Result<(), ImportError> {
        let is_filter = |subject: &str| is_valid_filter(subject.as_bytes());
        if self.kind == Sharing::Service && !(is_filter(&import.subject) && is_filter(&import.to)) {
            return Err(ImportError::InvalidSubject);
        }
        if exporter.export_for(importer, import).is_none() {
            return Err(ImportError::NotAuthorized(self.kind));
        }
        let filter = import.filter().map_err(|error| unfit(import, error))?;
        let link = Link { import, filter };
        self.check_twin(importer, &link)?;
        if self.comes_back(importer, &link) {
            return Err(ImportError::Cycle);
        }
        self.of_accounts.entry(importer).or_default().push(link);
        Ok(())
    }

    /// Whether there is one like it from the same exporter.
    fn check_twin(&self, importer: &str, link: &Link<'_>) -> Result<(), ImportError> {
        let mut from_there =
            self.of(importer).iter().filter(|other| other.import.account == link.import.account);
        match self.kind {
            Sharing::Stream if from_there.any(|other| other.import.subject == link.import.subject) => {
                Err(ImportError::AlreadyThere)
            }
            Sharing::Service => {
                from_there.find(|other| other.filter == link.filter).map_or(Ok(()), |other| {
                    let Import { account, subject, .. } = other.import.clone();
                    Err(ImportError::DuplicateService { to: link.import.to.clone(), account, subject })
                })
            }
            Sharing::Stream => Ok(()),
        }
    }

    /// Whether what `link` brings could, by way of others, come from what it brings.
    fn comes_back(&self, importer: &str, link: &Link<'_>) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![link.import];
        while let Some(import) = open.pop() {
            let meets = |filter: &str| filters_overlap(filter.as_bytes(), import.subject.as_bytes());
            if import.account == importer && meets(&link.filter) {
                return true;
            }
            for (at, next) in self.of(&import.account).iter().enumerate() {
                if meets(&next.filter) && seen.insert((import.account.as_str(), at)) {
                    open.push(next.import);
                }
            }
        }
        false
    }

    fn of(&self, importer: &str) -> &[Link<'a>] {
        self.of_accounts.get(importer).map_or(&[], Vec::as_slice)
    }
}

/// An import whose subjects do not fit each other. Requests go from the importer to the exporter.
fn unfit(import: &Import, error: TransformError) -> ImportError {
    let Import { subject, to, kind, .. } = import.clone();
    let kind = kind.sharing();
    match kind {
        Sharing::Stream => ImportError::Transform { from: subject, to, kind, error },
        Sharing::Service => ImportError::Transform { from: to, to: subject, kind, error },
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidSubject => "sublist: invalid subject",
            Self::Duplicate => "it is there twice",
        })
    }
}

impl std::error::Error for ExportError {}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSubject => f.write_str("sublist: invalid subject"),
            Self::NotAuthorized(kind) => write!(f, "{kind} import not authorized"),
            Self::Transform { from, to, kind, error } => {
                write!(f, "failed to create mapping transform for {kind} import subject ")?;
                write!(f, "from {from:?} to {to:?}: {error}")
            }
            Self::AlreadyThere => f.write_str("stream import already exists"),
            Self::DuplicateService { to, account, subject } => {
                write!(f, "duplicate service import subject {to:?}, ")?;
                write!(f, "previously used in import for account {account:?}, subject {subject:?}")
            }
            Self::Cycle => f.write_str("import forms a cycle"),
        }
    }
}

impl std::error::Error for ImportError {}
