//! What the rest of the crate cites: `design.md` and `wire.md`, each with numbered sections.

#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[doc = include_str!("../docs/wire.md")]
#[allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "lines of the protocol, which are full of brackets"
)]
pub mod wire {}
