//! What the rest of the crate cites: `design.md` and `wire.md`, each with numbered sections.

#[doc = include_str!("../docs/design.md")]
#[allow(clippy::doc_lazy_continuation, reason = "a list item goes on at the margin")]
pub mod design {}

#[doc = include_str!("../docs/wire.md")]
#[allow(
    clippy::doc_lazy_continuation,
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "lines of the protocol, which are full of brackets, in lists that go on at the margin"
)]
pub mod wire {}
