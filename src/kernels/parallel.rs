//! Runs tasks on all cores, or sequentially on wasm.

use std::marker::PhantomData;

/// Calls `task` with every index below `tasks`, in any order.
#[cfg(not(target_arch = "wasm32"))]
pub fn for_each(tasks: usize, task: impl Fn(usize) + Sync + Send) {
    use rayon::prelude::*;
    if tasks == 1 {
        task(0);
    } else {
        (0..tasks).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// Calls `task` with every index below `tasks`.
#[cfg(target_arch = "wasm32")]
pub fn for_each(tasks: usize, task: impl Fn(usize)) {
    (0..tasks).for_each(task);
}

/// A slice that several tasks write to, each to its own part.
pub struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: the data is reachable only through `slice` and `pointer`, whose callers keep their parts disjoint.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub fn new(data: &'a mut [T]) -> Self {
        Self { start: data.as_mut_ptr(), len: data.len(), life: PhantomData }
    }

    /// # Safety
    /// No other reference to any of these elements may be alive at the same time.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, at: usize, len: usize) -> &mut [T] {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "a task's part must be inside the slice");
        // SAFETY: in range by the assertion, exclusive by the contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }

    /// # Safety
    /// `at` must be inside the slice, and no two tasks may use the same element.
    pub unsafe fn pointer(&self, at: usize) -> *mut T {
        // SAFETY: in range by the contract.
        unsafe { self.start.add(at) }
    }
}
