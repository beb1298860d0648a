//! Whether a route is compressed, and how (wire.md 5.2).

use std::time::Duration;

use crate::config::{Compression, RttThresholds};
use crate::transport::S2Level;

/// What two servers make of what they say of compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What this node says of it to a peer that it dialed.
    pub(super) says: &'static str,
    /// How this node compresses what it writes; none if the route is not compressed.
    pub(super) writes: Option<Writing>,
}

/// How a node compresses what it writes on a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    /// The same all the time.
    Always(S2Level),
    /// The harder the longer the way is.
    ByRtt(RttThresholds),
}

impl Writing {
    /// The level for a round-trip time.
    pub(crate) fn level(&self, rtt: Duration) -> S2Level {
        match self {
            Self::Always(level) => *level,
            Self::ByRtt(thresholds) => thresholds.level(rtt),
        }
    }
}

/// What this node and a peer do that says this of compression; none if what it says means nothing.
pub(super) fn decide(own: &Compression, theirs: &str) -> Option<Decision> {
    let none = |says| Some(Decision { says, writes: None });
    let level = S2Level::ALL.into_iter().find(|level| level.mode() == theirs);
    let is_known = level.is_some() || matches!(theirs, ACCEPT | AUTO);
    let writes = match (own, theirs) {
        (Compression::NotSupported, _) => return none(""),
        (Compression::Off, _) => return none(OFF),
        (_, "" | NOT_SUPPORTED) => return none(NOT_SUPPORTED),
        (_, OFF) | (Compression::Accept, ACCEPT) => return none(OFF),
        (Compression::Accept, AUTO) => Writing::Always(S2Level::Fast),
        (Compression::Accept, _) => Writing::Always(level?),
        (Compression::S2(own), _) => Writing::Always(*own),
        (Compression::Auto(thresholds), _) => Writing::ByRtt(thresholds.clone()),
    };
    let says = if let Writing::Always(level) = writes { level.mode() } else { AUTO };
    is_known.then_some(Decision { says, writes: Some(writes) })
}

/// What INFO says of a mode.
pub(super) fn mode(own: &Compression) -> &'static str {
    match own {
        Compression::NotSupported => "",
        Compression::Off => OFF,
        Compression::Accept => ACCEPT,
        Compression::S2(level) => level.mode(),
        Compression::Auto(_) => AUTO,
    }
}

const NOT_SUPPORTED: &str = "not supported";
const OFF: &str = "off";
const ACCEPT: &str = "accept";
const AUTO: &str = "s2_auto";

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said and how is written.
    fn decided(own: &Compression, theirs: &str) -> String {
        match decide(own, theirs) {
            None => "a fault".to_owned(),
            Some(Decision { says, writes: None }) => format!("{says:?}"),
            Some(Decision { says, writes: Some(Writing::Always(level)) }) => {
                format!("{says:?}: {}", level.mode())
            }
            Some(Decision { says, writes: Some(Writing::ByRtt(_)) }) => format!("{says:?}: by RTT"),
        }
    }

    #[test]
    fn two_servers_come_to_the_same_whatever_each_says_of_it() {
        let theirs = ["", "not supported", "off", "accept", "s2_auto", "s2_best", "s2_uncompressed", "zstd"];
        let decided = |own: &Compression| theirs.map(|theirs| decided(own, theirs));
        assert_eq!(decided(&Compression::NotSupported), [r#""""#; 8]);
        assert_eq!(decided(&Compression::Off), [r#""off""#; 8]);
        let none = [r#""not supported""#, r#""not supported""#, r#""off""#];
        let of_accept = [
            r#""off""#,
            r#""s2_fast": s2_fast"#,
            r#""s2_best": s2_best"#,
            r#""s2_uncompressed": s2_uncompressed"#,
        ];
        let expected = [&none[..], &of_accept, &["a fault"]].concat();
        assert_eq!(decided(&Compression::Accept)[..], expected[..]);
        let expected = [&none[..], &[r#""s2_better": s2_better"#; 4], &["a fault"]].concat();
        assert_eq!(decided(&Compression::S2(S2Level::Better))[..], expected[..]);
        let expected = [&none[..], &[r#""s2_auto": by RTT"#; 4], &["a fault"]].concat();
        assert_eq!(decided(&Compression::Auto(RttThresholds::default()))[..], expected[..]);
    }
}
