//! Thousands of damaged files for every reader: no panic, nothing unsound, and little time and memory for each.
//!
//! `CYTOBOX_FUZZ_SEED` and `CYTOBOX_FUZZ_ROUNDS` try other damage, and more; `CYTOBOX_FUZZ_CORPUS` names a folder into which
//! the undamaged files are written, a folder for each target, where cargo-fuzz can start from.
#![cfg(not(target_arch = "wasm32"))]

mod fuzz;
mod image_files;
mod torch_files;

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fuzz::corpus;
use fuzz::mutations::Mutations;
use fuzz::targets::{ALL, Target};

/// Damaged copies of each file.
const ROUNDS: u64 = 200;
const MOST_TIME: Duration = Duration::from_secs(2);
const MOST_MEMORY: usize = 256 << 20;

/// Counts the bytes that are allocated, and the most there ever were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn more(bytes: usize) {
    let now = NOW.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there while the contents move.
        more(size);
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One target at a time, so that what it allocates is its own.
static TURN: Mutex<()> = Mutex::new(());

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a whole number"))
}

/// The sentence of a panic.
fn sentence(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

/// Feeds one file to a target; what it did wrong, if anything.
fn fault(run: fn(&[u8]), bytes: &[u8]) -> Option<String> {
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(bytes)));
    let (time, memory) = (start.elapsed(), PEAK.load(Relaxed).saturating_sub(before));
    match outcome {
        Err(panic) => Some(sentence(&*panic).to_owned()),
        Ok(()) if time > MOST_TIME => Some(format!("takes {time:?}")),
        Ok(()) if memory > MOST_MEMORY => Some(format!("takes {} MiB", memory >> 20)),
        Ok(()) => None,
    }
}

/// Runs a target on its files and on damaged copies of them.
fn fuzz((target, run): Target) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (seed, rounds) = (number("CYTOBOX_FUZZ_SEED", 1), number("CYTOBOX_FUZZ_ROUNDS", ROUNDS));
    let seeds = corpus::seeds(target);
    if let Some(folder) = std::env::var_os("CYTOBOX_FUZZ_CORPUS") {
        write(&Path::new(&folder).join(target), &seeds);
    }
    let mut faults = Vec::new();
    let mut fed = 0;
    for (i, (file, bytes)) in seeds.iter().enumerate() {
        assert_eq!(fault(run, bytes), None, "{target}: {file} as it was made");
        let mut mutations = Mutations::new(seed, i as u64);
        for round in 0..rounds {
            let damaged = mutations.damage(bytes, &seeds[round as usize % seeds.len()].1);
            fed += 1;
            if let Some(fault) = fault(run, &damaged) {
                let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}-{seed}-{i}-{round}"));
                std::fs::write(&kept, &damaged).unwrap();
                faults.push(format!("{file}, seed {seed}, round {round} ({}): {fault}", kept.display()));
            }
        }
    }
    println!("{target}: {fed} damaged files of {}", seeds.len());
    assert!(faults.is_empty(), "{target}: {} faults\n{}", faults.len(), faults[..faults.len().min(10)].join("\n"));
}

fn write(folder: &Path, seeds: &[corpus::Seed]) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, bytes) in seeds {
        std::fs::write(folder.join(name.replace([' ', ','], "-")), bytes).unwrap();
    }
}

macro_rules! each_target {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                fuzz((stringify!($name), fuzz::targets::$name));
            }
        )*

        #[test]
        fn every_target_is_run() {
            assert_eq!(ALL.map(|(name, _)| name), [$(stringify!($name)),*]);
            let manifest = include_str!("fuzz/Cargo.toml");
            for (name, _) in ALL {
                assert!(manifest.contains(&format!("name = \"{name}\"\n")), "cargo-fuzz has no target {name}");
            }
        }
    };
}

each_target!(images label_image voc coco yolo csv labelme via detections gathered weights pickle checkpoint);

#[test]
fn thousands_of_damaged_files_are_made() {
    let files: usize = ALL.iter().map(|(target, _)| corpus::seeds(target).len()).sum();
    assert!(files as u64 * ROUNDS >= 2000, "{files} files");
}

#[test]
fn mutations_are_reproducible_and_differ_from_round_to_round() {
    let bytes = b"<annotation><size><width>64</width></size></annotation>".repeat(4);
    let some = |seed| {
        let mut mutations = Mutations::new(seed, 0);
        (0..50).map(|_| mutations.damage(&bytes, &bytes)).collect::<Vec<_>>()
    };
    assert_eq!(some(1), some(1));
    assert_ne!(some(1), some(2));
    let different: std::collections::BTreeSet<_> = some(1).into_iter().collect();
    assert!(different.len() > 45 && !different.contains(&bytes), "{}", different.len());
}
