//! The separation service: HTTP in front, the pipeline behind.
//!
//! ```text
//! upload ─ uploads ─ store (SQLite) ─ queue ─┬─ desk: model + engine + live run ─┬─ results ─ http
//!                                            └─ training: a model                ┘
//! ```
//!
//! A job is accepted once it is in the store; the queue is the order of those that have not ended. A *desk* is a thread that keeps a
//! model and an engine, and makes panels of all jobs that wait for them. Nothing of this prints or reads the environment.

mod clock;
mod desk;
mod dispatch;
mod folders;
mod hex;
mod http;
mod job;
mod media;
mod metrics;
mod models;
mod names;
mod options;
mod queue;
mod refusal;
mod server;
mod service;
mod settings;
mod store;
mod tokens;
mod training;
mod uploads;

pub use http::{JobView, RecordingView, SourceView, StemView};
pub use job::{Kind, State};
pub use server::{Server, Stop};
pub use settings::{Limits, Settings};
pub use tokens::Tokens;
