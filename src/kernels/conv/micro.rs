//! The two register-blocked inner loops of every CPU convolution, for each instruction set.
//!
//! [`Micro::tile`] keeps `MR` pixels × `NR` channels in registers and walks along the depth through *row pointers*, so
//! no im2col matrix is written (the indirect GEMM of XNNPACK, arXiv 1907.02129). [`Micro::outer`] is the loop of the weight
//! gradient: it keeps `r` input channels × `NR` output channels in registers and walks along the pixels.

/// The largest `MR` of any instruction set.
pub const MAX_MR: usize = 6;
/// The largest `NR` of any instruction set.
pub const MAX_NR: usize = 16;

/// One block of [`Micro::tile`]: `out[r][j] = start + Σ_s Σ_k rows[s·MR + r][offset + k] · panel[(s·len + k)·step + j]`.
pub struct Tile {
    /// `segments × MR` pointers, each to at least `offset + len` values.
    pub rows: *const *const f32,
    pub segments: usize,
    pub offset: usize,
    pub len: usize,
    pub panel: *const f32,
    /// Stride from one row of the panel to the next.
    pub step: usize,
    /// Initial value of the sums: `NR` values for every row, or null to continue from the contents of `out`.
    pub start: *const f32,
    /// `MR` pointers to `NR` values.
    pub out: [*mut f32; MAX_MR],
    pub relu: bool,
}

/// One block of [`Micro::outer`]: `out[r·ld + j] (+)= Σ_m rows[m][channel + r] · panel[m·NR + j]`.
pub struct Outer {
    pub rows: *const *const f32,
    pub count: usize,
    pub channel: usize,
    pub panel: *const f32,
    pub out: *mut f32,
    pub ld: usize,
    pub accumulate: bool,
}

type OuterFn = unsafe fn(&Outer);

/// The loops of one instruction set.
pub struct Micro {
    pub mr: usize,
    pub nr: usize,
    pub tile: unsafe fn(&Tile),
    /// Indexed by the number of input channels minus one, up to `mr`.
    pub outer: [OuterFn; MAX_MR],
    /// Runs this many steps of `spin_width` register-only multiply-adds, to measure the machine's peak.
    pub spin: unsafe fn(usize) -> f32,
    pub spin_width: usize,
}

/// The fastest loops that this machine supports.
pub fn micro() -> &'static Micro {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        return &avx2::MICRO;
    }
    &base::MICRO
}

/// A SIMD register of `N` numbers.
///
/// # Safety
/// `load` and `store` access `N` numbers at the pointer, which need not be aligned. The caller ensures that the machine has
/// the instruction set.
trait Lanes: Copy {
    const N: usize;
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self + a · b`
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `self`, or 0 where it is negative; NaN stays NaN.
    unsafe fn relu(self) -> Self;
}

/// # Safety
/// See [`Tile`] for what the pointers must be valid for. The machine must have `V`'s instructions.
#[inline(always)]
unsafe fn tile<V: Lanes, const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: every access is inside what `Tile` promises: `MR` rows of `offset + len` for each segment,
    // `segments · len` rows of `NR` of the panel, and `NR` of `start` and of each output.
    unsafe {
        let mut acc = [[V::splat(0.0); NV]; MR];
        for (r, acc) in acc.iter_mut().enumerate() {
            let from = if t.start.is_null() { t.out[r].cast_const() } else { t.start };
            for (v, acc) in acc.iter_mut().enumerate() {
                *acc = V::load(from.add(v * V::N));
            }
        }
        let mut panel = t.panel;
        for s in 0..t.segments {
            let mut a = [std::ptr::null::<f32>(); MR];
            for (r, a) in a.iter_mut().enumerate() {
                *a = (*t.rows.add(s * MR + r)).add(t.offset);
            }
            for k in 0..t.len {
                let mut b = [V::splat(0.0); NV];
                for (v, b) in b.iter_mut().enumerate() {
                    *b = V::load(panel.add(v * V::N));
                }
                for r in 0..MR {
                    let x = V::splat(*a[r].add(k));
                    for v in 0..NV {
                        acc[r][v] = acc[r][v].add_product(x, b[v]);
                    }
                }
                // When weights are read in place, this is past the end after the last row, and not read.
                panel = panel.wrapping_add(t.step);
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            for (v, acc) in acc.iter().enumerate() {
                let value = if t.relu { acc.relu() } else { *acc };
                value.store(t.out[r].add(v * V::N));
            }
        }
    }
}

/// # Safety
/// See [`Outer`] for what the pointers must be valid for. The machine must have `V`'s instructions.
#[inline(always)]
unsafe fn outer<V: Lanes, const R: usize, const NV: usize>(o: &Outer) {
    // SAFETY: every access is inside what `Outer` promises: `channel + R` of each row, `count · NR` of the panel,
    // `NR` at each of the `R` output rows.
    unsafe {
        let mut acc = [[V::splat(0.0); NV]; R];
        if o.accumulate {
            for (r, acc) in acc.iter_mut().enumerate() {
                for (v, acc) in acc.iter_mut().enumerate() {
                    *acc = V::load(o.out.add(r * o.ld + v * V::N));
                }
            }
        }
        let mut panel = o.panel;
        for m in 0..o.count {
            let a = (*o.rows.add(m)).add(o.channel);
            let mut b = [V::splat(0.0); NV];
            for (v, b) in b.iter_mut().enumerate() {
                *b = V::load(panel.add(v * V::N));
            }
            for (r, acc) in acc.iter_mut().enumerate() {
                let x = V::splat(*a.add(r));
                for (acc, b) in acc.iter_mut().zip(&b) {
                    *acc = acc.add_product(x, *b);
                }
            }
            panel = panel.add(NV * V::N);
        }
        for (r, acc) in acc.iter().enumerate() {
            for (v, acc) in acc.iter().enumerate() {
                acc.store(o.out.add(r * o.ld + v * V::N));
            }
        }
    }
}

/// # Safety
#[inline(always)]
unsafe fn spin<V: Lanes, const CHAINS: usize>(steps: usize) -> f32 {
    // SAFETY: only registers, and a store of `N` numbers into an array of at least that many.
    unsafe {
        let (factor, addend) = (V::splat(std::hint::black_box(0.999)), V::splat(std::hint::black_box(0.001)));
        let mut sums = [factor; CHAINS];
        for _ in 0..steps {
            for sum in &mut sums {
                *sum = addend.add_product(*sum, factor);
            }
        }
        let mut total = [0.0f32; MAX_NR];
        for sum in sums {
            V::splat(total[0]).add_product(sum, factor).store(total.as_mut_ptr());
        }
        total[0]
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Lanes, Micro, Outer, Tile, outer, spin, tile};
    use std::arch::x86_64::{
        __m256, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };

    #[derive(Clone, Copy)]
    struct F32x8(__m256);

    // SAFETY of every block here: the functions of this module run only after `micro` has detected AVX2 and FMA, and the
    // pointers are valid for 8 numbers by the contract of `Lanes`. `max(0, x)` returns its second operand when one is NaN.
    impl Lanes for F32x8 {
        const N: usize = 8;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from)) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0)) }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            unsafe { Self(_mm256_max_ps(_mm256_setzero_ps(), self.0)) }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile_6x16(t: &Tile) {
        // SAFETY: the caller upholds `Tile`'s contract, and the machine has the instructions.
        unsafe { tile::<F32x8, 6, 2>(t) }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn outer_rx16<const R: usize>(o: &Outer) {
        // SAFETY: the caller upholds `Outer`'s contract, and the machine has the instructions.
        unsafe { outer::<F32x8, R, 2>(o) }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn spin_12(steps: usize) -> f32 {
        // SAFETY: the machine has the instructions.
        unsafe { spin::<F32x8, 12>(steps) }
    }

    pub static MICRO: Micro = Micro {
        mr: 6,
        nr: 16,
        tile: tile_6x16,
        outer: [outer_rx16::<1>, outer_rx16::<2>, outer_rx16::<3>, outer_rx16::<4>, outer_rx16::<5>, outer_rx16::<6>],
        spin: spin_12,
        spin_width: 12 * 8,
    };
}

/// Four lanes: simd128 with relaxed multiply-adds on wasm, an array of four left to the compiler elsewhere.
mod base {
    use super::{Micro, Outer, Tile, outer, spin, tile};

    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    mod lanes {
        use std::arch::wasm32::{f32x4_max, f32x4_relaxed_madd, f32x4_splat, v128, v128_load, v128_store};

        #[derive(Clone, Copy)]
        pub struct F32x4(v128);

        // SAFETY of every block here: simd128 is enabled at compile time, and a browser without relaxed SIMD gets a module in
        // which `cargo xtask plain-simd` has replaced that instruction; the pointers are valid for 4 numbers by `Lanes`.
        impl super::super::Lanes for F32x4 {
            const N: usize = 4;
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                Self(f32x4_splat(value))
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { Self(v128_load(from.cast())) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { v128_store(to.cast(), self.0) }
            }
            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                Self(f32x4_relaxed_madd(a.0, b.0, self.0))
            }
            #[inline(always)]
            unsafe fn relu(self) -> Self {
                Self(f32x4_max(f32x4_splat(0.0), self.0))
            }
        }
    }

    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    mod lanes {
        #[derive(Clone, Copy)]
        pub struct F32x4([f32; 4]);

        // SAFETY of every block here: the pointers are valid for 4 numbers by the contract of `Lanes`.
        impl super::super::Lanes for F32x4 {
            const N: usize = 4;
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                Self([value; 4])
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                unsafe { Self(from.cast::<[f32; 4]>().read_unaligned()) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
            }
            #[inline(always)]
            unsafe fn relu(self) -> Self {
                Self(self.0.map(|v| if v < 0.0 { 0.0 } else { v }))
            }
        }
    }

    use lanes::F32x4;

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "relaxed-simd"))]
    unsafe fn tile_4x8(t: &Tile) {
        // SAFETY: the caller upholds `Tile`'s contract.
        unsafe { tile::<F32x4, 4, 2>(t) }
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "relaxed-simd"))]
    unsafe fn outer_rx8<const R: usize>(o: &Outer) {
        // SAFETY: the caller upholds `Outer`'s contract.
        unsafe { outer::<F32x4, R, 2>(o) }
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "relaxed-simd"))]
    unsafe fn spin_8(steps: usize) -> f32 {
        // SAFETY: the machine has the instructions.
        unsafe { spin::<F32x4, 8>(steps) }
    }

    pub static MICRO: Micro = Micro {
        mr: 4,
        nr: 8,
        tile: tile_4x8,
        outer: [outer_rx8::<1>, outer_rx8::<2>, outer_rx8::<3>, outer_rx8::<4>, outer_rx8::<4>, outer_rx8::<4>],
        spin: spin_8,
        spin_width: 8 * 4,
    };
}
