//! The cluster's name, and how members agree on it (wire.md 3.6).

use log::info;

use crate::quote::brief;

/// A name that is configured, generated, or taken over from a peer.
#[derive(Debug)]
pub(super) struct ClusterName {
    pub(super) text: String,
    /// It was not configured: INFO says so even of a name that was taken over.
    pub(super) dynamic: bool,
    /// It was generated, so it gives way to a peer's. One that was taken over from a named peer does not.
    pub(super) yields: bool,
}

/// What comes of a peer's name for the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// Both call it the same.
    Same,
    /// This node calls it like the peer from now on, and has nothing in common with the others any more.
    TakenOver,
    /// They are of two clusters.
    None,
}

impl ClusterName {
    pub(super) fn new(configured: Option<String>, generate: impl FnOnce() -> String) -> Self {
        let dynamic = configured.is_none();
        Self { text: configured.unwrap_or_else(generate), dynamic, yields: dynamic }
    }

    /// Whether both belong to one cluster, if need be by taking over the peer's name for it.
    pub(super) fn agree(&mut self, theirs: &str, theirs_is_dynamic: bool) -> Agreement {
        if theirs == self.text {
            return Agreement::Same;
        }
        if !self.yields || theirs_is_dynamic && theirs <= self.text.as_str() {
            return Agreement::None;
        }
        self.text = theirs.to_owned();
        self.yields = theirs_is_dynamic;
        info!("Cluster name updated to {}", brief(theirs));
        Agreement::TakenOver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(own: Option<&str>, theirs: &str, theirs_is_dynamic: bool) -> (Agreement, String) {
        let mut name = ClusterName::new(own.map(str::to_owned), || "generated".to_owned());
        (name.agree(theirs, theirs_is_dynamic), name.text)
    }

    #[test]
    fn a_generated_name_gives_way_to_a_given_one_and_to_a_greater_one() {
        assert_eq!(agree(None, "given", false), (Agreement::TakenOver, "given".to_owned()));
        assert_eq!(agree(None, "greater", true), (Agreement::TakenOver, "greater".to_owned()));
        assert_eq!(agree(None, "a", true), (Agreement::None, "generated".to_owned()));
        assert_eq!(agree(None, "generated", true), (Agreement::Same, "generated".to_owned()));
    }

    #[test]
    fn a_given_name_stays() {
        assert_eq!(agree(Some("own"), "own", false).0, Agreement::Same);
        assert_eq!(agree(Some("own"), "other", false), (Agreement::None, "own".to_owned()));
        assert_eq!(agree(Some("own"), "p", true), (Agreement::None, "own".to_owned()));
    }

    #[test]
    fn a_name_that_was_taken_over_from_a_named_peer_stays_too() {
        let mut name = ClusterName::new(None, || "generated".to_owned());
        assert_eq!(name.agree("given", false), Agreement::TakenOver);
        assert_eq!(name.agree("other", false), Agreement::None);
        assert!(name.dynamic, "INFO still says that it was not configured");
    }
}
