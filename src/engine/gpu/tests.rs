//! The device layer on whatever adapter there is. What the kernels compute is compared in tests/kernels.rs.

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use super::shader::{Kernel, Params, Source, Uniform};
use super::*;
use crate::divergence::Divergence;
use crate::engine::Reference;
use crate::kernels::{Glue, Mask, Norm, Products, Rule};
use crate::random::Stream;

/// The best gpu, by the policy of tests/common.
fn gpu() -> Option<Gpu> {
    match Gpu::open(&GpuChoice::Best) {
        Ok(gpu) => Some(gpu),
        Err(cause) if std::env::var("PARTWISE_REQUIRE_GPU").is_ok_and(|value| value == "1") => {
            panic!("PARTWISE_REQUIRE_GPU is 1, and {cause}")
        }
        Err(cause) => {
            eprintln!("SKIPPED: no adapter: {cause}");
            None
        }
    }
}

/// Numbers near 1, the same for every run.
fn random(name: &str, rows: usize, columns: usize) -> Array2<f32> {
    let stream = Stream::new(7, name);
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        (0.1 + stream.uniform((row * columns + column) as u64)) as f32
    })
}

/// Every kernel once: gains, bases, norms, costs and masks of a case, laid end to end.
fn everything(gpu: &Gpu, v: ArrayView2<f32>, w: ArrayView2<f32>, h: ArrayView2<f32>) -> Vec<f32> {
    let rule = Rule { floor: 0.05, sparsity: 0.01, ..Rule::of(Divergence::ItakuraSaito) };
    let v = gpu.panel(v).unwrap();
    let (mut w, mut h) = (gpu.matrix(w).unwrap(), gpu.panel(h).unwrap());
    gpu.update_gains(&v, &w, &mut h, &rule).unwrap();
    gpu.update_bases(&v, &mut w, &h, &rule).unwrap();
    gpu.update_bases(&v, &mut w, &h, &Rule::of(Divergence::KullbackLeibler)).unwrap();
    gpu.normalize(&mut w, Some(&mut h), Norm::L2).unwrap();
    let sources = [0..1, 1..w.columns];
    let mut all: Vec<f32> =
        gpu.costs(&v, &w, &h, rule.divergence).unwrap().into_iter().map(|cost| cost as f32).collect();
    for mask in gpu.masks(&w, &h, &sources, Mask::Ratio(2.0)).unwrap() {
        all.extend(gpu.read_panel::<f32>(&mask).unwrap());
    }
    all.extend(gpu.read_matrix::<f32>(&w).unwrap());
    all.extend(gpu.read_panel::<f32>(&h).unwrap());
    all
}

#[test]
fn panels_and_matrices_come_back_as_they_were() {
    let Some(mut gpu) = gpu() else { return };
    for chunk_columns in [64, MAX_CHUNK_COLUMNS] {
        gpu.chunk_columns = chunk_columns;
        for (rows, columns) in [(1, 1), (3, 31), (33, 65), (130, 200)] {
            let values = random("values", rows, columns);
            let wide = values.mapv(f64::from);
            assert_eq!(gpu.read_panel::<f32>(&gpu.panel(values.view()).unwrap()).unwrap(), values);
            assert_eq!(gpu.read_panel::<f64>(&gpu.panel(wide.t()).unwrap()).unwrap(), wide.t());
            assert_eq!(gpu.read_matrix::<f64>(&gpu.matrix(values.t()).unwrap()).unwrap(), wide.t());
            let reversed = values.slice(s![..;-1, ..;-1]);
            assert_eq!(gpu.read_panel::<f32>(&gpu.panel(reversed).unwrap()).unwrap(), reversed);
        }
        let panel = gpu.panel(random("values", 2, 70).view()).unwrap();
        assert!(gpu.read_panel::<f32>(&panel).unwrap().t().is_standard_layout());
        assert_eq!(panel.chunks.len(), if chunk_columns == 64 { 2 } else { 1 });
    }
}

#[test]
fn a_panel_in_many_chunks_has_the_bits_of_one_in_one() {
    let Some(mut gpu) = gpu() else { return };
    // The last shape has more tiles than a panel has splits, so that splits lie across chunks of three tiles.
    for (rows, columns, components) in [(40, 300, 33), (5, 97, 2), (3, 9001, 2)] {
        let (v, w, h) = (random("v", rows, columns), random("w", rows, components), random("h", components, columns));
        gpu.chunk_columns = MAX_CHUNK_COLUMNS;
        let whole = everything(&gpu, v.view(), w.view(), h.view());
        for chunk_columns in [32, 96] {
            gpu.chunk_columns = chunk_columns;
            assert!(everything(&gpu, v.view(), w.view(), h.view()) == whole, "{rows} x {columns}, {chunk_columns}");
        }
    }
}

#[test]
fn dirty_memory_changes_nothing() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (random("v", 37, 70), random("w", 37, 5), random("h", 5, 70));
    let clean = everything(&gpu, v.view(), w.view(), h.view());
    for _ in 0..2 {
        let junk: Vec<GpuPanel> = [1, 5, 37, 64, 150]
            .iter()
            .map(|&rows| gpu.panel(Array2::from_elem((rows, 96), f32::NAN).view()).unwrap())
            .collect();
        drop(junk);
        assert_eq!(everything(&gpu, v.view(), w.view(), h.view()), clean);
    }
}

#[test]
fn a_column_has_the_same_bits_wherever_it_stands() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (random("v", 45, 83), random("w", 45, 130), random("h", 130, 83));
    let updated = |v: ArrayView2<f32>, h: ArrayView2<f32>| {
        let (v, w, mut h) = (gpu.panel(v).unwrap(), gpu.matrix(w.view()).unwrap(), gpu.panel(h).unwrap());
        gpu.update_gains(&v, &w, &mut h, &Rule::of(Divergence::Beta(0.5))).unwrap();
        let costs = gpu.costs(&v, &w, &h, Divergence::KullbackLeibler).unwrap();
        (gpu.read_panel::<f32>(&h).unwrap(), costs)
    };
    let (gains, costs) = updated(v.view(), h.view());
    let moved = |x: &Array2<f32>| concatenate(Axis(1), &[x.slice(s![.., 50..51]), x.slice(s![.., ..50])]).unwrap();
    let (moved_gains, moved_costs) = updated(moved(&v).view(), moved(&h).view());
    assert_eq!(moved_gains.column(0), gains.column(50));
    assert_eq!(moved_gains.slice(s![.., 1..]), gains.slice(s![.., ..50]));
    assert_eq!((moved_costs[0], &moved_costs[1..]), (costs[50], &costs[..50]));
}

#[test]
fn the_rule_is_kept_whole() {
    let Some(gpu) = gpu() else { return };
    let (v, w, mut h) = (random("v", 19, 45), random("w", 19, 6), random("h", 6, 45));
    h.row_mut(2).fill(0.0);
    for (exponent, sparsity, floor) in [(0.5, 0.0, 0.0), (0.7, 0.3, 1e-3), (1.0, 2.0, 0.2)] {
        let rule = Rule { exponent, sparsity, floor, ..Rule::of(Divergence::KullbackLeibler) };
        let (wide_v, mut wide_w, mut wide_h) = (v.mapv(f64::from), w.mapv(f64::from), h.mapv(f64::from));
        Reference.update_gains(&wide_v, &wide_w, &mut wide_h, &rule).unwrap();
        Reference.update_bases(&wide_v, &mut wide_w, &wide_h, &rule).unwrap();
        let (v, mut w, mut h) =
            (gpu.panel(v.view()).unwrap(), gpu.matrix(w.view()).unwrap(), gpu.panel(h.view()).unwrap());
        gpu.update_gains(&v, &w, &mut h, &rule).unwrap();
        gpu.update_bases(&v, &mut w, &h, &rule).unwrap();
        let near = |a: Array2<f64>, b: &Array2<f64>| {
            let largest = b.iter().copied().fold(0.0, f64::max);
            assert!((a - b).iter().all(|error| error.abs() <= 2e-5 * largest), "γ {exponent}, λ {sparsity}, {floor}");
        };
        near(gpu.read_panel(&h).unwrap(), &wide_h);
        near(gpu.read_matrix(&w).unwrap(), &wide_w);
    }
}

#[test]
fn bases_too_large_for_one_pass_take_several() {
    let Some(gpu) = gpu() else { return };
    let (rows, components) = (2080, 4093);
    let (v, w, h) = (random("v", rows, 1), random("w", rows, components), random("h", components, 1));
    let (panel, gains) = (gpu.panel(v.view()).unwrap(), gpu.panel(h.view()).unwrap());
    let mut bases = gpu.matrix(w.view()).unwrap();
    gpu.update_bases(&panel, &mut bases, &gains, &Rule::of(Divergence::Euclidean)).unwrap();
    let updated = gpu.read_matrix::<f64>(&bases).unwrap();
    // With one column N / D is v / λ in all components alike.
    for row in 0..rows {
        let lambda: f64 = w.row(row).iter().zip(&h).map(|(&w, &h)| f64::from(w) * f64::from(h)).sum();
        let ratio = f64::from(v[(row, 0)]) / lambda;
        for (component, &w) in w.row(row).iter().enumerate() {
            let expected = f64::from(w) * ratio;
            assert!(
                (updated[(row, component)] - expected).abs() <= 2e-5 * expected,
                "row {row}, component {component}"
            );
        }
    }
}

#[test]
fn a_grid_longer_than_a_dimension_reaches_every_cell() {
    let Some(gpu) = gpu() else { return };
    let (w, h) = (random("w", 1, 4096), random("h", 4096, 4096));
    let (mut bases, mut gains) = (gpu.matrix(w.view()).unwrap(), gpu.panel(h.view()).unwrap());
    gpu.normalize(&mut bases, Some(&mut gains), Norm::L1).unwrap();
    let scaled = gpu.read_panel::<f32>(&gains).unwrap();
    for ((scaled, h), w) in scaled.rows().into_iter().zip(h.rows()).zip(&w) {
        assert!(scaled.iter().zip(h).all(|(scaled, h)| (scaled - h * w).abs() <= 1e-6 * h * w));
    }
}

#[test]
fn many_runs_in_one_recording_keep_their_own_uniforms() {
    let Some(gpu) = gpu() else { return };
    let (v, w, h) = (random("v", 4, 6), random("w", 4, 2), random("h", 2, 6));
    let (v, w) = (gpu.panel(v.view()).unwrap(), gpu.matrix(w.view()).unwrap());
    let gains = |read_between: bool| {
        let mut h = gpu.panel(h.view()).unwrap();
        for iteration in 0..600 {
            let rule = Rule { sparsity: f64::from(iteration % 7) * 0.01, ..Rule::of(Divergence::Euclidean) };
            gpu.update_gains(&v, &w, &mut h, &rule).unwrap();
            if read_between && iteration % 50 == 0 {
                gpu.read_panel::<f32>(&h).unwrap();
            }
        }
        gpu.read_panel::<f32>(&h).unwrap()
    };
    assert_eq!(gains(false), gains(true));
}

#[test]
fn several_threads_may_use_one_gpu() {
    let Some(gpu) = gpu() else { return };
    let case = |seed: usize| {
        let name = |array: &str| format!("{array}{seed}");
        let (v, w, h) = (random(&name("v"), 20, 40), random(&name("w"), 20, 3), random(&name("h"), 3, 40));
        everything(&gpu, v.view(), w.view(), h.view())
    };
    let alone: Vec<Vec<f32>> = (0..3).map(case).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|seed| scope.spawn(move || (0..5).map(|_| case(seed)).collect())).collect();
        for (thread, alone) in threads.into_iter().zip(&alone) {
            let results: Vec<Vec<f32>> = thread.join().unwrap();
            assert!(results.iter().all(|result| result == alone));
        }
    });
}

#[test]
fn too_much_memory_is_refused_and_the_gpu_goes_on() {
    let Some(gpu) = gpu() else { return };
    assert!(matches!(gpu.storage(1 << 45), Err(Error::Engine(EngineError::OutOfMemory(_)))));
    assert!(matches!(gpu.panel(Array2::<f32>::zeros((MAX_ROWS + 1, 1)).view()), Err(Error::Input(_))));
    assert!(matches!(gpu.matrix(Array2::<f32>::zeros((1, MAX_ROWS + 1)).view()), Err(Error::Input(_))));
    assert!(matches!(gpu.panel(Array2::<f32>::zeros((3, 0)).view()), Err(Error::Input(_))));
    assert_eq!(gpu.read_panel::<f32>(&gpu.panel(random("v", 2, 2).view()).unwrap()).unwrap(), random("v", 2, 2));
}

#[test]
fn a_refused_command_is_told_once_and_the_gpu_goes_on() {
    let Some(gpu) = gpu() else { return };
    static BROKEN: Kernel = Kernel {
        source: Source { path: "shaders/broken.wgsl", text: "// Broken.\nfn main() { nothing(); }\n", imports: &[] },
        storages: &[],
        constants: &[],
        uniform: Params::MEMBERS,
    };
    let panel = gpu.panel(random("v", 2, 2).view()).unwrap();
    let run = Run {
        kernel: &BROKEN,
        divergence: None,
        constants: &[],
        uniform: Params::default(),
        storages: &[],
        workgroups: 1,
        work: 1,
    };
    gpu.run(run).unwrap();
    match gpu.read_panel::<f32>(&panel) {
        Err(Error::Engine(EngineError::Refused(cause))) => {
            assert!(cause.contains("shaders/broken.wgsl:2") && cause.contains("nothing"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(gpu.read_panel::<f32>(&panel).unwrap(), random("v", 2, 2));
}

#[test]
fn a_lost_device_is_told_for_ever() {
    let Some(gpu) = gpu() else { return };
    let panel = gpu.panel(random("v", 2, 2).view()).unwrap();
    gpu.device
        .post(|worker| {
            worker.destroy();
            Ok(())
        })
        .unwrap();
    for _ in 0..2 {
        let lost = gpu.read_panel::<f32>(&panel);
        assert!(matches!(lost, Err(Error::Engine(EngineError::Lost(_)))), "{lost:?}");
        assert!(matches!(gpu.storage(1 << 20), Err(Error::Engine(EngineError::Lost(_)))));
    }
}
