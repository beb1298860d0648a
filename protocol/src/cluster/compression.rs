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
        (Compression::S2(_) | Compression::Auto(_), _) => wanted(own)?,
    };
    let says = if let Writing::Always(level) = writes { level.mode() } else { AUTO };
    is_known.then_some(Decision { says, writes: Some(writes) })
}

/// How a node writes wherever a route is compressed; none if it leaves that to the peer, or never compresses.
pub(crate) fn wanted(own: &Compression) -> Option<Writing> {
    match own {
        Compression::S2(level) => Some(Writing::Always(*level)),
        Compression::Auto(thresholds) => Some(Writing::ByRtt(thresholds.clone())),
        Compression::NotSupported | Compression::Off | Compression::Accept => None,
    }
}

/// What becomes of a route when this node wants something else of compression (wire.md 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// It stays as it is.
    AsItIs,
    /// What this node writes is of another level.
    InPlace,
    /// Both have to agree on it, which they do only on a new connection.
    Anew,
}

/// What becomes of a route to a peer that said this of compression; none if its handshake is under way.
pub(super) fn follow(old: &Compression, new: &Compression, theirs: Option<&str>) -> Followed {
    let has_agreed = match theirs {
        _ if old == new => return Followed::AsItIs,
        None => wanted(old).is_some(),
        // It never compresses, unless it says so because this node did not.
        Some("") => return Followed::AsItIs,
        Some(NOT_SUPPORTED) if *old != Compression::NotSupported => return Followed::AsItIs,
        Some(theirs) => decide(old, theirs).is_some_and(|decision| decision.writes.is_some()),
    };
    match new {
        Compression::NotSupported | Compression::Off if theirs.is_some() && !has_agreed => Followed::AsItIs,
        Compression::S2(_) | Compression::Auto(_) if has_agreed => Followed::InPlace,
        _ => Followed::Anew,
    }
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
    fn a_route_follows_in_place_from_one_level_to_another_and_anew_where_both_must_agree() {
        let level = |level| Compression::S2(level);
        let [fast, best] = [level(S2Level::Fast), level(S2Level::Best)];
        let auto = Compression::Auto(RttThresholds::default());
        let theirs = [None, Some(""), Some("not supported"), Some("off"), Some("accept"), Some("s2_better")];
        let followed = |old: &Compression, new: &Compression| {
            theirs.map(|theirs| match follow(old, new, theirs) {
                Followed::AsItIs => '-',
                Followed::InPlace => 'p',
                Followed::Anew => 'a',
            })
        };
        let (off, accept) = (Compression::Off, Compression::Accept);
        for (old, new, expected) in [
            (&fast, &fast, "------"),
            (&fast, &best, "p--app"),
            (&fast, &auto, "p--app"),
            (&auto, &best, "p--app"),
            (&fast, &off, "a---aa"),
            (&fast, &accept, "a--aaa"),
            (&off, &fast, "a--aaa"),
            (&off, &accept, "a--aaa"),
            (&accept, &fast, "a--aap"),
            (&accept, &off, "a----a"),
            (&Compression::NotSupported, &fast, "a-aaaa"),
            (&fast, &Compression::NotSupported, "a---aa"),
        ] {
            assert_eq!(followed(old, new).iter().collect::<String>(), expected, "{old:?} to {new:?}");
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
