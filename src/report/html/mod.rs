//! Writes self-contained HTML pages, light and dark, that need no network.

mod listening;
mod page;
mod parts;
mod text;

pub use listening::{Audio, Track, listening};
pub use page::{COLOURS, page};
pub use parts::{facts, figure, listing, table};
pub use text::{escape, url};
