//! Tests of the program: each module runs its commands as users do. One program, which is linked once, and not once per module.

#[path = "../common/mod.rs"]
mod common;

mod averaged;
mod blind;
mod cli;
mod client;
mod committee;
mod config;
mod deep;
mod demo;
mod devices;
mod discriminative;
mod earlier;
mod evaluate;
mod first_hour;
mod info;
mod jobs;
mod pictures;
mod reproduce;
mod rest;
mod resume;
mod runs;
mod screen;
mod service;
