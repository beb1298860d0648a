//! The parser: operations in and out, INFO and CONNECT, subjects and headers.

mod arguments;
mod op;
mod parser;

pub use arguments::MAX_SIZE_DIGITS;
pub use op::{LeafOrigin, Op, Publish, RoutedMessage, RoutedSub, RoutedUnsub};
pub use parser::{Dialect, ParseError, Parsed, Parser, Role};
