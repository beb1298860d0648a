//! What a cluster will do, told apart for those who explore all orders of events ([`crate::sim::explore`]).

use std::fmt::Write as _;

use super::*;

impl Cluster {
    /// A text that is the same for two clusters of one node only if both will do the same, though not at the same time, on
    /// whatever they hear from now on. `name` gives connections names that do not depend on the order in which they came.
    ///
    /// It leaves out what never changes, what is counted for readers only, and all times: of these it says only whether they
    /// are set, and of a dial whether it is due `now`. The random stream decides nothing but times. Nor does it tell in which
    /// order connections came, which matters only where several are closed at once, for another name of the cluster: what
    /// follows is the same but for its order.
    pub(crate) fn describe(&self, now: Instant, name: impl Fn(ConnectionId) -> String) -> String {
        // Whoever adds a field has to decide here.
        let Self {
            config: _,
            port: _,
            error_reports: _,
            server_id: _,
            server_name: _,
            own_info: _,
            own_urls: _,
            rng: _,
            cluster_name,
            dynamic,
            yields_name,
            peers,
            links,
            dials,
            next_dial,
            own_addresses,
            healing,
            outputs,
        } = self;
        let next_dial = next_dial.map(|next| next.0.is_some());
        let mut text = format!(
            "{cluster_name} {dynamic} {yields_name} {next_dial:?} {own_addresses:?} {outputs:?} {}\n",
            healing.describe()
        );
        for (id, peer) in peers {
            let _ = writeln!(text, "{id} {}", peer.describe(&name));
        }
        let links = links.iter().map(|(id, link)| format!("{} {}\n", name(*id), link.describe(dials)));
        let mut links: Vec<_> = links.collect();
        links.sort_unstable();
        text.extend(links);
        text + &dials.describe(now, name)
    }

    /// Which of the dials this is, in their order; none if it is over.
    pub(crate) fn place_of(&self, dial: DialId) -> Option<usize> {
        self.dials.place(dial)
    }

    /// Whether a dial is for a connection that is dedicated to an account.
    pub(crate) fn is_dedicated(&self, dial: DialId) -> bool {
        self.dials.get(dial).is_some_and(|dial| dial.account.is_some())
    }
}

impl Link {
    fn describe(&self, dials: &Dials) -> String {
        // Who is at the other end is part of its name.
        let Self { remote: _, dial, origin, progress, armed, probed_until } = self;
        let progress = match progress {
            Progress::Handshake => None,
            Progress::Registered { peer, seat, since: _ } => Some((peer, seat)),
        };
        let dial = dial.and_then(|dial| dials.place(dial));
        format!("{dial:?} {origin:?} {progress:?} {armed} {}", probed_until.is_some())
    }
}
