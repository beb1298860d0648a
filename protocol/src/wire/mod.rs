//! The parser: operations in and out, INFO and CONNECT, subjects and headers.

mod op;

pub use op::{LeafOrigin, Op, Publish, RoutedMessage, RoutedSub, RoutedUnsub};
