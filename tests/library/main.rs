//! Tests of the library, called as programs call it. One program, which is linked once, and not once per module.

#[path = "../common/mod.rs"]
mod common;

mod audio;
mod damage;
mod explain;
mod front;
mod metrics;
mod streams;
