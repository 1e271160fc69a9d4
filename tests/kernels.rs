//! Compares every kernel of every engine with the reference, by the table of `partwise check`.

mod common;

use partwise::engine::{Cpu, Reference};
use partwise::{AnyEngine, check};

fn assert_all(rows: &[check::Row]) {
    let failed: Vec<_> = rows.iter().filter(|row| !row.passed()).collect();
    assert!(rows.len() == check::KERNELS && rows.iter().all(|row| row.cases == 60), "the table lacks cases");
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn cpu_kernels_agree_with_the_reference() {
    assert_all(&check::run(&AnyEngine::Cpu(Cpu::new(Some(2)).unwrap()), 5e-6, &mut |_| ()).unwrap());
}

#[test]
fn gpu_kernels_agree_with_the_reference() {
    if let Some(gpu) = common::gpu() {
        assert_all(&check::run(&AnyEngine::Gpu(gpu), 2e-5, &mut |_| ()).unwrap());
    }
}

#[test]
fn the_reference_agrees_with_itself() {
    assert!(check::run(&AnyEngine::Reference(Reference), 0.0, &mut |_| ()).unwrap().iter().all(check::Row::passed));
}
