//! Tests of the library, called as programs call it. One program, because linking one per module takes longer than the tests.

#[path = "../common/mod.rs"]
mod common;

mod audio;
mod damage;
mod explain;
mod front;
mod metrics;
mod streams;
